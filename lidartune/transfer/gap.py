"""The transfer gap: scores from confusion matrices, differences paired over seeds, and their 95 % intervals.

Everything here is a plain function over numpy arrays. Axis 0 is the seed, sorted the same way in every array of a
call; nan means "not there" and is never counted as 0. Worked examples: docs/gap.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # the quantile of scipy.stats.t, without that package's second of import time

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
FEWEST_SEEDS = 5  # over fewer an interval suggests: nothing is called significant

# name -> (role of the run, domain whose test split it is scored on)
SCORES: dict[str, tuple[str, str]] = {
    "synthetic_to_synthetic": ("pretrained", "synthetic"),
    "synthetic_to_real": ("pretrained", "real"),
    "start": ("start", "real"),
    "finetuned": ("finetuned", "real"),
    "finetuned_on_synthetic": ("finetuned", "synthetic"),
    "scratch_start": ("scratch_start", "real"),
    "scratch": ("scratch", "real"),
    "scratch_longer": ("scratch_longer", "real"),
    "full": ("full", "real"),
    "full_equal": ("full_equal", "real"),
    "full_longer": ("full_longer", "real"),
    "real_real": ("real_real", "real"),
}
# name -> (minuend, subtrahend)
DIFFERENCES: dict[str, tuple[str, str]] = {
    "domain_gap": ("full_equal", "synthetic_to_real"),
    "gain_equal_finetuning": ("finetuned", "scratch"),
    "gain_equal_total": ("finetuned", "scratch_longer"),
    "gain_over_real_control": ("finetuned", "real_real"),
    "jumpstart": ("start", "scratch_start"),
    "forgetting": ("synthetic_to_synthetic", "finetuned_on_synthetic"),
}
# name -> the score whose share of the way from `start` to `full_longer` is asked for
CLOSED: dict[str, str] = {
    "gap_closed": "finetuned",
    "gap_closed_scratch": "scratch",
    "gap_closed_scratch_longer": "scratch_longer",
}


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over seeds and its 95 % interval; scalars or arrays of one shape.

    `low` and `high` are nan where fewer than two seeds are there; `mean` is nan where none is (or the measure is n/a).
    """

    mean: Any
    low: Any
    high: Any
    seeds: Any

    def at(self, index: int) -> Interval:
        """The interval of one entry, for example one class."""
        return Interval(mean=self.mean[index], low=self.low[index], high=self.high[index], seeds=self.seeds[index])


def iou(confusion: NDArray[Any]) -> Floats:
    """Intersection over union of each class.

    Args:
        confusion: (..., C, C) counts, rows = truth, columns = predicted, class 0 = ignored.

    Returns:
        (..., C). Points whose truth is class 0 are left out; a prediction 0 on a labelled point is an error.
        nan for class 0 and for classes without a labelled point: they are n/a, not 0.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    labelled = counts[..., 1:, :]
    return iou_from_counts(
        labelled.sum(-1), labelled.sum(-2)[..., 1:], np.diagonal(counts, axis1=-2, axis2=-1)[..., 1:]
    )


def iou_from_counts(truth: Floats, predicted: Floats, hit: Floats) -> Floats:
    """IoU of classes 1.. from the points (..., C-1) that are, that are said to be, and that are rightly said to be in
    each class; returns (..., C) with nan for class 0."""
    result = np.full((*truth.shape[:-1], truth.shape[-1] + 1), np.nan)
    np.divide(hit, truth + predicted - hit, out=result[..., 1:], where=truth > 0)
    return result


def mean_iou(confusion: NDArray[Any], classes: NDArray[np.bool_] | None = None) -> Floats:
    """(...,) mean IoU over `classes` (C,), by default those in this matrix's ground truth; nan if there is none."""
    values = iou(confusion)
    if classes is not None:
        values = np.where(classes, values, np.nan)
    return nan_mean(values, axis=-1)


def nan_mean(values: Floats, axis: int) -> Floats:
    """Mean of what is there along `axis`; nan, without a warning, where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis)
    total = np.where(there, values, 0.0).sum(axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def t_interval(values: NDArray[Any], confidence: float = CONFIDENCE) -> Interval:
    """Student-t interval of the mean over axis 0: mean +- t(n-1) s / sqrt(n).

    Args:
        values: (seeds, ...); nan = this seed is not there.
        confidence: nominal coverage.

    Returns:
        An Interval of shape (...); low and high are nan where n < 2, since one seed says nothing about its spread.
    """
    values = np.asarray(values, dtype=np.float64)
    there = ~np.isnan(values)
    n = there.sum(0)
    mean = nan_mean(values, axis=0)
    squares = np.where(there, values - mean, 0.0) ** 2
    enough = n >= 2
    freedom = np.where(enough, n - 1, 1)
    half = stdtrit(freedom, 0.5 + confidence / 2) * np.sqrt(squares.sum(0) / freedom / np.maximum(n, 1))
    half = np.where(enough, half, np.nan)
    return Interval(mean=mean, low=mean - half, high=mean + half, seeds=n)


def paired_difference(minuend: NDArray[Any], subtrahend: NDArray[Any], confidence: float = CONFIDENCE) -> Interval:
    """t interval of the seed-wise difference; a seed counts where both (seeds, ...) arrays have it."""
    return t_interval(np.asarray(minuend) - np.asarray(subtrahend), confidence)


def ratio_interval(numerator: NDArray[Any], denominator: NDArray[Any], confidence: float = CONFIDENCE) -> Interval:
    """Ratio of two paired means with Fieller's interval, elementwise over (seeds, ...) arrays.

    The interval is the set of ratios r for which the t interval of `numerator - r * denominator` holds 0 (Fieller 1954,
    J. R. Stat. Soc. B 16). It is finite exactly where the denominator's own t interval leaves out 0.

    Returns:
        n/a (nan) wherever the denominator's interval is not wholly above 0; so also with a single seed.
    """
    x, y = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    absent = np.isnan(x) | np.isnan(y)
    x, y = np.where(absent, np.nan, x), np.where(absent, np.nan, y)
    n = (~absent).sum(0)
    x_mean, y_mean = nan_mean(x, 0), nan_mean(y, 0)
    freedom = np.where(n >= 2, n - 1, 1)
    scale = stdtrit(freedom, 0.5 + confidence / 2) ** 2 / freedom / np.maximum(n, 1)
    x_off, y_off = np.where(absent, 0.0, x - x_mean), np.where(absent, 0.0, y - y_mean)
    a = y_mean**2 - scale * (y_off**2).sum(0)
    b = x_mean * y_mean - scale * (x_off * y_off).sum(0)
    c = x_mean**2 - scale * (x_off**2).sum(0)
    valid = (n >= 2) & (a > 0) & (y_mean > 0)
    a, y_safe = np.where(valid, a, 1.0), np.where(valid, y_mean, 1.0)
    root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
    mean, low, high = (np.where(valid, v, np.nan) for v in (x_mean / y_safe, (b - root) / a, (b + root) / a))
    return Interval(mean=mean, low=low, high=high, seeds=n)


def gap_closed(score: NDArray[Any], start: NDArray[Any], full: NDArray[Any]) -> Interval:
    """Share of the way from the zero-shot start to training on all real scans that `score` has covered:
    (score - start) / (full - start) as a ratio of means over seeds; n/a as in `ratio_interval`."""
    start = np.asarray(start, dtype=np.float64)
    return ratio_interval(np.asarray(score) - start, np.asarray(full) - start)


def measure(scores: Mapping[str, NDArray[Any]], *, one_network: Collection[str] = ()) -> dict[str, Interval]:
    """Every measure of a group of cells that differ in the seed only.

    Args:
        scores: the names of SCORES -> (seeds, ...) figures in 0..1, nan = not there. A missing name counts as absent.
        one_network: scores that the seeds have in common, being one network's: their own interval is n/a, as of one
            seed. Differences from them are over the seeds of the other side.

    Returns:
        The names of SCORES, DIFFERENCES and CLOSED -> Interval, absent ones with nan and 0 seeds.
    """
    shape = np.shape(next(iter(scores.values())))
    full = {name: np.asarray(scores.get(name, np.full(shape, np.nan)), dtype=np.float64) for name in SCORES}
    result = {
        name: t_interval(nan_mean(values, 0)[None] if name in one_network else values) for name, values in full.items()
    }
    for name, (minuend, subtrahend) in DIFFERENCES.items():
        result[name] = paired_difference(full[minuend], full[subtrahend])
    for name, score in CLOSED.items():
        result[name] = gap_closed(full[score], full["start"], full["full_longer"])
    return result


def side(interval: Interval) -> int:
    """1 where the interval of a difference lies wholly above 0, -1 wholly below, 0 where it holds 0 or is n/a."""
    return int(interval.low > 0) - int(interval.high < 0)


def verdict(interval: Interval) -> str:
    """What an interval of a difference says: `positive`, `negative`, `not distinguishable` (it holds 0) or `n/a`.

    Over fewer than FEWEST_SEEDS seeds it says no more than `suggests positive` or `suggests negative`.
    """
    if np.isnan(interval.low) or np.isnan(interval.high):
        return "n/a"
    word = ("not distinguishable", "positive", "negative")[side(interval)]
    return f"suggests {word}" if side(interval) and interval.seeds < FEWEST_SEEDS else word


def interquartile_mean(values: NDArray[Any], axis: int = 0) -> Floats:
    """Mean of what is left without the lowest and the highest quarter (Agarwal et al. 2021, NeurIPS): of n values that
    are there, floor(n / 4) fall out at either end. Of fewer than 4 none does: it is then the mean."""
    ranked = np.moveaxis(np.sort(np.asarray(values, dtype=np.float64), axis=axis), axis, 0)  # nan comes last
    n = (~np.isnan(ranked)).sum(0)
    rank = np.arange(len(ranked)).reshape(-1, *[1] * (ranked.ndim - 1))
    return nan_mean(np.where((rank >= n // 4) & (rank < n - n // 4), ranked, np.nan), axis=0)


def area(updates: NDArray[Any], score: NDArray[Any]) -> float:
    """Mean height of a learning curve: trapezoid area over `updates` by their span (Taylor & Stone 2009, JMLR 10)."""
    updates, score = np.asarray(updates, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if len(updates) < 2 or np.isnan(score).any():
        return float("nan")
    return float(np.trapezoid(score, updates) / (updates[-1] - updates[0]))


def asymptote(score: NDArray[Any], share: float = 0.2) -> float:
    """Mean of the last `share` of a learning curve's points (at least one): where it levels off, as far as seen."""
    score = np.asarray(score, dtype=np.float64)
    return float(score[-max(1, round(share * len(score))) :].mean()) if len(score) else float("nan")


def updates_to_threshold(updates: NDArray[Any], score: NDArray[Any], threshold: float) -> float:
    """The first scored update at which the curve reaches `threshold`; inf = never within the run (censored)."""
    reached = np.flatnonzero(np.asarray(score, dtype=np.float64) >= threshold)
    return float(np.asarray(updates)[reached[0]]) if len(reached) else float("inf")

"""How far the class shares of two datasets lie apart, and which classes that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lidartune.errors import UserError

FACTOR = 5.0  # classes that are this many times as common on one side are named
NAMED = 3
SMALLEST = 0.01  # differences of shares below this are not named


@dataclass(frozen=True, kw_only=True)
class ClassShift:
    """One class: its share of the labelled points on each side, and first / second; None where one side has none."""

    name: str
    first: float
    second: float
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class LabelShift:
    """The classes that count, and two distances of their shares.

    Attributes:
        classes: the classes that are not ignored, by number; those that a side does not have among them.
        total_variation: half the sum of |first - second|, 0..1: the share of points that would have to change class.
        jensen_shannon_bits: Jensen-Shannon divergence (Lin 1991) to base 2: 0 (the same) to 1 (no class in common).
        ignored: share of all points that are ignored, on each side.
    """

    classes: tuple[ClassShift, ...]
    total_variation: float
    jensen_shannon_bits: float
    ignored: tuple[float, float]


def label_shift(
    first: np.ndarray, second: np.ndarray, names: Sequence[str], *, ignore: Sequence[int] = (0,)
) -> LabelShift:
    """The shift from class shares or counts `first` (num_classes,) to `second`, as shares of the labelled points.

    Raises:
        UserError: no labelled point on one side.
    """
    shares = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    for side in shares:
        if side.shape != (len(names),) or not np.isfinite(side).all() or side.min(initial=0) < 0:
            raise ValueError(f"shares must be ({len(names)},) finite numbers from 0 upwards")
    counted = np.ones(len(names), dtype=bool)
    counted[list(ignore)] = False
    if not all(side[counted].sum() > 0 for side in shares):
        raise UserError(
            "no labelled points to compare class shares of",
            found="nothing but ignored points on one side",
            do="check the taxonomy and the labels",
        )
    p, q = (np.where(counted, side, 0) / side[counted].sum() for side in shares)
    return LabelShift(
        classes=tuple(
            ClassShift(name=names[c], first=float(p[c]), second=float(q[c]), ratio=_ratio(p[c], q[c]))
            for c in np.flatnonzero(counted).tolist()
        ),
        total_variation=float(np.abs(p - q).sum() / 2),
        jensen_shannon_bits=max(0.0, (_bits(p, q) + _bits(q, p)) / 2),
        ignored=tuple(float(side[~counted].sum() / side.sum()) for side in shares),  # type: ignore[arg-type]
    )


def in_words(shift: LabelShift, first: str, second: str) -> str:
    """The differences that matter for a transfer, in a few sentences; `first` and `second` name the two sides."""
    said = [f"{100 * shift.total_variation:.0f} % of the labelled points would have to change class."]
    moved = sorted(shift.classes, key=lambda c: -abs(c.first - c.second))[:NAMED]
    moved = [c for c in moved if abs(c.first - c.second) >= SMALLEST]
    if moved:
        listed = ", ".join(f"{c.name} ({100 * c.first:.1f} and {100 * c.second:.1f} %)" for c in moved)
        said.append(f"Most: {listed}.")
    said += _on_one_side({c.name: (c.first, c.second) for c in shift.classes}, first, second)
    said += _on_one_side({c.name: (c.second, c.first) for c in shift.classes}, second, first)
    if len(said) == 1:
        said.append(f"No class is {FACTOR:g} times as common on one side as on the other.")
    return " ".join(said)


def _on_one_side(shares: dict[str, tuple[float, float]], here: str, there: str) -> list[str]:
    """What is much more common `here`, and what is only here; `shares` are those here and there."""
    said = []
    factors = {name: ratio for name, both in shares.items() if (ratio := _ratio(*both)) and ratio >= FACTOR}
    if factors:
        most = sorted(factors, key=lambda name: -factors[name])[:NAMED]
        listed = ", ".join(f"{name} ({factors[name]:,.3g} times)" for name in most)
        more = len(factors) - NAMED
        others = f" and {more} other {'class' if more == 1 else 'classes'}" if more > 0 else ""
        said.append(f"More common in {here} than in {there}: {listed}{others}.")
    only = [name for name, both in shares.items() if both[0] > 0 and both[1] == 0]
    return [*said, f"Only in {here}: {', '.join(only)}."] if only else said


def _ratio(first: float, second: float) -> float | None:
    ratio = float(first) / float(second) if first > 0 and second > 0 else None
    return None if ratio == float("inf") else ratio


def _bits(p: np.ndarray, q: np.ndarray) -> float:
    """Kullback-Leibler divergence of p from the mean of p and q, to base 2; 0 log 0 is 0."""
    some = p > 0
    return float((p[some] * np.log2(2 * p[some] / (p + q)[some])).sum())

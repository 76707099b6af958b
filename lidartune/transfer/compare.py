"""Differences over several settings, and how sure a comparison is among many: plain functions over arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr  # the distribution of scipy.stats.t, without that package's second of import time

from lidartune.transfer import gap


def over_settings(differences: NDArray[Any]) -> tuple[gap.Interval, int]:
    """The mean over settings, averaged seed by seed first: its interval then needs no more than independent seeds.

    A mean over other settings for each seed would mix what a setting does with what a seed does. So where some are not
    there, it is over the settings that have all of the first k seeds, the seeds with the most settings first, for the
    k with the most settings x (k - 1), or for 1 where no setting has two seeds.

    Args:
        differences: (settings, seeds); nan = not there.

    Returns:
        The interval over seeds, and how many settings are in it.
    """
    differences = np.asarray(differences, dtype=np.float64)
    there = ~np.isnan(differences)
    order = np.argsort(-there.sum(0), kind="stable")
    kept: dict[int, NDArray[np.bool_]] = {k: there[:, order[:k]].all(1) for k in range(1, there.shape[1] + 1)}
    best = max(kept, key=lambda k: (kept[k].sum() * (k - 1), kept[k].any(), k), default=0)
    if not best or not kept[best].any():
        return gap.t_interval(np.full(0, np.nan)), 0
    return gap.t_interval(differences[kept[best]][:, order[:best]].mean(0)), int(kept[best].sum())


def p_value(differences: NDArray[Any]) -> gap.Floats:
    """Two-sided p of Student's paired t-test over axis 0 of (seeds, ...) differences; nan for fewer than two.

    It is below 0.05 exactly where the 95 % interval of gap.t_interval leaves out 0.
    """
    values = np.asarray(differences, dtype=np.float64)
    there = ~np.isnan(values)
    n = there.sum(0)
    mean = gap.nan_mean(values, axis=0)
    freedom = np.where(n >= 2, n - 1, 1)
    error = np.sqrt((np.where(there, values - mean, 0.0) ** 2).sum(0) / freedom / np.maximum(n, 1))
    t = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0.0, np.inf), where=error > 0)
    p: gap.Floats = np.where(n >= 2, 2 * stdtr(freedom, -t), np.nan)
    return p


def holm(p: NDArray[Any]) -> gap.Floats:
    """Holm's adjusted p (1979, Scand. J. Stat. 6) of a family (n,): below 0.05 for at most one true null hypothesis in
    20 families. nan stays nan and belongs to no family."""
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: int((~np.isnan(p)).sum())]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted

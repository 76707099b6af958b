"""Differences of means over seeds that have nothing in common: Welch's interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # the quantile of scipy.stats.t, without that package's second of import time

from lidartune.transfer.gap import CONFIDENCE, Interval


def welch_interval(minuend: NDArray[Any], subtrahend: NDArray[Any], confidence: float = CONFIDENCE) -> Interval:
    """Difference of two means with Welch's interval (1947, Biometrika 34), without the same variance on both sides.

    Args:
        minuend, subtrahend: (seeds,) each its own; nan = not there.

    Returns:
        An Interval whose `seeds` are those of the smaller side; low and high are nan where a side has fewer than two.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (minuend, subtrahend)]
    x, y = (side[~np.isnan(side)] for side in sides)
    seeds = min(len(x), len(y))
    if seeds == 0:
        return Interval(mean=np.nan, low=np.nan, high=np.nan, seeds=0)
    mean = x.mean() - y.mean()
    if seeds < 2:
        return Interval(mean=mean, low=np.nan, high=np.nan, seeds=seeds)
    parts = np.array([x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)])
    total = parts.sum()
    if total == 0:
        return Interval(mean=mean, low=mean, high=mean, seeds=seeds)
    freedom = total**2 / (parts**2 / (np.array([len(x), len(y)]) - 1)).sum()
    half = stdtrit(freedom, 0.5 + confidence / 2) * np.sqrt(total)
    return Interval(mean=mean, low=mean - half, high=mean + half, seeds=seeds)

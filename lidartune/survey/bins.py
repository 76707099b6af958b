"""The fixed bins that every scan is counted into, and what can be read off the counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RANGE_STEP_M = 0.25
RANGE_BINS = 1201  # to 300 m; the last one holds all that is farther
ELEVATION_STEP_DEG = 0.02
ELEVATION_BINS = 9000  # -90 to 90 degrees
FARTHEST_M = 2000.0  # no lidar of a street reaches so far: points beyond are faults
LARGEST_REMISSION = 65_535.0  # of 16 bits; what is larger or negative is a fault
AZIMUTH_BINS = 360  # of one degree, from -180
# Remission comes as 0..1, as 0..255 or as 16 bits: fine bins, then coarse ones, each around a multiple of its step.
FINE, BYTE, WORD = 0.005, 1.0, 256.0
_FINE_TOP, _BYTE_TOP = 200, 455  # the bins of 1.0 and of 255
REMISSION_BINS = 712  # 201 of 0.005, 255 of 1, 256 of 256


def range_centres_m() -> np.ndarray:
    """(RANGE_BINS,) the middle of each bin."""
    return (np.arange(RANGE_BINS) + 0.5) * RANGE_STEP_M


def elevation_centres_deg() -> np.ndarray:
    """(ELEVATION_BINS,) the middle of each bin, from the lowest."""
    return -90.0 + (np.arange(ELEVATION_BINS) + 0.5) * ELEVATION_STEP_DEG


def remission_centres() -> np.ndarray:
    """(REMISSION_BINS,) the value each bin stands for, rising."""
    fine = np.arange(_FINE_TOP + 1) * FINE
    byte = np.arange(1, 256) * BYTE
    byte[0] = 1.25  # what lies between the last fine bin and 1.5
    word = np.arange(1, 257) * WORD
    return np.concatenate([fine, byte, word])


def quantiles(counts: np.ndarray, centres: np.ndarray, shares: Sequence[float]) -> list[float] | None:
    """The value below which each share of the counted points lies, to a bin's width; None where nothing was counted."""
    total = int(counts.sum())
    if not total:
        return None
    order = np.argsort(centres, kind="stable")
    below = np.cumsum(counts[order])
    at = [np.searchsorted(below, max(1, np.ceil(share * total))) for share in shares]
    return [float(centres[order][i]) for i in at]


def moved(first: np.ndarray, second: np.ndarray) -> float:
    """Half the summed difference of two histograms' shares: 0 equal, 1 nothing in common (total variation)."""
    a, b = float(first.sum()), float(second.sum())
    if not a or not b:
        return float("nan")
    return float(np.abs(first / a - second / b).sum() / 2)


def coarser(counts: np.ndarray, factor: int) -> np.ndarray:
    """The counts in bins `factor` times as wide; a rest at the end goes into a last bin."""
    starts = np.arange(0, len(counts), factor)
    return np.add.reduceat(counts, starts)


def coarse_remissions(counts: np.ndarray) -> np.ndarray:
    """Remission counts in bins of 0.05, then 8, then 2,048: stored steps of 0.01 and no steps compare alike."""
    fine, byte, word = counts[: _FINE_TOP + 1], counts[_FINE_TOP + 1 : _BYTE_TOP + 1], counts[_BYTE_TOP + 1 :]
    return np.concatenate([coarser(fine, 10), coarser(byte, 8), coarser(word, 8)])

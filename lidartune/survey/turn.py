"""What one scan tells of the sensor: the order its points are stored in, its beams, columns and uppermost rings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RINGS, COLUMNS, NO_ORDER = "ring by ring", "column by column", "no order found"
_LEVEL = 0.05  # rings keep their elevation: its variance within them is at most this share of all
_FEWEST_RINGS, _MOST_RINGS = 4, 512
_FEWEST_POINTS = 500
_COMB_BINS = 1 << 15
_COMB_LEAST = 0.2  # share of the points that stand on common columns; chance gives 1 / sqrt(points)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn of a scanner, as far as its points tell; None is not known.

    Attributes:
        order: RINGS, COLUMNS or NO_ORDER.
        beams: rings with at least one point, where they are stored in order.
        columns: rays of a whole ring, from the azimuth step.
        columns_from: how they were found, "steps" or "comb".
        top_deg, bottom_deg: mean elevation of the highest and of the lowest ring.
    """

    order: str
    beams: int | None = None
    columns: int | None = None
    columns_from: str | None = None
    top_deg: float | None = None
    bottom_deg: float | None = None


def turn_of(ring: np.ndarray, azimuth_deg: np.ndarray, elevation_deg: np.ndarray) -> Turn:
    """Reads a scan's order, beams and columns off its usable points, each (N,) in the order of the file.

    Args:
        ring: as `lidartune.canvas.ring_numbers` has it; whether it makes sense is looked at here.
        azimuth_deg, elevation_deg: float64.
    """
    if len(ring) < _FEWEST_POINTS:
        return Turn(order=NO_ORDER)
    counts = np.bincount(ring)
    means = np.bincount(ring, elevation_deg) / np.maximum(counts, 1)
    within = np.mean((elevation_deg - means[ring]) ** 2)
    if _FEWEST_RINGS <= len(counts) <= _MOST_RINGS and within < _LEVEL * np.var(elevation_deg):
        means = means[counts > 0]
        columns = _columns_of(np.diff(azimuth_deg)[np.diff(ring) == 0])
        return Turn(
            order=RINGS, beams=len(means), columns=columns, columns_from="steps" if columns else None,
            top_deg=float(means.max()), bottom_deg=float(means.min()),
        )  # fmt: skip
    columns = _comb(azimuth_deg)
    order = COLUMNS if _by_columns(elevation_deg) else NO_ORDER
    return Turn(order=order, columns=columns, columns_from="comb" if columns else None)


def _columns_of(steps_deg: np.ndarray) -> int | None:
    """Rays of a ring: a whole turn over the commonest step between neighbours."""
    steps = np.abs((steps_deg + 180.0) % 360.0 - 180.0)
    steps = steps[(steps > 0.02) & (steps < 4.0)]
    if len(steps) < _FEWEST_POINTS // 2:
        return None
    counts = np.bincount((steps * 100).astype(np.int64), minlength=400)
    mode = (int(np.convolve(counts, np.ones(5), "same").argmax()) + 0.5) / 100
    near = steps[np.abs(steps - mode) < 0.4 * mode]
    return round(360.0 / float(np.median(near)))


def _comb(azimuth_deg: np.ndarray) -> int | None:
    """Columns that all beams share, whatever the order of the points: the frequency at which azimuths repeat."""
    counts = np.bincount(((azimuth_deg + 180.0) * (_COMB_BINS / 360.0)).astype(np.int64) % _COMB_BINS)
    strength = np.abs(np.fft.rfft(counts, _COMB_BINS))[: _COMB_BINS // 4] / len(azimuth_deg)
    strength[:128] = 0.0  # the street itself
    best = float(strength.max())
    return int(np.flatnonzero(strength > 0.8 * best)[0]) if best > _COMB_LEAST else None


def _by_columns(elevation_deg: np.ndarray) -> bool:
    signs = np.sign(np.diff(elevation_deg))
    return bool(max(np.mean(signs > 0), np.mean(signs < 0)) > 0.8)

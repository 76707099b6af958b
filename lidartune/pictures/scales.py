"""Colours for a number at each pixel or point: range, remission and height, each with the ticks of its key."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

LEVELS = 64  # few enough that a whole picture fits a palette of 256 colours, half the bytes of RGB
COVERED = 0.995  # share of the ranges that a scale must reach over; what lies beyond takes the last colour
RANGE_LOW_M = (2.0, 1.0, 0.5, 0.2, 0.1)
RANGE_HIGH_M = (80.0, 150.0, 300.0, 1000.0)
RANGE_TICKS_M = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 150.0, 300.0, 1000.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """Numbers from `low` to `high` as colours of `table`, (LEVELS, 3) uint8; evenly in their logarithm or as they are.

    Values outside take the first or last colour.
    """

    low: float
    high: float
    logarithmic: bool
    ticks: tuple[float, ...]
    unit: str
    table: np.ndarray

    def position(self, values: np.ndarray | float) -> np.ndarray:
        """Where values lie on the scale: 0 at its low end, 1 at its high end, never outside."""
        held = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        if self.logarithmic:
            return np.log(held / self.low) / math.log(self.high / self.low)
        return (held - self.low) / (self.high - self.low)

    def levels(self, values: np.ndarray) -> np.ndarray:
        """(...) uint8 rows of the table for values (...)."""
        return np.minimum(self.position(values) * LEVELS, LEVELS - 1).astype(np.uint8)

    def colors(self, values: np.ndarray) -> np.ndarray:
        """(..., 3) uint8 colours of values (...)."""
        return self.table[self.levels(values)]


def range_scale(range_m: np.ndarray) -> Scale:
    """Ranges in metres, near is bright: 2 to 80 m, so that pictures compare, and further for sensors that need it."""
    low = _first(RANGE_LOW_M, lambda m: np.count_nonzero(range_m >= m) >= COVERED * range_m.size)
    high = _first(RANGE_HIGH_M, lambda m: np.count_nonzero(range_m <= m) >= COVERED * range_m.size)
    ticks = tuple(m for m in RANGE_TICKS_M if low <= m <= high)
    return Scale(low=low, high=high, logarithmic=True, ticks=ticks, unit="m", table=_table("viridis", 0.95, 0.0))


def remission_scale(remission: np.ndarray) -> Scale:
    """Remissions as stored, from 0 (or lower) to a round number that few of them pass; strong is bright."""
    low, high = _quantiles(remission, 0.02)
    return _even_scale(min(low, 0.0), high, unit="", table=_table("magma", 0.0, 0.9))


def height_scale(z_m: np.ndarray) -> Scale:
    """Heights above the sensor in metres, between round numbers that few of them pass."""
    return _even_scale(*_quantiles(z_m, 0.005), unit="m", table=_table("viridis", 0.0, 0.95))


def _quantiles(values: np.ndarray, beyond: float) -> tuple[float, float]:
    """What all but a part of the values lie above, and all but a part below; 0 and 1 where there are none."""
    if not values.size:
        return 0.0, 1.0
    low, high = np.quantile(values, [beyond, 1 - beyond])
    return float(low), float(high)


def _even_scale(low: float, high: float, *, unit: str, table: np.ndarray) -> Scale:
    """At least from low to high, both rounded outwards to half a step between ticks."""
    if high - low < 1e-6 * max(1.0, abs(high)):  # all the same, or nothing
        high = low + max(1.0, abs(low))
    power = math.floor(math.log10((high - low) / 5))
    step = _first(tuple(m * 10.0**power for m in (1, 2, 5, 10)), lambda step: 5 * step >= 0.999 * (high - low))

    def halves(number: int) -> float:
        return round(number * step / 2, 2 - power)

    first, last = math.floor(2 * low / step), math.ceil(2 * high / step)
    ticks = tuple(halves(number) for number in range(first, last + 1) if number % 2 == 0)
    return Scale(low=halves(first), high=halves(last), logarithmic=False, ticks=ticks, unit=unit, table=table)


def _first(choices: tuple[float, ...], fits: Callable[[float], object]) -> float:
    """The first choice that fits, or the last one."""
    return next((choice for choice in choices if fits(choice)), choices[-1])


@cache
def _table(name: str, low: float, high: float) -> np.ndarray:
    """A perceptually uniform colour map, cut to a part of it: (LEVELS, 3) uint8."""
    from matplotlib import colormaps  # not at the top: every training process draws, few look at it

    table = np.round(255 * colormaps[name](np.linspace(low, high, LEVELS))[:, :3]).astype(np.uint8)
    table.flags.writeable = False
    return table

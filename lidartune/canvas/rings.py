"""Which beam each point comes from, where the file stores one beam's turn after another."""

from __future__ import annotations

import math

import numpy as np

from lidartune.canvas.angles import as_points, atan2, range_m
from lidartune.kernels import kernel

BLOCK = 512  # points handled at a time, so that their values stay in the first-level cache
AXIS_M = 0.5  # nearer to the sensor's axis an azimuth says little about the beam's direction
BACK = 1 / 12  # turns; a beam that sees something near by seems to step back by up to 1/50
JITTER = 1 / 36  # turns by which a ring may begin early or end late
EDGES = 4096  # directions tried for the seam


def ring_numbers(points: np.ndarray) -> np.ndarray:
    """The ring of each point (N, 4), in the order of the file: (N,) int32 from 0, -1 for unusable points.

    Within a ring the azimuth runs on, either way round and with gaps; a ring ends where the azimuth falls back by more
    than 1/12 turn, at a seam that all rings share. Rings without any point, and rings that together span less than
    that, cannot be told. Points at the sensor's axis go with the point before them. A file in another order gives many
    short rings, or a single one: ask whether their number and lengths make sense.
    """
    azimuth, elevation, usable, steady = _directions(as_points(points))
    turns = azimuth[steady]
    if len(turns) < 2:
        return np.where(usable, np.int32(0), np.int32(-1))
    way = -1.0 if np.sign(_steps(turns)).sum() < 0 else 1.0
    return _count_rings(way * azimuth, _seam(way * turns, elevation[steady]), usable, steady)


def _steps(turns: np.ndarray) -> np.ndarray:
    """From each point to the next, the short way round: -0.5..0.5 turns."""
    step = np.diff(turns)
    return step - np.rint(step)


def _seam(turns: np.ndarray, elevation_rad: np.ndarray) -> float:
    """The azimuth at which rings end and begin: that at which most steps to a next point also change the elevation.

    Every other azimuth is crossed within rings, at an almost constant elevation. The seam lies between the last
    point and the first one, whose rings may lack points at their ends.
    """
    step = _steps(turns)
    rings = max(1.0, round(abs(float(step.sum()))))
    jump = np.abs(np.diff(elevation_rad)) > np.ptp(elevation_rad) / rings / 3
    crossing = np.flatnonzero(jump & (step > 0))
    begin = turns[crossing] - np.floor(turns[crossing])
    edges = [np.ceil(at * EDGES).astype(np.int64) for at in (begin, begin + step[crossing])]
    begun, ended = (np.bincount(edge, minlength=2 * EDGES) for edge in edges)
    crossed = np.cumsum(begun - ended).reshape(2, EDGES).sum(axis=0)
    gap = (turns[0] - turns[-1]) % 1.0
    gap = gap if gap < 1.0 - 2 * JITTER else 0.0
    near = math.floor((turns[-1] - JITTER / 2) * EDGES) + np.arange(math.ceil((gap + JITTER) * EDGES) + 1)
    scores = crossed[near % EDGES]
    best = np.flatnonzero(scores == scores.max())
    return float(near[best[len(best) // 2]] % EDGES) / EDGES


@kernel
def _directions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Azimuth in turns, elevation in radians, and whether a point is usable, and off the axis too."""
    count = len(points)
    azimuth, elevation = np.empty(count), np.empty(count)
    usable, steady = np.empty(count, np.bool_), np.empty(count, np.bool_)
    x, y, z, planar = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        for p in range(size):
            x[p], y[p], z[p] = points[start + p, 0], points[start + p, 1], points[start + p, 2]
            distance, remission = range_m(x[p], y[p], z[p]), points[start + p, 3]
            planar[p] = math.sqrt(x[p] * x[p] + y[p] * y[p])
            usable[start + p] = (distance > 0.0) & (distance < np.inf) & (abs(remission) < np.inf)
            steady[start + p] = usable[start + p] & (planar[p] >= AXIS_M)
        for p in range(size):
            azimuth[start + p] = atan2(y[p], x[p]) / (2.0 * math.pi)
        for p in range(size):
            elevation[start + p] = atan2(z[p], planar[p])
    return azimuth, elevation, usable, steady


@kernel
def _count_rings(turns: np.ndarray, seam: float, usable: np.ndarray, steady: np.ndarray) -> np.ndarray:
    """Numbers rings by where the azimuth, in turns after the seam, falls back.

    Points just before the seam that come when a ring has just begun, begin it early. What ends a scan just behind
    the seam, ends the last ring late.
    """
    numbers = np.empty(len(turns), np.int32)
    ring, first = 0, 0
    farthest = -1.0
    for i in range(len(turns)):
        if steady[i]:
            here = turns[i] - seam
            here -= math.floor(here)
            if here < farthest - BACK:
                ring, first, farthest = ring + 1, i, here
            elif here > farthest and not (farthest < JITTER and here > 1.0 - JITTER):
                farthest = here
        numbers[i] = ring if usable[i] else -1
    if ring > 0 and farthest < JITTER:
        for i in range(first, len(numbers)):
            numbers[i] = ring - 1 if usable[i] else -1
    return numbers

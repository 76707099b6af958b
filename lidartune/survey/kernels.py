"""The one pass over a scan's points: what can be counted of each point alone."""

from __future__ import annotations

import math

import numpy as np

from lidartune.canvas.angles import atan2
from lidartune.kernels import inlined, kernel
from lidartune.survey import bins
from lidartune.survey.ground import FAR_M, NEAR_M

_RANGE_STEP_M, _RANGE_LAST = bins.RANGE_STEP_M, bins.RANGE_BINS - 1
_ELEVATION_STEP_DEG, _ELEVATION_LAST = bins.ELEVATION_STEP_DEG, bins.ELEVATION_BINS - 1
_FARTHEST_M, _LARGEST_REMISSION = bins.FARTHEST_M, bins.LARGEST_REMISSION
_NEAR_M, _FAR_M = NEAR_M, FAR_M
_DEG = 180.0 / math.pi
_BLOCK = 512  # points handled at a time, so that their values stay in the first-level cache
DISTINCT = 512  # remission values told apart
_TABLE = 4096  # slots of their hash table
NAN, INFINITE, ORIGIN, FAR, ODD_REMISSION = 0, 1, 2, 3, 4


@kernel
def count_points(
    points: np.ndarray,
    faults: np.ndarray,
    ranges: np.ndarray,
    elevations: np.ndarray,
    azimuths: np.ndarray,
    remissions: np.ndarray,
    angles: np.ndarray,
    near: np.ndarray,
) -> tuple[float, float]:
    """Counts points (N, 4) into the histograms of `bins` (each int64, added to) and returns summed range and remission.

    Works block by block in float64, short loops for the angles: only such loops vectorise.

    Args:
        faults: (5,) points with NAN, else with an INFINITE value, else at the ORIGIN, else FAR beyond what a lidar
            reaches. They are counted nowhere else. Then the other points of an ODD_REMISSION, negative or larger than
            16 bits hold; these are left out of what is counted of the remission.
        angles: (N, 2) float64 out: azimuth -180..180 and elevation -90..90 in degrees, NaN for those points.
        near: (N,) bool out: points lower than the sensor and NEAR_M to FAR_M away from its axis.
    """
    range_sum = 0.0
    remission_sum = 0.0
    x, y, z, planar = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    azimuth, elevation = np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(0, len(points), _BLOCK):
        size = min(_BLOCK, len(points) - start)
        for p in range(size):
            x[p], y[p], z[p] = points[start + p, 0], points[start + p, 1], points[start + p, 2]
        for p in range(size):
            planar[p] = math.sqrt(x[p] * x[p] + y[p] * y[p])
        for p in range(size):
            azimuth[p] = atan2(y[p], x[p]) * _DEG
        for p in range(size):
            elevation[p] = atan2(z[p], planar[p]) * _DEG
        for p in range(size):
            i = start + p
            remission = np.float64(points[i, 3])
            fault = _fault(x[p], y[p], z[p], remission)
            if fault >= 0:
                faults[fault] += 1
                angles[i, 0], angles[i, 1], near[i] = np.nan, np.nan, False
                continue
            distance = math.sqrt(planar[p] * planar[p] + z[p] * z[p])
            if distance > _FARTHEST_M:
                faults[FAR] += 1
                angles[i, 0], angles[i, 1], near[i] = np.nan, np.nan, False
                continue
            angles[i, 0], angles[i, 1] = azimuth[p], elevation[p]
            near[i] = z[p] < 0.0 and _NEAR_M <= planar[p] < _FAR_M
            range_sum += distance
            ranges[min(int(distance / _RANGE_STEP_M), _RANGE_LAST)] += 1
            elevations[min(int((elevation[p] + 90.0) / _ELEVATION_STEP_DEG), _ELEVATION_LAST)] += 1
            azimuths[min(int(azimuth[p] + 180.0), 359)] += 1
            if 0.0 <= remission <= _LARGEST_REMISSION:
                remission_sum += remission
                remissions[_remission_bin(remission)] += 1
            else:
                faults[ODD_REMISSION] += 1
    return range_sum, remission_sum


@inlined
def _fault(x: float, y: float, z: float, remission: float) -> int:
    """NAN, INFINITE or ORIGIN, or -1 for a usable point."""
    total = abs(x) + abs(y) + abs(z)
    if 0.0 < total < np.inf and abs(remission) < np.inf:
        return -1
    if np.isnan(total) or np.isnan(remission):
        return NAN
    return INFINITE if total > 0.0 and not total < np.inf or np.isinf(remission) else ORIGIN


@inlined
def _remission_bin(value: float) -> int:
    if value < 1.0025:
        return int(value * 200.0 + 0.5)
    if value < 255.5:
        return 200 + max(1, int(value + 0.5))
    return 455 + max(1, int(value / 256.0 + 0.5))


@kernel
def distinct_bits(bits: np.ndarray) -> np.ndarray:
    """The different values among (N,) uint32, at most DISTINCT + 1 of them: then there are more."""
    table = np.zeros(_TABLE, np.uint32)
    used = np.zeros(_TABLE, np.bool_)
    found = np.empty(DISTINCT + 1, np.uint32)
    count = 0
    for i in range(len(bits)):
        slot = (np.uint64(bits[i]) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(52)
        while used[slot] and table[slot] != bits[i]:
            slot = (slot + np.uint64(1)) & np.uint64(_TABLE - 1)
        if used[slot]:
            continue
        used[slot] = True
        table[slot] = bits[i]
        found[count] = bits[i]
        count += 1
        if count > DISTINCT:
            break
    return found[:count]

"""How high the sensor stands: a plane through the ground near it, in one scan."""

from __future__ import annotations

import numpy as np

from lidartune.kernels import kernel

NEAR_M, FAR_M = 3.0, 12.0  # planar distances of the points the plane is laid through
_LEVEL_M = 0.15  # how near the plane a point counts as ground
_SHARE = 0.4  # of the points that must be that near
_FEWEST = 200
_USED = 4000  # points are thinned out to about as many


def road_height_m(road: np.ndarray) -> float | None:
    """Height of the sensor over road points (N, 3), x, y, z in metres; None where they are few or lie in no plane."""
    return None if len(road) < _FEWEST else _plane_height(thinned(road))


def ground_height_m(low: np.ndarray) -> float | None:
    """The same over points (N, 3) that are lower than the sensor and mostly, but not all, ground.

    The plane starts at the commonest height and is laid anew through the points near it.
    """
    if len(low) < _FEWEST:
        return None
    low = thinned(low)
    level = np.clip(((low[:, 2] + 8.0) / 0.02).astype(np.int64), 0, 400)
    reach = round(_LEVEL_M / 0.02)
    mode = np.convolve(np.bincount(level, minlength=401), np.ones(2 * reach + 1), "same").argmax()
    commonest = -8.0 + (float(mode) + 0.5) * 0.02
    return _plane_height(low, start_m=commonest)


def thinned(points: np.ndarray) -> np.ndarray:
    """Every n-th point as float64, so that few are left."""
    return points[:: max(1, len(points) // _USED)].astype(np.float64)


def _plane_height(points: np.ndarray, start_m: float | None = None) -> float | None:
    """-z of the plane through the points (N, 3), at the sensor; it starts level at z = start_m, or through them all."""
    plane = _plane(points, (0.0, 0.0, 0.0), np.inf) if start_m is None else (0.0, 0.0, start_m, 0)
    for _ in range(5):
        plane = _plane(points, plane[:3], _LEVEL_M)
        if plane[3] < max(_FEWEST // 2, _SHARE * len(points)):
            return None
    return -plane[2] if np.isfinite(plane[2]) else None


@kernel
def _plane(
    points: np.ndarray, plane: tuple[float, float, float], reach: float
) -> tuple[float, float, float, int]:
    """The plane z = a x + b y + c of least squares through the points less than `reach` above or below another one.

    Returns a, b, c and the number of those points; not finite where they lie on one line.
    """
    count, x, y, z = 0, 0.0, 0.0, 0.0
    xx, xy, yy, xz, yz = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(points)):
        px, py, pz = points[i, 0], points[i, 1], points[i, 2]
        if abs(pz - plane[0] * px - plane[1] * py - plane[2]) < reach:
            count += 1
            x += px
            y += py
            z += pz
            xx += px * px
            xy += px * py
            yy += py * py
            xz += px * pz
            yz += py * pz
    if count == 0:
        return np.nan, np.nan, np.nan, 0
    x, y, z = x / count, y / count, z / count
    xx, xy, yy = xx / count - x * x, xy / count - x * y, yy / count - y * y
    xz, yz = xz / count - x * z, yz / count - y * z
    determinant = xx * yy - xy * xy
    a = (xz * yy - yz * xy) / determinant
    b = (yz * xx - xz * xy) / determinant
    return a, b, z - a * x - b * y, count

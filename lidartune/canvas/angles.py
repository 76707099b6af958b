"""Points as the kernels want them, and their ranges and angles, the same to the last bit on every machine."""

from __future__ import annotations

import math

import numpy as np

from lidartune.kernels import inlined


def as_points(points: np.ndarray) -> np.ndarray:
    """Points as contiguous (N, 4) float32; ValueError for another shape."""
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 4:
        raise ValueError(f"points must be (N, 4): x, y, z, remission; not {points.shape}")
    return np.ascontiguousarray(points, dtype=np.float32)


@inlined
def range_m(x: float, y: float, z: float) -> np.float32:
    """Distance from the sensor: exact squares in float64, rounded once to float32."""
    dx, dy, dz = np.float64(x), np.float64(y), np.float64(z)
    return np.float32(math.sqrt(dx * dx + dy * dy + dz * dz))


@inlined
def atan2(y: float, x: float) -> float:
    """atan2 in float64 to within 4e-16 without a branch, so that loops over it vectorise.

    |y|/|x| is brought to [-tan(pi/8), tan(pi/8)] by reflection at 45 degrees and atan(t) = pi/4 + atan((t-1)/(t+1)),
    so the eight directions that can lie exactly on a column's edge are exact; the polynomial is a Chebyshev fit of
    atan(t)/t in t^2. No signed zeros: atan2(0, x < 0) = pi, atan2(0, 0) = 0.
    """
    ax, ay = abs(x), abs(y)
    large = ax if ax > ay else ay
    small = ay if ax > ay else ax
    steep = small > 0.41421356237309503 * large
    above = small - large if steep else small
    below = small + large if steep else large
    t = above / (below if below > 0.0 else 1.0)
    s = t * t
    p = -0.017803896394812564
    p = p * s + 0.03796390316111083
    p = p * s - 0.05035049795312439
    p = p * s + 0.05846866752275139
    p = p * s - 0.06662950246036792
    p = p * s + 0.07692045194561481
    p = p * s - 0.09090896801472813
    p = p * s + 0.11111110744657099
    p = p * s - 0.14285714279244968
    p = p * s + 0.19999999999940837
    p = p * s - 0.3333333333333312
    p = p * s + 1.0
    angle = t * p + (0.7853981633974483 if steep else 0.0)
    angle = 1.5707963267948966 - angle if ay > ax else angle
    angle = 3.141592653589793 - angle if x < 0.0 else angle
    return -angle if y < 0.0 else angle

"""Points -> range image: the spherical projection of rotating LiDAR sensors, and the maps back to the points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from lidartune.errors import UserError

CHANNELS = ("range", "x", "y", "z", "remission")
EMPTY = -1.0
BLOCK = 512  # points handled at a time, so that their values stay in the first-level cache


@dataclass(frozen=True)
class Sensor:
    """The grid that a scan is projected onto.

    Attributes:
        height, width: rows (top first) and columns; the columns go once round.
        fov_up_deg, fov_down_deg: elevation of the upper edge of the first row and of the lower edge of the last row, in
            degrees above the horizon. Both signed: a sensor whose uppermost ray looks down has a negative `fov_up_deg`.

    Raises:
        UserError: sizes that are no positive whole numbers, or angles that are not -90 <= down < up <= 90.
    """

    height: int
    width: int
    fov_up_deg: float
    fov_down_deg: float

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
                raise UserError(
                    f"a canvas {name} must be a positive whole number",
                    where=name,
                    found=repr(size),
                    do="mend this setting",
                )
        if self.height * self.width > 1 << 24:
            raise UserError(
                "this canvas has too many pixels", found=f"{self.height} x {self.width}", wanted="at most 16,777,216"
            )
        angles = (self.fov_up_deg, self.fov_down_deg)
        numbers = all(isinstance(a, (int, float, np.number)) and not isinstance(a, bool) for a in angles)
        if not numbers or not -90 <= self.fov_down_deg < self.fov_up_deg <= 90:
            raise UserError(
                "the field of view must reach from a lower to a higher elevation",
                where="fov_up_deg, fov_down_deg",
                found=f"up {self.fov_up_deg!r}, down {self.fov_down_deg!r}",
                wanted="-90 <= down < up <= 90, in degrees above the horizon",
                do="mend the sign or the order; an HDL-64 has up 3, down -25",
            )


@dataclass(frozen=True, eq=False)
class Canvas:
    """One projected scan of N points on H x W pixels.

    Attributes:
        image: (5, H, W) float32: range, x, y, z in metres and remission of the nearest point; -1 in empty pixels.
        mask: (H, W) bool: a point landed here.
        index: (H, W) int32: number of the point shown; -1 in empty pixels.
        row, column: (N,) int32: each point's pixel, shown there or hidden behind a nearer one; -1 for unusable points.
    """

    image: np.ndarray
    mask: np.ndarray
    index: np.ndarray
    row: np.ndarray
    column: np.ndarray


def project(points: np.ndarray, sensor: Sensor) -> Canvas:
    """Projects points (N, 4), x, y, z in metres and remission, onto a sensor's grid.

    column = floor(W (1 - azimuth / pi) / 2) with azimuth = atan2(y, x), row = floor(H (up - elevation) / (up - down)):
    lidar-bonnetal's formulas with signed angles. Columns wrap round, rows are clamped to the first and last. Of
    several points on a pixel the nearest (by its float32 range) is shown, of equally near ones the first. Points with
    a NaN or an infinity in any of the four values, and points at the origin, are unusable: they land nowhere.

    Angles are computed in float64 with additions and products in a fixed order, so every machine gives the same pixels.
    """
    points = as_points(points)
    height, width = int(sensor.height), int(sensor.width)
    image = np.empty((5, height, width), np.float32)
    mask = np.empty((height, width), np.bool_)
    index = np.empty((height, width), np.int32)
    up, down = math.radians(sensor.fov_up_deg), math.radians(sensor.fov_down_deg)
    ranges, rows, columns = _locate(points, height, width, up, down)
    _draw(points, ranges, rows, columns, image, mask, index)
    return Canvas(image, mask, index, rows, columns)


def as_points(points: np.ndarray) -> np.ndarray:
    """Points as contiguous (N, 4) float32; ValueError for another shape."""
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 4:
        raise ValueError(f"points must be (N, 4): x, y, z, remission; not {points.shape}")
    return np.ascontiguousarray(points, dtype=np.float32)


@numba.njit(inline="always")
def range_m(x: float, y: float, z: float) -> np.float32:
    """Distance from the sensor: exact squares in float64, rounded once to float32."""
    dx, dy, dz = np.float64(x), np.float64(y), np.float64(z)
    return np.float32(math.sqrt(dx * dx + dy * dy + dz * dz))


@numba.njit(inline="always", error_model="numpy")
def _atan2(y: float, x: float) -> float:
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


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _locate(
    points: np.ndarray, height: int, width: int, up: float, down: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each point's float32 range, row and column; -1 rows and columns for unusable points.

    Works block by block in contiguous float64, one short loop for each step: only such loops vectorise (3 times
    faster).
    """
    count = len(points)
    ranges = np.empty(count, np.float32)
    rows = np.empty(count, np.int32)
    columns = np.empty(count, np.int32)
    x, y, z, planar = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    u, v = np.empty(BLOCK), np.empty(BLOCK)
    distance, remission = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        for p in range(size):
            x[p], y[p], z[p] = points[start + p, 0], points[start + p, 1], points[start + p, 2]
            remission[p] = points[start + p, 3]
        for p in range(size):
            planar[p] = math.sqrt(x[p] * x[p] + y[p] * y[p])
            distance[p] = range_m(x[p], y[p], z[p])
        for p in range(size):
            u[p] = _atan2(y[p], x[p])
        for p in range(size):
            v[p] = _atan2(z[p], planar[p])
        for p in range(size):
            position = 0.5 * (1.0 - u[p] / math.pi) * width
            u[p] = position if position < width else 0.0
        for p in range(size):
            position = (1.0 - (v[p] - down) / (up - down)) * height
            position = position if position > 0.0 else 0.0
            v[p] = position if position < height else height - 1.0
        for p in range(size):
            usable = (distance[p] > 0.0) & (distance[p] < np.inf) & (abs(remission[p]) < np.inf)
            ranges[start + p] = distance[p]
            rows[start + p] = np.int32(v[p]) if usable else np.int32(-1)
            columns[start + p] = np.int32(u[p]) if usable else np.int32(-1)
    return ranges, rows, columns


@numba.njit(cache=True, nogil=True)
def _draw(
    points: np.ndarray,
    ranges: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray,
    index: np.ndarray,
) -> None:
    """The nearest point of each pixel, and its five channels."""
    height, width = index.shape
    nearest = image[0]
    nearest[:] = np.inf
    index[:] = -1
    for i in range(len(points)):
        row, column = rows[i], columns[i]
        if row >= 0 and ranges[i] < nearest[row, column]:
            nearest[row, column] = ranges[i]
            index[row, column] = i
    for row in range(height):
        for column in range(width):
            shown = index[row, column]
            mask[row, column] = shown >= 0
            if shown >= 0:
                for channel in range(4):
                    image[channel + 1, row, column] = points[shown, channel]
            else:
                for channel in range(5):
                    image[channel, row, column] = EMPTY

"""Points -> range image: the spherical projection of rotating LiDAR sensors, and the maps back to the points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lidartune.canvas.angles import as_points, atan2, range_m
from lidartune.canvas.rings import ring_numbers
from lidartune.errors import UserError, nearest
from lidartune.kernels import kernel

Rows = Literal["elevation", "ring"]
CHANNELS = ("range", "x", "y", "z", "remission")
EMPTY = -1.0
MOST_RINGS_A_ROW = 4  # a file in another order "has" thousands of rings of two or three points
BLOCK = 512  # points handled at a time, so that their values stay in the first-level cache


@dataclass(frozen=True)
class Sensor:
    """The grid that a scan is projected onto.

    Attributes:
        height, width: rows (top first) and columns; the columns go once round.
        fov_up_deg, fov_down_deg: elevation of the upper edge of the first row and of the lower edge of the last row, in
            degrees above the horizon. Both signed: a sensor whose uppermost ray looks down has a negative `fov_up_deg`.
        rows: "elevation" puts a point onto the row of its elevation. "ring" puts each ring of a file that stores its
            rings one after another (`ring_numbers`) onto a row of its own, highest ring first, whatever its points'
            elevations: it needs no field of view and hides fewer points. Where the file has two, three or four times
            as many rings as the canvas rows, so many share a row. The file must hold whole turns: of a scan cut to a
            sector some points go to the ring beside theirs.

    Raises:
        UserError: sizes that are no positive whole numbers, angles that are not -90 <= down < up <= 90, or other rows.
    """

    height: int
    width: int
    fov_up_deg: float
    fov_down_deg: float
    rows: Rows = "elevation"

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
        if self.rows not in get_args(Rows):
            raise UserError(
                "there is no such way to find a point's row",
                where="rows",
                found=repr(self.rows),
                wanted=" or ".join(get_args(Rows)),
                do=nearest(self.rows, get_args(Rows)),
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

    Raises:
        UserError: `sensor.rows` is "ring", and the file does not have as many rings as the canvas rows.
    """
    points = as_points(points)
    height, width = int(sensor.height), int(sensor.width)
    image = np.empty((5, height, width), np.float32)
    mask = np.empty((height, width), np.bool_)
    index = np.empty((height, width), np.int32)
    up, down = math.radians(sensor.fov_up_deg), math.radians(sensor.fov_down_deg)
    ranges, row, column = _locate(points, height, width, up, down)
    if sensor.rows == "ring":
        row = _ring_rows(points, height)
    _draw(points, ranges, row, column, image, mask, index)
    return Canvas(image, mask, index, row, column)


def _ring_rows(points: np.ndarray, height: int) -> np.ndarray:
    """Each point's row (N,) int32 by its ring, highest first; -1 for unusable points."""
    number = ring_numbers(points)
    count = int(number.max(initial=-1)) + 1
    if count % height or count > MOST_RINGS_A_ROW * height:
        raise UserError(
            "this scan cannot be put onto rows by ring: its rings are not as many as the canvas has rows",
            where="rows",
            found=f"{count:,} rings among {np.count_nonzero(number >= 0):,} points in the order of the file",
            wanted=f"{height} rings, or two to {MOST_RINGS_A_ROW} times as many",
            do='set rows to "elevation", or the height of the canvas to the number of rings',
        )
    row = number // np.int32(count // height) if count > height else number
    upwards = count > 1 and _elevation(points[number == 0]) < _elevation(points[number == count - 1])
    return np.where(number >= 0, height - 1 - row, np.int32(-1)) if upwards else row


def _elevation(ring: np.ndarray) -> float:
    """The median elevation in radians of points (n, 4)."""
    x, y, z = ring[:, :3].astype(np.float64).T
    return float(np.median(np.arctan2(z, np.hypot(x, y))))


@kernel
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
            u[p] = atan2(y[p], x[p])
        for p in range(size):
            v[p] = atan2(z[p], planar[p])
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


@kernel
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

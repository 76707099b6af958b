"""The definitions of projection and neighbour vote, written plainly in numpy: one point, one pixel at a time.

And what lidar-bonnetal's vote does, in the torch operations that it is made of.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from lidartune.canvas import Sensor

EDGE = 1e-9  # of a pixel: so near to its edge, rounding decides


def brute_pixels(points: np.ndarray, sensor: Sensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float32 ranges, rows and columns by the formulas, in float64; -1 for unusable points."""
    ranges, usable, v, u = _positions(points, sensor)
    rows = np.full(len(points), -1)
    columns = np.full(len(points), -1)
    rows[usable] = np.clip(np.floor(v[usable]), 0, sensor.height - 1).astype(int)
    columns[usable] = np.floor(u[usable]).astype(int) % sensor.width
    return ranges, rows, columns


def assert_pixels_equal(canvas, points: np.ndarray, sensor: Sensor, *, rows: bool = True) -> None:
    """A canvas has each point on the pixel of `brute_pixels`, or beside it where the point lies on the very edge."""
    _, usable, v, u = _positions(points, sensor)
    _, row, column = brute_pixels(points, sensor)
    with np.errstate(all="ignore"):
        between_rows, between_columns = (usable & (np.abs(at - np.rint(at)) < EDGE) for at in (v, u))
    aside = (canvas.column - column) % sensor.width
    assert (aside[~between_columns] == 0).all() and np.isin(aside, [0, 1, sensor.width - 1]).all()
    assert (canvas.column < sensor.width).all() and ((canvas.column >= 0) == usable).all()
    if rows:
        assert (canvas.row == row)[~between_rows].all() and (np.abs(canvas.row - row) <= 1).all()
        assert (canvas.row < sensor.height).all() and ((canvas.row >= 0) == usable).all()


def _positions(points: np.ndarray, sensor: Sensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Float32 ranges, whether points are usable, and their places in rows and columns."""
    values = points.astype(np.float64)
    x, y, z = values[:, 0] + 0.0, values[:, 1] + 0.0, values[:, 2]
    with np.errstate(all="ignore"):
        exact = np.sqrt(x * x + y * y + z * z)
        ranges = exact.astype(np.float32)
        usable = np.isfinite(points).all(axis=1) & (ranges > 0) & np.isfinite(ranges)
        azimuth = np.arctan2(y, x)
        elevation = np.arctan2(z, np.sqrt(x * x + y * y))
        up, down = math.radians(sensor.fov_up_deg), math.radians(sensor.fov_down_deg)
        u = 0.5 * (1.0 - azimuth / np.pi) * sensor.width
        v = (1.0 - (elevation - down) / (up - down)) * sensor.height
    return ranges, usable, v, u


def brute_canvas(points: np.ndarray, ranges: np.ndarray, rows: np.ndarray, columns: np.ndarray, sensor: Sensor):
    """Image and index by looking at every point in turn."""
    image = np.full((5, sensor.height, sensor.width), -1.0, np.float32)
    index = np.full((sensor.height, sensor.width), -1)
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        if row < 0:
            continue
        shown = index[row, column]
        if shown < 0 or ranges[i] < ranges[shown]:
            index[row, column] = i
            image[:, row, column] = (ranges[i], *points[i])
    return image, index


def brute_neighbours(canvas, ranges: np.ndarray, k: int, window: int, sigma: float, cutoff_m: float) -> np.ndarray:
    """Flat pixels of each point's k nearest by weighted range difference, sorted by (distance, window position)."""
    height, width = canvas.index.shape
    margin = window // 2
    grid = [(dy, dx) for dy in range(-margin, margin + 1) for dx in range(-margin, margin + 1)]
    gauss = np.array([math.exp(-(dy * dy + dx * dx) / (2 * sigma**2)) for dy, dx in grid])
    weights = (1 - gauss / gauss.sum()).astype(np.float32)
    found = np.full((len(ranges), k), -1)
    for i, (row, column) in enumerate(zip(canvas.row, canvas.column, strict=True)):
        candidates = []
        for position, (dy, dx) in enumerate(grid):
            y, x = row + dy, (column + dx) % width
            if row < 0 or not 0 <= y < height or canvas.index[y, x] < 0:
                continue
            distance = abs(canvas.image[0, y, x] - ranges[i]) * weights[position]
            if (dy, dx) == (0, 0):
                distance = np.float32(0)
            if distance <= np.float32(min(cutoff_m, 3e38)):
                candidates.append((distance, position, y * width + x))
        nearest = [pixel for _, _, pixel in sorted(candidates)[:k]]
        found[i, : len(nearest)] = nearest
    return found


def brute_vote(found: np.ndarray, canvas, class_image: np.ndarray) -> np.ndarray:
    """Majority over classes from 1; ties to the lowest; nobody: the own pixel's class; unusable: 0."""
    width = class_image.shape[1]
    result = np.zeros(len(found), np.uint8)
    for i, pixels in enumerate(found):
        if canvas.row[i] < 0:
            continue
        votes = [class_image[p // width, p % width] for p in pixels if p >= 0]
        votes = [v for v in votes if v != 0]
        own = class_image[canvas.row[i], canvas.column[i]]
        result[i] = min(set(votes), key=lambda v: (-votes.count(v), v)) if votes else own
    return result


def bonnetal_vote(
    canvas, ranges: np.ndarray, class_image: np.ndarray, k: int, window: int, sigma: float, cutoff_m: float
) -> np.ndarray:
    """Zero padding on all sides, empty pixels at infinity, class 1 where nobody votes; for usable points only.

    Equal distances go by position in the window, which topk leaves open.
    """
    height, width = class_image.shape
    nobody = 256
    own_range = torch.from_numpy(ranges)
    own_pixel = torch.from_numpy(canvas.row.astype(np.int64) * width + canvas.column)

    def windows(image: np.ndarray) -> torch.Tensor:
        unfolded = functional.unfold(torch.from_numpy(image)[None, None], window, padding=window // 2)
        return unfolded[0][:, own_pixel]

    near = windows(canvas.image[0])
    near[near < 0] = math.inf
    near[window * window // 2] = own_range
    offsets = torch.arange(window, dtype=torch.float64) - window // 2
    gauss = torch.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * sigma**2))
    weights = (1 - gauss / gauss.sum()).float().reshape(-1, 1)
    distance, order = ((near - own_range).abs() * weights).sort(dim=0, stable=True)
    classes = windows(class_image.astype(np.float32)).long().gather(0, order[:k])
    classes[distance[:k] > cutoff_m] = nobody
    votes = torch.zeros(nobody + 1, len(ranges)).scatter_add_(0, classes, torch.ones(classes.shape))
    return (votes[1:nobody].argmax(dim=0) + 1).to(torch.uint8).numpy()

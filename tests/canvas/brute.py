"""The definitions of projection and neighbour vote, written plainly in numpy: one point, one pixel at a time."""

from __future__ import annotations

import math

import numpy as np

from lidartune.canvas import Sensor


def brute_pixels(points: np.ndarray, sensor: Sensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float32 ranges, rows and columns by the formulas, in float64; -1 for unusable points."""
    values = points.astype(np.float64)
    x, y, z = values[:, 0] + 0.0, values[:, 1] + 0.0, values[:, 2]
    with np.errstate(all="ignore"):
        exact = np.sqrt(x * x + y * y + z * z)
        ranges = exact.astype(np.float32)
        usable = np.isfinite(points).all(axis=1) & (ranges > 0) & np.isfinite(ranges)
        azimuth = np.arctan2(y, x)
        elevation = np.arctan2(z, np.sqrt(x * x + y * y))
        up, down = math.radians(sensor.fov_up_deg), math.radians(sensor.fov_down_deg)
        u = np.floor(0.5 * (1.0 - azimuth / np.pi) * sensor.width)
        v = np.floor((1.0 - (elevation - down) / (up - down)) * sensor.height)
    rows = np.full(len(points), -1)
    columns = np.full(len(points), -1)
    rows[usable] = np.clip(v[usable], 0, sensor.height - 1).astype(int)
    columns[usable] = u[usable].astype(int) % sensor.width
    return ranges, rows, columns


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

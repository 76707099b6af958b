"""Classes of pixels -> classes of points: each point takes the class that most of its neighbours have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lidartune.canvas.angles import as_points
from lidartune.canvas.neighbours import Rule, check_rule, neighbours, window_weights
from lidartune.canvas.parts import in_parts
from lidartune.canvas.projection import Canvas
from lidartune.kernels import kernel

BLOCK = 256  # points handled at a time, so that their candidates stay in the first-level cache


def vote(
    neighbour_index: np.ndarray,
    own_pixel: Canvas | np.ndarray,
    class_image: np.ndarray,
    *,
    rule: Rule = "lidartune",
    threads: int = 1,
) -> np.ndarray:
    """Each point's class by the majority of its neighbours: (N,) uint8.

    Class 0 (ignored) has no vote; ties go to the lowest class; where nobody votes it is the class at the point's own
    pixel; unusable points get 0. The result is the same for any number of threads.

    Args:
        neighbour_index: (N, k), from `neighbours`.
        own_pixel: the canvas, or (N,) row * W + column, negative for unusable points.
        class_image: (H, W) classes 0..255.
        rule: "bonnetal" for comparison with lidar-bonnetal's scores: where nobody votes it is class 1 (car).
    """
    check_rule(rule)
    if isinstance(own_pixel, Canvas):
        own_pixel = own_pixel.row * np.int32(own_pixel.index.shape[1]) + own_pixel.column
    classes = _as_classes(class_image).ravel()
    own_pixel = np.ascontiguousarray(own_pixel, dtype=np.int32)
    by_rank = np.ascontiguousarray(np.transpose(neighbour_index), dtype=np.int32)
    if by_rank.ndim != 2 or by_rank.shape[1] != len(own_pixel):
        raise ValueError(f"neighbours {np.shape(neighbour_index)} of {len(own_pixel)} points")
    for pixels in (by_rank, own_pixel):
        if pixels.size and int(pixels.max()) >= classes.size:
            raise ValueError(f"pixel {pixels.max()} of a class image with {classes.size} pixels")
    unheard = 1 if rule == "bonnetal" else 0
    result = np.empty(len(own_pixel), np.uint8)
    in_parts(lambda a, b: _majority(by_rank, own_pixel, classes, unheard, result, a, b), len(result), threads)
    return result


def neighbour_vote(
    canvas: Canvas,
    points: np.ndarray,
    class_image: np.ndarray,
    *,
    k: int = 5,
    window: int = 5,
    sigma: float = 1.0,
    cutoff_m: float = 1.0,
    rule: Rule = "lidartune",
    threads: int = 1,
) -> np.ndarray:
    """Each point's class (N,) uint8 from an image of classes (H, W): `vote` among its `neighbours`, which say how.

    Faster than these two for a single image: where a window holds one class only, ignored pixels aside, and the
    point's own pixel has it, no neighbour can change the result, and none is looked for.
    """
    points = as_points(points)
    if np.shape(class_image) != canvas.index.shape:
        raise ValueError(f"a class image {np.shape(class_image)} for a canvas {canvas.index.shape}")
    if len(points) != len(canvas.row):
        raise ValueError(f"{len(points)} points with a canvas of {len(canvas.row)}")
    classes = _as_classes(class_image)
    window_weights(k, window, sigma, cutoff_m)  # refuses what makes no sense, before anything is done
    settled = np.zeros_like(classes)
    if rule != "bonnetal":
        _settle(classes, canvas.mask, int(window) // 2, settled)
    result = np.zeros(len(points), np.uint8)
    asking = _take_settled(settled, canvas.row, canvas.column, result)

    def ask(start: int, stop: int) -> None:
        some = asking[start:stop]
        part = replace(canvas, row=canvas.row[some], column=canvas.column[some])
        found = neighbours(part, points[some], k=k, window=window, sigma=sigma, cutoff_m=cutoff_m, rule=rule)
        result[some] = vote(found, part, classes, rule=rule)

    in_parts(ask, len(asking), threads)
    return result


def _as_classes(class_image: np.ndarray) -> np.ndarray:
    image = np.asarray(class_image)
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if not np.issubdtype(image.dtype, np.integer) or (image.size and not 0 <= image.min() <= image.max() <= 255):
        raise ValueError(f"an image of classes holds integers 0..255, not {image.dtype}")
    return np.ascontiguousarray(image, dtype=np.uint8)


@kernel
def _settle(classes: np.ndarray, mask: np.ndarray, margin: int, settled: np.ndarray) -> None:
    """The pixels whose class is the only one in their window, ignored and empty pixels aside; 0 elsewhere.

    First the lowest and highest class along each row's windows, then along columns. Classes are lowered by one, so
    that "ignored" is the highest for the lowest; all wraps in uint8 are meant.
    """
    height, width = classes.shape
    one = np.uint8(1)
    lowest = np.full((height, width), np.uint8(255))
    highest = np.zeros((height, width), np.uint8)
    line = np.empty(width + 2 * margin, np.uint8)
    for row in range(height):
        for x in range(width):
            line[x + margin] = classes[row, x] if mask[row, x] else np.uint8(0)
        for x in range(margin):
            line[x] = line[(x - margin) % width + margin]
            line[width + margin + x] = line[x % width + margin]
        for shift in range(2 * margin + 1):
            for x in range(width):
                c = line[x + shift]
                less = np.uint8(c - one)
                highest[row, x] = c if c > highest[row, x] else highest[row, x]
                lowest[row, x] = less if less < lowest[row, x] else lowest[row, x]
    low = np.empty(width, np.uint8)
    high = np.empty(width, np.uint8)
    for row in range(height):
        for x in range(width):
            low[x], high[x] = np.uint8(255), np.uint8(0)
        for y in range(max(0, row - margin), min(height, row + margin + 1)):
            for x in range(width):
                high[x] = highest[y, x] if highest[y, x] > high[x] else high[x]
                low[x] = lowest[y, x] if lowest[y, x] < low[x] else low[x]
        for x in range(width):
            only = np.uint8(high[x] - one) == low[x]
            settled[row, x] = classes[row, x] if only else np.uint8(0)


@kernel
def _take_settled(settled: np.ndarray, rows: np.ndarray, columns: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Fills the result of points at settled pixels; the numbers of the other usable points."""
    asking = np.empty(len(rows), np.int64)
    count = 0
    for i in range(len(rows)):
        row, column = rows[i], columns[i]
        if row >= 0:
            result[i] = settled[row, column]
            asking[count] = i
            count += result[i] == 0
    return asking[:count]


@kernel
def _majority(
    by_rank: np.ndarray,
    own_pixel: np.ndarray,
    classes: np.ndarray,
    unheard: int,
    result: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Votes counted for a block of points at a time: all pairs of neighbours compared, no branch taken.

    A ballot is 256 times its votes plus 255 minus its class, so that the largest has most votes and then the lowest
    class. `unheard` is the class where nobody votes, or 0 for the class at the own pixel.
    """
    k = len(by_rank)
    candidates = np.empty((k, BLOCK), np.int32)
    votes = np.empty(BLOCK, np.int32)
    best = np.empty(BLOCK, np.int32)
    for block in range(start, stop, BLOCK):
        size = min(BLOCK, stop - block)
        for j in range(k):
            for p in range(size):
                pixel = by_rank[j, block + p]
                candidates[j, p] = classes[np.uint32(pixel)] if pixel >= 0 else 0
        for p in range(BLOCK):
            best[p] = 0
        for j in range(k):
            for p in range(BLOCK):
                votes[p] = 0
            for other in range(k):
                for p in range(size):
                    votes[p] += np.int32(candidates[other, p] == candidates[j, p])
            for p in range(size):
                ballot = votes[p] * 256 + 255 - candidates[j, p]
                ballot = ballot if candidates[j, p] > 0 else 0
                best[p] = ballot if ballot > best[p] else best[p]
        for p in range(size):
            pixel = own_pixel[block + p]
            own = classes[np.uint32(pixel)] if pixel >= 0 else np.uint8(0)
            quiet = own if unheard == 0 or pixel < 0 else np.uint8(unheard)
            result[block + p] = np.uint8(255 - (best[p] & 255)) if best[p] > 0 and pixel >= 0 else quiet

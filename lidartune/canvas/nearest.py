"""The search for each point's nearest pixels by range: kernels of `neighbours`."""

from __future__ import annotations

import numpy as np

from lidartune.canvas.angles import range_m
from lidartune.kernels import kernel, part

BLOCK = 256  # points handled at a time, so that their candidates stay in the first-level cache
FAR = np.float32(np.inf)
NOBODY = 1e300
BINADE = 1 << 52


@kernel
def pad_ranges(ranges: np.ndarray, mask: np.ndarray, margin: int, empty: np.float32, wraps: bool) -> np.ndarray:
    """The range image with `margin` more pixels on each side, and `empty` where no point is.

    Either columns wrap and rows outside are infinitely far, or all outside is 0 m away.
    """
    height, width = ranges.shape
    padded = np.empty((height + 2 * margin, width + 2 * margin), np.float32)
    for row in range(-margin, height + margin):
        line = padded[row + margin]
        if not 0 <= row < height:
            for x in range(width + 2 * margin):
                line[x] = FAR if wraps else np.float32(0)
            continue
        for column in range(width):
            line[column + margin] = ranges[row, column] if mask[row, column] else empty
        for x in range(margin):
            left, right = (x - margin) % width, x % width
            line[x] = line[left + margin] if wraps else np.float32(0)
            line[width + margin + x] = line[right + margin] if wraps else np.float32(0)
    return padded


@kernel
def find_nearest(
    points: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    padded: np.ndarray,
    height: int,
    width: int,
    weights: np.ndarray,
    cutoff_m: np.float32,
    laps: int,
    found: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Fills found (k, N) from `start` to `stop`, a block of points at a time.

    Candidates come five at a time: sorted among themselves by a network of min and max, then merged with the best
    five so far; the five that lose go on to the next best five, where k is more than 5. Each step is a short loop over
    the block in which all values stay in registers and nothing branches: only such loops vectorise.
    """
    window = weights.shape[0]
    margin = window // 2
    stride = width + 2 * margin
    groups = -(-found.shape[0] // 5)
    centre = window * window // 2
    own = np.zeros(BLOCK, np.float32)
    row, column = np.zeros(BLOCK, np.int32), np.zeros(BLOCK, np.int32)
    corner = np.zeros(BLOCK, np.uint32)
    near = np.zeros((5, BLOCK), np.float32)
    keys = np.zeros((5, BLOCK), np.float64)
    best = np.zeros((5 * groups, BLOCK), np.float64)
    pixel, x = np.zeros(BLOCK, np.int32), np.zeros(BLOCK, np.int32)
    for block in range(start, stop, BLOCK):
        size = min(BLOCK, stop - block)
        for p in range(size):
            row[p], column[p] = rows[block + p], columns[block + p]
            own[p] = range_m(points[block + p, 0], points[block + p, 1], points[block + p, 2])
            corner[p] = np.uint32(row[p] * stride + column[p]) if row[p] >= 0 else np.uint32(0)
        for j in range(5 * groups):
            for p in range(BLOCK):
                best[j, p] = NOBODY
        for first in range(0, window * window, 5):
            _look(padded, corner, size, first, window, stride, near)
            if first <= centre < first + 5:
                for p in range(BLOCK):
                    near[centre - first, p] = own[p]
            _sort_keys(near, own, weights, first, cutoff_m, keys)
            for group in range(groups - 1):
                _merge_and_pass_on(best, 5 * group, keys)
            _merge(best, 5 * (groups - 1), keys)
        for j in range(found.shape[0]):
            _to_pixels(best[j], row, column, np.int32(margin), np.int32(height), np.int32(width), laps, x, pixel)
            for p in range(size):
                found[j, block + p] = pixel[p]


@part
def _look(
    padded: np.ndarray, corner: np.ndarray, size: int, first: int, window: int, stride: int, near: np.ndarray
) -> None:
    """Ranges at five positions of the window, each point's window beginning at its corner."""
    for i in range(5):
        position = min(first + i, window * window - 1)
        offset = np.uint32(position // window * stride + position % window)
        for p in range(size):
            near[i, p] = padded[np.uint32(corner[p] + offset)]


@part
def _candidate(weights: np.ndarray, position: int) -> tuple[np.float32, int]:
    """Weight and place of a position in the window; NaN, which nothing is near by, behind its last one.

    A place is the position in ten bits, row and column, which order as positions do.
    """
    window = weights.shape[0]
    if position >= window * window:
        return np.float32(np.nan), 0
    row, column = position // window, position % window
    return weights[row, column], row << 5 | column


@part
def _sort_keys(
    near: np.ndarray, own: np.ndarray, weights: np.ndarray, first: int, cutoff_m: np.float32, keys: np.ndarray
) -> None:
    """Keys (5, BLOCK) in order, of the candidates at five positions of the window."""
    w0, place0 = _candidate(weights, first)
    w1, place1 = _candidate(weights, first + 1)
    w2, place2 = _candidate(weights, first + 2)
    w3, place3 = _candidate(weights, first + 3)
    w4, place4 = _candidate(weights, first + 4)
    for p in range(BLOCK):
        a = _key(near[0, p], own[p], w0, cutoff_m, place0)
        b = _key(near[1, p], own[p], w1, cutoff_m, place1)
        c = _key(near[2, p], own[p], w2, cutoff_m, place2)
        d = _key(near[3, p], own[p], w3, cutoff_m, place3)
        e = _key(near[4, p], own[p], w4, cutoff_m, place4)
        keys[0, p], keys[1, p], keys[2, p], keys[3, p], keys[4, p] = _sorted5(a, b, c, d, e)


@part
def _merge(best: np.ndarray, j: int, keys: np.ndarray) -> None:
    """The five lowest of `best` from row j on and of `keys`, both in order."""
    for p in range(BLOCK):
        a, b = _least(best[j, p], keys[4, p]), _least(best[j + 1, p], keys[3, p])
        c = _least(best[j + 2, p], keys[2, p])
        d, e = _least(best[j + 3, p], keys[1, p]), _least(best[j + 4, p], keys[0, p])
        best[j, p], best[j + 1, p], best[j + 2, p], best[j + 3, p], best[j + 4, p] = _sorted5(a, b, c, d, e)


@part
def _merge_and_pass_on(best: np.ndarray, j: int, keys: np.ndarray) -> None:
    """As `_merge`, and leaves the five highest, in order, in `keys`."""
    for p in range(BLOCK):
        a, b, c, d, e = best[j, p], best[j + 1, p], best[j + 2, p], best[j + 3, p], best[j + 4, p]
        v, w, x, y, z = keys[4, p], keys[3, p], keys[2, p], keys[1, p], keys[0, p]
        best[j, p], best[j + 1, p], best[j + 2, p], best[j + 3, p], best[j + 4, p] = _sorted5(
            _least(a, v), _least(b, w), _least(c, x), _least(d, y), _least(e, z)
        )
        keys[0, p], keys[1, p], keys[2, p], keys[3, p], keys[4, p] = _sorted5(
            _most(a, v), _most(b, w), _most(c, x), _most(d, y), _most(e, z)
        )


@part
def _to_pixels(
    keys: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    margin: np.int32,
    height: np.int32,
    width: np.int32,
    laps: int,
    x: np.ndarray,
    pixel: np.ndarray,
) -> None:
    """row * width + column of the places that keys end in; -1 for nobody and outside the image. `x` is scratch.

    All in int32, as mixed widths do not vectorise.
    """
    for p in range(BLOCK):
        place = np.int32(_float_bits(keys[p]) & 1023)
        pixel[p] = row[p] - margin + (place >> np.int32(5))
        x[p] = column[p] - margin + (place & np.int32(31))
    for _ in range(laps):
        for p in range(BLOCK):
            x[p] = x[p] + width if x[p] < 0 else (x[p] - width if x[p] >= width else x[p])
    for p in range(BLOCK):
        there = (pixel[p] >= 0) & (pixel[p] < height) & (x[p] >= 0) & (x[p] < width)
        there &= (keys[p] < NOBODY) & (row[p] >= 0)
        pixel[p] = pixel[p] * width + x[p] if there else np.int32(-1)


@part
def _float_bits(value: float) -> np.int64:
    return np.float64(value).view(np.int64)


@part
def _bits_float(bits: np.int64) -> np.float64:
    return np.int64(bits).view(np.float64)


@part
def _key(there_m: np.float32, own_m: np.float32, weight: np.float32, cutoff_m: np.float32, place: int) -> float:
    """What candidates are sorted by: their distance, then their place in the window.

    A float64: the float32 distance, exact, one binade up (so that 0 is no subnormal), with the place in bits that a
    float32 leaves free.
    """
    distance = abs(there_m - own_m) * weight
    key = np.float64(distance) if distance <= cutoff_m else NOBODY
    return _bits_float((_float_bits(key) + BINADE) | np.int64(place))


@part
def _least(a: float, b: float) -> float:
    return a if a < b else b


@part
def _most(a: float, b: float) -> float:
    return b if a < b else a


@part
def _sorted5(a: float, b: float, c: float, d: float, e: float) -> tuple[float, float, float, float, float]:
    """Five values in order, by nine exchanges."""
    a, d = _least(a, d), _most(a, d)
    b, e = _least(b, e), _most(b, e)
    a, c = _least(a, c), _most(a, c)
    b, d = _least(b, d), _most(b, d)
    a, b = _least(a, b), _most(a, b)
    c, e = _least(c, e), _most(c, e)
    b, c = _least(b, c), _most(b, c)
    d, e = _least(d, e), _most(d, e)
    c, d = _least(c, d), _most(c, d)
    return a, b, c, d, e

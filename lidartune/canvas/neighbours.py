"""Classes of pixels -> classes of points: each point asks the pixels around its own whose range is like its own."""

from __future__ import annotations

import math

import numba
import numpy as np

from lidartune.canvas.projection import Canvas, as_points, range_m
from lidartune.errors import UserError

BLOCK = 256  # points handled at a time, so that their candidates stay in the first-level cache
FAR = np.float32(np.inf)
NOBODY = 1e300
BINADE = 1 << 52
POSITIONS = 1024  # window positions that fit a key's free bits, a power of two


def neighbours(
    canvas: Canvas, points: np.ndarray, *, k: int = 5, window: int = 5, sigma: float = 1.0, cutoff_m: float = 1.0
) -> np.ndarray:
    """The k pixels around each point's own that are nearest to it in range: (N, k) int32 row * W + column, or -1.

    Candidates are the `window` x `window` pixels around the point's pixel. Azimuth wraps; pixels above, below or
    empty are none. The centre stands for the point itself, at distance 0; any other pixel is |its range - the point's
    range| times (1 - g) away, with g a Gaussian of `sigma` pixels over the window that sums to 1 (RangeNet++, Milioto
    et al. 2019). The k smallest are taken, equals in the order of the window's rows, and those beyond `cutoff_m`
    metres dropped; `math.inf` drops none. Depends on the geometry only: once for each scan, then `vote` for each
    prediction.

    Raises:
        UserError: a setting that makes no sense.
    """
    weights = _weights(k, window, sigma, cutoff_m)
    points = as_points(points)
    if len(points) != len(canvas.row):
        raise ValueError(f"{len(points)} points with a canvas of {len(canvas.row)}")
    nearest_cutoff = np.float32(min(cutoff_m, float(np.finfo(np.float32).max)))
    return _nearest(points, canvas.image[0], canvas.mask, canvas.row, canvas.column, weights, k, nearest_cutoff)


def vote(neighbour_index: np.ndarray, own_pixel: Canvas | np.ndarray, class_image: np.ndarray) -> np.ndarray:
    """Each point's class by the majority of its neighbours: (N,) uint8.

    Class 0 (ignored) has no vote; ties go to the lowest class; where nobody votes it is the class at the point's own
    pixel; unusable points get 0.

    Args:
        neighbour_index: (N, k), from `neighbours`.
        own_pixel: the canvas, or (N,) row * W + column with -1 for unusable points.
        class_image: (H, W) classes 0..255.
    """
    if isinstance(own_pixel, Canvas):
        width = own_pixel.index.shape[1]
        own_pixel = np.where(own_pixel.row < 0, np.int32(-1), own_pixel.row * np.int32(width) + own_pixel.column)
    classes = _as_classes(class_image).ravel()
    own_pixel = np.ascontiguousarray(own_pixel, dtype=np.int32)
    neighbour_index = np.ascontiguousarray(neighbour_index, dtype=np.int32)
    if neighbour_index.ndim != 2 or len(neighbour_index) != len(own_pixel):
        raise ValueError(f"neighbours {neighbour_index.shape} of {len(own_pixel)} points")
    for pixels in (neighbour_index, own_pixel):
        if pixels.size and int(pixels.max()) >= classes.size:
            raise ValueError(f"pixel {pixels.max()} of a class image with {classes.size} pixels")
    return _majority(neighbour_index, own_pixel, classes)


def neighbour_vote(
    canvas: Canvas,
    points: np.ndarray,
    class_image: np.ndarray,
    *,
    k: int = 5,
    window: int = 5,
    sigma: float = 1.0,
    cutoff_m: float = 1.0,
) -> np.ndarray:
    """Each point's class (N,) uint8 from an image of classes (H, W): `vote` among its `neighbours`, which say how."""
    if np.shape(class_image) != canvas.index.shape:
        raise ValueError(f"a class image {np.shape(class_image)} for a canvas {canvas.index.shape}")
    found = neighbours(canvas, points, k=k, window=window, sigma=sigma, cutoff_m=cutoff_m)
    return vote(found, canvas, class_image)


def _weights(k: int, window: int, sigma: float, cutoff_m: float) -> np.ndarray:
    """(window, window) float32: 1 - Gaussian normalised to sum 1; checks the settings."""
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in (k, window))
    if not whole or window < 1 or window % 2 == 0 or window > 31:
        raise UserError("the vote's window must be odd", where="window", found=repr(window), wanted="1, 3, 5, ... 31")
    if not 1 <= k <= window * window:
        raise UserError(
            "the vote asks more neighbours than its window holds", where="k", found=repr(k), wanted=f"1..{window**2}"
        )
    if not (math.isfinite(sigma) and sigma > 0) or not cutoff_m > 0:
        raise UserError(
            "the vote's sigma and cutoff must be positive",
            where="sigma, cutoff_m",
            found=f"{sigma!r}, {cutoff_m!r}",
            wanted="sigma in pixels, cutoff in metres (.inf for none)",
        )
    offsets = np.arange(window) - window // 2
    gauss = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2.0 * sigma**2))
    return (1.0 - gauss / gauss.sum()).astype(np.float32)


def _as_classes(class_image: np.ndarray) -> np.ndarray:
    image = np.asarray(class_image)
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if not np.issubdtype(image.dtype, np.integer) or (image.size and not 0 <= image.min() <= image.max() <= 255):
        raise ValueError(f"an image of classes holds integers 0..255, not {image.dtype}")
    return np.ascontiguousarray(image, dtype=np.uint8)


@numba.njit(cache=True, nogil=True)
def _padded(ranges: np.ndarray, mask: np.ndarray, margin: int) -> np.ndarray:
    """The range image with `margin` more pixels on each side: columns wrapped, rows and empty pixels infinitely far."""
    height, width = ranges.shape
    padded = np.full((height + 2 * margin, width + 2 * margin), FAR, np.float32)
    for row in range(height):
        for column in range(width):
            padded[row + margin, column + margin] = ranges[row, column] if mask[row, column] else FAR
        for column in range(margin):
            left = (column - margin) % width
            right = column % width
            padded[row + margin, column] = ranges[row, left] if mask[row, left] else FAR
            padded[row + margin, width + margin + column] = ranges[row, right] if mask[row, right] else FAR
    return padded


@numba.njit(cache=True, nogil=True)
def _nearest(
    points: np.ndarray,
    ranges: np.ndarray,
    mask: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    k: int,
    cutoff_m: np.float32,
) -> np.ndarray:
    """For each block of points, every window position in turn is sorted into the block's k best with min and max alone.

    A key is a float64: the float32 distance, exact, one binade up (so that 0 is no subnormal), with the window
    position in bits that a float32 leaves free. Keys order as (distance, position), so equals go by position without
    a second comparison.
    """
    height, width = ranges.shape
    window = weights.shape[0]
    margin = window // 2
    padded = _padded(ranges, mask, margin)
    stride = padded.shape[1]
    flat = padded.ravel()
    down = np.array([i // window - margin for i in range(window * window)])
    across = np.array([i % window - margin for i in range(window * window)])
    count = len(points)
    found = np.empty((count, k), np.int32)
    own = np.empty(BLOCK, np.float32)
    corner = np.empty(BLOCK, np.uint32)
    best = np.empty((k, BLOCK), np.float64)
    best_bits = best.view(np.int64)
    key = np.empty(BLOCK, np.float64)
    key_bits = key.view(np.int64)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        for p in range(size):
            row, column = rows[start + p], columns[start + p]
            own[p] = range_m(points[start + p, 0], points[start + p, 1], points[start + p, 2])
            corner[p] = np.uint32(row * stride + column) if row >= 0 else np.uint32(0)
        best[:] = NOBODY
        for position in range(window * window):
            dy, dx = position // window, position % window
            weight = weights[dy, dx]
            offset = np.uint32(dy * stride + dx)
            if dy == margin and dx == margin:
                key[:] = 0.0
            else:
                for p in range(size):
                    distance = abs(flat[corner[p] + offset] - own[p]) * weight
                    key[p] = np.float64(distance) if distance <= cutoff_m else NOBODY
            for p in range(size):
                key_bits[p] = (key_bits[p] + BINADE) | np.int64(position)
            for j in range(k):
                for p in range(size):
                    a, b = best[j, p], key[p]
                    best[j, p] = a if a < b else b
                    key[p] = b if a < b else a
        for p in range(size):
            row, column = rows[start + p], columns[start + p]
            for j in range(k):
                found[start + p, j] = -1
                if row >= 0 and best[j, p] < NOBODY:
                    place = best_bits[j, p] & np.int64(POSITIONS - 1)
                    x = column + across[place]
                    while x < 0:
                        x += width
                    while x >= width:
                        x -= width
                    found[start + p, j] = (row + down[place]) * width + x
    return found


@numba.njit(cache=True, nogil=True)
def _majority(neighbour_index: np.ndarray, own_pixel: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Votes counted for a block of points at a time: all pairs of neighbours compared, no branch taken.

    A ballot is 256 times its votes plus 255 minus its class, so that the largest has most votes and then the lowest
    class.
    """
    count, k = neighbour_index.shape
    nowhere = classes.size
    table = np.zeros(nowhere + 1, np.uint8)
    table[:nowhere] = classes
    result = np.empty(count, np.uint8)
    candidates = np.empty((k, BLOCK), np.int32)
    votes = np.empty(BLOCK, np.int32)
    best = np.empty(BLOCK, np.int32)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        for p in range(size):
            for j in range(k):
                pixel = neighbour_index[start + p, j]
                candidates[j, p] = table[np.uint32(pixel if pixel >= 0 else nowhere)]
        best[:] = 0
        for j in range(k):
            votes[:] = 0
            for other in range(k):
                for p in range(size):
                    votes[p] += np.int32(candidates[other, p] == candidates[j, p])
            for p in range(size):
                ballot = votes[p] * 256 + 255 - candidates[j, p]
                ballot = ballot if candidates[j, p] > 0 else 0
                best[p] = ballot if ballot > best[p] else best[p]
        for p in range(size):
            pixel = own_pixel[start + p]
            own = table[np.uint32(pixel if pixel >= 0 else nowhere)]
            result[start + p] = np.uint8(255 - (best[p] & 255)) if best[p] > 0 and pixel >= 0 else own
    return result

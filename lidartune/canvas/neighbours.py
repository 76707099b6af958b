"""Which pixels a point asks for its class: those around its own whose range is most like its own."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np

from lidartune.canvas.angles import as_points
from lidartune.canvas.nearest import FAR, find_nearest, pad_ranges
from lidartune.canvas.parts import in_parts
from lidartune.canvas.projection import Canvas
from lidartune.errors import UserError, nearest

Rule = Literal["lidartune", "bonnetal"]
LARGEST = float(np.finfo(np.float32).max)


def neighbours(
    canvas: Canvas,
    points: np.ndarray,
    *,
    k: int = 5,
    window: int = 5,
    sigma: float = 1.0,
    cutoff_m: float = 1.0,
    rule: Rule = "lidartune",
    threads: int = 1,
) -> np.ndarray:
    """The k pixels around each point's own that are nearest to it in range: (N, k) int32 row * W + column, or -1.

    Candidates are the `window` x `window` pixels around the point's pixel. Azimuth wraps; pixels above, below or
    empty are none. The centre stands for the point itself, at distance 0; any other pixel is |its range - the point's
    range| times (1 - g) away, with g a Gaussian of `sigma` pixels over the window that sums to 1 (RangeNet++, Milioto
    et al. 2019). The k smallest are taken, equals in the order of the window's rows, and those beyond `cutoff_m`
    metres dropped; `math.inf` drops none. Depends on the geometry only: once for each scan, then `vote` for each
    prediction. The result is the same for any number of threads.

    Args:
        rule: "bonnetal" for comparison with lidar-bonnetal's scores: azimuth does not wrap, and whatever lies outside
            the image, on any side, counts as a pixel of range 0 m that has no vote but takes a place among the k (-1
            here); without a cutoff (`math.inf`) empty pixels take the places that are left, and vote.

    Raises:
        UserError: a setting that makes no sense.
    """
    check_rule(rule)
    weights = window_weights(k, window, sigma, cutoff_m)
    points = as_points(points)
    count, (height, width) = len(points), canvas.index.shape
    if count != len(canvas.row):
        raise ValueError(f"{count} points with a canvas of {len(canvas.row)}")
    old = rule == "bonnetal"
    empty = np.float32(LARGEST) if old and math.isinf(cutoff_m) else FAR
    padded = pad_ranges(canvas.image[0], canvas.mask, int(window) // 2, empty, not old).ravel()
    cutoff = np.float32(min(cutoff_m, LARGEST))
    laps = 0 if old else -(-(int(window) // 2) // width)
    found = np.empty((int(k), count), np.int32)
    own = points, canvas.row, canvas.column
    in_parts(lambda a, b: find_nearest(*own, padded, height, width, weights, cutoff, laps, found, a, b), count, threads)
    return found.T


def check_rule(rule: str) -> None:
    if rule not in get_args(Rule):
        raise UserError(
            "there is no such rule for the neighbour vote",
            where="rule",
            found=repr(rule),
            wanted=" or ".join(get_args(Rule)),
            do=nearest(rule, get_args(Rule)),
        )


def window_weights(k: int, window: int, sigma: float, cutoff_m: float) -> np.ndarray:
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

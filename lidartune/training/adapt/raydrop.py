"""Rays that never come back: how often a pixel stays empty on a real canvas, and synthetic canvases that lose theirs.

A pixel is empty because there is nothing to hit (sky), because the ray was lost, or because no beam points there.
Neither domain tells which, so the two are compared: a synthetic canvas loses the share of its *filled* pixels that
brings the expected fill down to the target's, at each pixel or over the whole canvas. Where the target is filled more
often nothing is lost: points cannot be made up. SqueezeSeg (Wu et al., ICRA 2018) drops by the target's share of empty
pixels itself, which on a source without empty pixels is the same; sky would be taken away twice.

Both rungs, with a learned one above them, are compared in DUSty v2 (Nakashima et al., WACV 2023). Pure numpy.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lidartune.canvas import EMPTY
from lidartune.errors import UserError

LIKE_THE_ROW = 16.0
"""Scans that count as seen beforehand, each pixel as often empty as its row: few scans say little about one pixel.

On the built-in world, 32 x 512, the expected fill of a synthetic pixel after the drop misses that of real scans not
counted by 0.043 without them and 0.040 with 16, counted on 48 real scans; by 0.064 and 0.048, counted on 8."""


def drop_frequency(masks: Iterable[np.ndarray], like_the_row: float = LIKE_THE_ROW) -> np.ndarray:
    """How often each pixel is empty: shares `(H, W)` float64, 0..1, of the scans, and `like_the_row` more like its row.

    Args:
        masks: `(H, W)` bool of each scan, True where there is a point.

    Raises:
        UserError: not one scan.
    """
    empty, scans = np.zeros((0, 0)), 0
    for mask in masks:
        empty = empty + ~mask if scans else (~mask).astype(np.float64)
        scans += 1
    if not scans:
        raise UserError(
            "no scan to count empty pixels on", wanted="a training scan", do="check that the training split has scans"
        )
    of_the_row = empty.mean(axis=1, keepdims=True) / scans
    return (empty + like_the_row * of_the_row) / (scans + like_the_row)


def drop_probability(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Probability `(H, W)` that a filled pixel of the source is dropped, from both drop frequencies.

    (1 - source) (1 - drop) = 1 - target, not below 0; 0 where the source is never filled.
    """
    return _drop(1.0 - np.asarray(source, dtype=np.float64), 1.0 - np.asarray(target, dtype=np.float64))


def global_drop_probability(source: np.ndarray, target: np.ndarray) -> float:
    """One probability for all pixels, by the same rule for the fill of the whole canvas."""
    return float(_drop(np.asarray(1.0 - source.mean()), np.asarray(1.0 - target.mean())))


def raydropped(
    image: np.ndarray, mask: np.ndarray, truth_image: np.ndarray, probability: float | np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """New `image (C, H, W)`, `mask (H, W)` and `truth_image (H, W)`, the same for the same seed.

    A dropped pixel is as one that no point has met: -1 in all channels, not in the mask, class 0. Every pixel has a
    random number of its own, filled or not, so that a higher probability drops the same pixels and some more.

    Args:
        probability: of each filled pixel to be dropped, one for all or `(H, W)`.
    """
    kept = mask & (np.random.default_rng(seed).random(mask.shape) >= probability)
    empty = image.dtype.type(EMPTY)
    return np.where(kept, image, empty), kept, np.where(kept, truth_image, truth_image.dtype.type(0))


def _drop(source_fill: np.ndarray, target_fill: np.ndarray) -> np.ndarray:
    kept = np.divide(target_fill, source_fill, out=np.ones_like(source_fill), where=source_fill > 0)
    return np.maximum(0.0, 1.0 - kept)

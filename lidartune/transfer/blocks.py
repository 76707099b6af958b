"""How far a score hangs on which scans were tested: a bootstrap over blocks of consecutive test scans."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidartune.transfer import gap

FEWEST_BLOCKS = 5  # a percentile interval over fewer blocks of test scans covers too little to be shown


def block_counts(blocks: NDArray[Any]) -> gap.Floats:
    """(..., B, 3, C-1) truth, predicted and hit counts of (..., B, C, C) confusion matrices: all an IoU needs."""
    counts = np.asarray(blocks, dtype=np.float64)
    labelled = counts[..., 1:, :]
    hit = np.diagonal(counts, axis1=-2, axis2=-1)[..., 1:]
    return np.stack([labelled.sum(-1), labelled.sum(-2)[..., 1:], hit], axis=-2)


def block_bootstrap(
    counts: gap.Floats,
    minus: gap.Floats | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = gap.CONFIDENCE,
) -> tuple[float, float]:
    """Percentile interval of a mean IoU (or of a difference of two) over resampled blocks of consecutive test scans.

    It says how far the figure hangs on which scans were tested, with the trained networks held fixed; blocks because
    neighbouring scans resemble each other. It is not the interval over seeds and is reported apart from it. Every draw
    holds all classes of the split, so that all means are over the same classes.

    Args:
        counts: (seeds, B, 3, C-1) from `block_counts`; the same blocks are drawn for all seeds, which are averaged.
        minus: the same for what is subtracted, on the same blocks in the same order.

    Returns:
        (low, high); nan where there are fewer than FEWEST_BLOCKS blocks, or classes in so few of them that less than
        one draw in 20 holds them all.
    """
    seeds, blocks = counts.shape[:2]
    if blocks < FEWEST_BLOCKS or seeds == 0:
        return float("nan"), float("nan")
    present = counts[:, :, 0].max(0) > 0
    weights = _draw_blocks(present.tobytes(), blocks, draws, seed)
    if len(weights) < draws:
        return float("nan"), float("nan")

    def resampled(each: gap.Floats) -> gap.Floats:
        drawn = np.einsum("rb,sbkc->srkc", weights, each, optimize=True)
        return gap.nan_mean(gap.iou_from_counts(drawn[:, :, 0], drawn[:, :, 1], drawn[:, :, 2]), axis=-1).mean(0)

    values = resampled(counts) if minus is None else resampled(counts) - resampled(minus)
    low, high = np.nanquantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


@lru_cache(maxsize=8)  # the settings of a study are all scored on the same blocks
def _draw_blocks(present: bytes, blocks: int, draws: int, seed: int) -> gap.Floats:
    """(draws, B) how often each block is drawn; fewer rows where 20 tries a draw do not hold all classes often enough.

    Args:
        present: (B, C-1) booleans, the classes of each block's ground truth.
    """
    rng = np.random.default_rng(seed)
    in_block = np.frombuffer(present, dtype=np.bool_).reshape(blocks, -1)
    there = in_block[:, in_block.any(0)].astype(np.float64)
    kept = np.empty((0, blocks))
    for _ in range(20):
        weights = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=draws).astype(np.float64)
        kept = np.concatenate([kept, weights[(weights @ there > 0).all(1)]])[:draws]
        if len(kept) == draws:
            break
    return kept

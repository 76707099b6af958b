from __future__ import annotations

import math

import numpy as np
import pytest

from lidartune.transfer.blocks import block_bootstrap
from lidartune.transfer.blocks import block_counts as counts_of


def block_counts(shares: np.ndarray, points: int = 400) -> np.ndarray:
    """(seeds, blocks, 3, 2): two classes, `shares` (seeds, blocks) right."""
    confusion = np.zeros((*shares.shape, 3, 3))
    for c in (1, 2):
        confusion[..., c, c] = points * shares
        confusion[..., c, 0] = points * (1 - shares)
    return counts_of(confusion)


def test_block_bootstrap_holds_the_score_and_narrows_with_more_blocks() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for blocks in (5, 80):
        shares = np.clip(rng.normal(0.5, 0.1, (2, blocks)), 0, 1)
        low, high = block_bootstrap(block_counts(shares))
        assert low < shares.mean() < high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


def test_block_bootstrap_of_a_difference_pairs_the_blocks() -> None:
    shares = np.random.default_rng(0).uniform(0.2, 0.7, (1, 12))
    low, high = block_bootstrap(block_counts(shares + 0.1), block_counts(shares))
    assert (low, high) == pytest.approx((0.1, 0.1))
    for few in (1, 4):
        assert all(math.isnan(v) for v in block_bootstrap(block_counts(shares[:, :few])))
    assert not any(math.isnan(v) for v in block_bootstrap(block_counts(shares[:, :5])))


def test_every_draw_of_blocks_holds_the_same_classes() -> None:
    # Class 2 lies in one of 8 blocks and is never found: a draw without it would have twice the mean.
    counts = block_counts(np.full((1, 8), 0.5))
    counts[:, 1:, :, 1] = 0
    counts[:, 0, 2, 1] = 0
    low, high = block_bootstrap(counts)
    assert (low, high) == pytest.approx((0.25, 0.25))


def test_classes_in_too_few_blocks_have_no_interval() -> None:
    confusion = np.zeros((1, 6, 7, 7))
    for block in range(6):
        confusion[0, block, block + 1, block + 1] = 10  # one draw in 65 holds all six classes
    assert all(math.isnan(v) for v in block_bootstrap(counts_of(confusion)))


@pytest.mark.parametrize(("blocks", "lowest", "highest"), [(5, 0.80, 0.87), (10, 0.87, 0.92), (50, 0.92, 0.96)])
def test_few_blocks_cover_less_than_95_percent(blocks: int, lowest: float, highest: float) -> None:
    rng = np.random.default_rng(blocks)
    covered = []
    for repeat in range(1500):
        low, high = block_bootstrap(block_counts(rng.normal(0.5, 0.08, (1, blocks))), draws=200, seed=repeat)
        covered.append(low <= 0.5 <= high)
    assert lowest < np.mean(covered) < highest

"""Learning rate, order of scans and loss, each against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lidartune.training.loop import weighted_loss
from lidartune.training.recipe import Recipe
from lidartune.training.seeding import derived_seed, scan_order, sequence_order


def test_the_learning_rate_warms_up_then_decays_per_update() -> None:
    recipe = Recipe(updates_per_epoch=10, learning_rate=0.5, warmup_updates=4, decay_per_epoch=0.9)
    trace = [recipe.learning_rate_at(update) for update in range(30)]
    for update, rate in enumerate(trace):
        warm = (update + 1) / 4 if update < 4 else 1.0
        assert rate == pytest.approx(0.5 * warm * 0.9 ** (update / 10))
    assert trace[20] == pytest.approx(0.5 * 0.9**2)


@given(st.integers(1, 50), st.integers(1, 120), st.integers(0, 2**31), st.integers(1, 99))
def test_epochs_see_every_scan_as_often_as_any_other(count: int, draws: int, seed: int, epoch: int) -> None:
    epochs = [scan_order(count, draws, seed, number) for number in range(1, min(epoch, 6) + 1)]
    seen = np.bincount(np.concatenate(epochs), minlength=count)
    assert all(len(order) == draws for order in epochs) and seen.max() - seen.min() <= 1
    assert np.array_equal(epochs[-1], scan_order(count, draws, seed, len(epochs)))


def test_orders_differ_between_epochs_and_seeds() -> None:
    orders = {tuple(scan_order(20, 20, seed, epoch)) for seed in range(3) for epoch in range(1, 4)}
    assert len(orders) == 9
    assert len({derived_seed(1, "order", 23), derived_seed(12, "order", 3), derived_seed(1, "dropout", 23)}) == 3


LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def names_of(lengths: list[int]) -> list[str]:
    return [f"{number:02d}" for number, length in enumerate(lengths) for _ in range(length)]


@given(LENGTHS, st.integers(1, 60), st.integers(0, 2**31), st.integers(1, 5))
def test_balanced_epochs_see_every_sequence_as_often_as_any_other(
    lengths: list[int], draws: int, seed: int, epochs: int
) -> None:
    sequences = names_of(lengths)
    row = np.concatenate([sequence_order(sequences, draws, seed, epoch) for epoch in range(1, epochs + 1)])
    of_sequence = np.array([int(sequences[i]) for i in row])
    for end in range(1, len(row) + 1):
        often = np.bincount(of_sequence[:end], minlength=len(lengths))
        assert often.max() - often.min() <= 1, "after any number of draws"
    for number in range(len(lengths)):
        own = row[of_sequence == number]
        for begin in range(0, len(own) - lengths[number] + 1, lengths[number]):
            assert len(set(own[begin : begin + lengths[number]])) == lengths[number], "none again before the others"
    assert np.array_equal(row[-draws:], sequence_order(sequences, draws, seed, epochs)), "without the epochs before"
    assert np.array_equal(row, sequence_order(sequences, draws * epochs, seed, 1)), "epochs are cut from one row"


def test_balanced_orders_differ_between_epochs_and_seeds_and_from_uniform_ones() -> None:
    sequences = names_of([15, 3, 2])
    orders = {tuple(sequence_order(sequences, 20, seed, epoch)) for seed in range(3) for epoch in range(1, 4)}
    assert len(orders) == 9
    assert set(sequence_order(names_of([4]), 4, 0, 1)) == set(range(4))
    rare = np.array([sequence_order(sequences, 30, seed, 1) >= 15 for seed in range(20)])
    assert rare.mean() == pytest.approx(2 / 3), "a quarter of the scans, two thirds of the draws"


def test_the_loss_is_the_weighted_mean_over_labelled_pixels() -> None:
    torch.manual_seed(0)
    logits, truth = torch.randn(2, 4, 3, 5), torch.randint(0, 4, (2, 3, 5))
    weights = torch.tensor([0.0, 1.0, 5.0, 0.5])
    total = weight_sum = 0.0
    for b in range(2):
        for row in range(3):
            for column in range(5):
                label = int(truth[b, row, column])
                if label:
                    scores = [float(v) for v in logits[b, :, row, column]]
                    probability = math.exp(scores[label]) / sum(math.exp(v) for v in scores)
                    total -= float(weights[label]) * math.log(probability)
                    weight_sum += float(weights[label])
    assert float(weighted_loss(logits, truth, weights)) == pytest.approx(total / weight_sum, rel=1e-5)


def test_the_loss_of_a_batch_without_labels_is_0() -> None:
    logits = torch.randn(1, 4, 2, 2, requires_grad=True)
    loss = weighted_loss(logits, torch.zeros(1, 2, 2, dtype=torch.int64), torch.tensor([0.0, 1.0, 1.0, 1.0]))
    loss.backward()
    assert float(loss.detach()) == 0.0 and logits.grad is not None and not logits.grad.any()

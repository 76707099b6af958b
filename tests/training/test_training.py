"""Learning rate, order of scans and loss, each against its definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lidartune.backbones.names import STRIDES
from lidartune.errors import UserError
from lidartune.training.class_weights import never_seen, weights_of
from lidartune.training.learning_rate import why_no_milestone
from lidartune.training.losses import weighted_loss
from lidartune.training.presets import PRESETS, PUBLISHED, expanded
from lidartune.training.recipe import Recipe
from lidartune.training.seeding import derived_seed, scan_order, sequence_order
from lidartune.training.trouble import memory_named

from .test_update import spec_of


def test_the_learning_rate_warms_up_then_decays_per_update() -> None:
    recipe = Recipe(updates_per_epoch=10, learning_rate=0.5, warmup_updates=4, decay_per_epoch=0.9)
    trace = [recipe.learning_rate_at(update) for update in range(30)]
    for update, rate in enumerate(trace):
        warm = (update + 1) / 4 if update < 4 else 1.0
        assert rate == pytest.approx(0.5 * warm * 0.9 ** (update / 10))
    assert trace[20] == pytest.approx(0.5 * 0.9**2)


def test_the_cosine_warms_up_and_ends_at_0() -> None:
    recipe = Recipe(updates_per_epoch=5, learning_rate=0.5, warmup_updates=4, schedule="cosine", cosine_updates=20)
    for update in range(25):
        warm = (update + 1) / 4 if update < 4 else 1.0
        expected = 0.5 * warm * (1 + math.cos(math.pi * min(1, update / 20))) / 2
        assert recipe.learning_rate_at(update) == pytest.approx(expected, abs=1e-15)
    assert recipe.learning_rate_at(20) == recipe.learning_rate_at(24) == 0.0 < recipe.learning_rate_at(19)


def test_a_decaying_run_may_be_kept_anywhere_and_a_cosine_at_its_end_alone() -> None:
    decaying = Recipe(updates_per_epoch=5)
    assert [why_no_milestone(decaying, epoch, starts=True) for epoch in (0, 1, 99)] == [None] * 3
    cosine = Recipe(updates_per_epoch=5, schedule="cosine", cosine_updates=20)
    assert [why_no_milestone(cosine, epoch) is None for epoch in (0, 3, 4, 5)] == [True, False, True, False]
    assert "made for 20 updates, and epoch 3 comes after 15" in (why_no_milestone(cosine, 3) or "")
    assert "nothing starts from it" in (why_no_milestone(cosine, 4, starts=True) or "")
    assert why_no_milestone(cosine, 2, behind=10) is None, "continued from a milestone 10 updates on"
    unstated = Recipe(updates_per_epoch=5, schedule="cosine")
    assert "cosine_updates: 20 for a run that ends at epoch 4" in (why_no_milestone(unstated, 4) or "")


# -- class weights ----------------------------------------------------------------------------------------------------

COUNTS = np.array([900, 90, 9, 1, 0, *[1000] * 15])


def weights(**recipe: Any) -> np.ndarray:
    return weights_of(Recipe(**recipe), COUNTS)


def test_class_weights_are_those_of_their_formulas() -> None:
    shares = COUNTS / COUNTS.sum()
    for found, expected in (
        (weights(), 1 / (shares + 0.001)),
        (weights(class_weight_epsilon=0.1), 1 / (shares + 0.1)),
        (weights(class_weights="sqrt"), 1 / np.sqrt(shares + 0.001)),
        (weights(class_weights="none"), np.ones(20)),
        (
            weights(class_weights="effective_number", effective_number_beta=0.99),
            0.01 / (1 - 0.99 ** np.maximum(COUNTS, 1)),
        ),
    ):
        assert found[0] == 0 and found.dtype == np.float32
        np.testing.assert_allclose(found[1:] / found[1], expected[1:] / expected[1], rtol=1e-5)


def test_effective_numbers_lie_between_none_and_the_inverse_of_the_counts() -> None:
    flat = weights(class_weights="effective_number", effective_number_beta=1e-9)
    np.testing.assert_allclose(flat[1:], 1.0)
    steep = weights(class_weights="effective_number", effective_number_beta=1 - 1e-9)
    np.testing.assert_allclose(steep[1:4] * COUNTS[1:4], steep[1] * COUNTS[1], rtol=1e-4)


def test_what_is_never_seen_is_named_with_how_many_scans_were_looked_at() -> None:
    assert never_seen(COUNTS, 4, 4) == ("never seen in the 4 training scans: truck",)
    assert never_seen(COUNTS, 1, 1) == ("never seen in the only training scan: truck",)
    assert never_seen(COUNTS, 500, 19_130) == ("never seen in 500 of the 19,130 training scans: truck",)
    assert never_seen(COUNTS + 1, 4, 4) == ()


# -- presets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("backbone", [*STRIDES, None])
def test_a_preset_is_a_recipe_that_a_milestone_can_be_taken_from(preset: str, backbone: str | None) -> None:
    recipe = Recipe(**expanded({"preset": preset, "updates_per_epoch": 40}, 40, backbone=backbone))
    assert recipe.warmup_updates == recipe.updates_per_epoch == 40
    assert all(why_no_milestone(recipe, epoch, starts=True) is None for epoch in range(5))


def test_bonnetal_is_what_was_published() -> None:
    for backbone, (rate, decay, batch) in PUBLISHED.items():
        recipe = Recipe(**expanded({"preset": "bonnetal"}, 7, backbone=backbone))
        assert (recipe.learning_rate, recipe.decay_per_epoch, recipe.batch_size) == (rate, decay, batch)
        assert recipe == Recipe(learning_rate=rate, decay_per_epoch=decay, batch_size=batch, warmup_updates=7)


def test_what_is_stated_wins_over_the_preset_and_without_one_nothing_is_added() -> None:
    assert expanded({"batch_size": 3}, 7) == {"batch_size": 3}
    values = expanded({"preset": "modern", "learning_rate": 0.5, "ema": None}, 7)
    assert values["learning_rate"] == 0.5 and values["ema"] is None and values["optimizer"] == "adamw"
    with pytest.raises(UserError, match="unknown preset"):
        expanded({"preset": "modren"}, 7)


# -- a full memory ----------------------------------------------------------------------------------------------------


def test_a_full_memory_says_batch_and_canvas_and_what_to_lower() -> None:
    spec = spec_of(batch_size=6, accumulation=3)
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), MemoryError()
    for error, where in zip(full, ("the GPU's memory is full", "the machine's memory is full"), strict=True):
        with pytest.raises(UserError) as raised, memory_named(spec):
            raise error
        said = " ".join(str(raised.value).split())
        assert where in said and "batches of 6 scans in 3 parts on a canvas of 8 x 64" in said
        assert "lower recipe.batch_size or grid.width" in said and "recipe.accumulation" in said
    with pytest.raises(UserError, match="the machine's memory is full"), memory_named(spec):
        torch.empty(10**15)  # torch's own message
    with pytest.raises(RuntimeError, match="mat1 and mat2"), memory_named(spec):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


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

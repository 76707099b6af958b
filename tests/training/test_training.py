"""Learning rate, order of scans, loss and freezing, each against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lidartune.backbones import build
from lidartune.training.freeze import apply_freeze, training_mode
from lidartune.training.loop import weighted_loss
from lidartune.training.recipe import FreezePolicy, Recipe
from lidartune.training.seeding import derived_seed, scan_order


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


@pytest.mark.parametrize(
    ("policy", "still", "statistics_still"),
    [
        ("none", (), ()),
        ("encoder", ("backbone.",), ("backbone.",)),
        ("encoder_weights", ("backbone.",), ()),
        ("head_only", ("backbone.", "decoder."), ("backbone.", "decoder.")),
    ],
)
def test_what_is_frozen_keeps_its_bits_and_the_rest_moves(
    policy: FreezePolicy, still: tuple[str, ...], statistics_still: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    model = build("squeezesegv2", channels=0.125, bn_momentum=0.1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    apply_freeze(model, policy)
    training_mode(model, policy)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(2, 5, 8, 64)).square().mean().backward()
        optimizer.step()
    for name, tensor in model.state_dict().items():
        held = statistics_still if "running" in name or "num_batches" in name else still
        if name.startswith(held) and held:
            assert torch.equal(tensor, before[name]), name
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("head.") for name in moved)
    assert any(name.startswith("backbone.") and "running_mean" in name for name in moved) == (
        "backbone." not in statistics_still
    )
    assert any(name.startswith("decoder.") for name in moved) == ("decoder." not in still)

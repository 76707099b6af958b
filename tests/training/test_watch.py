"""The numbers that an epoch's row tells of its updates."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lidartune.training.checkpoint import pack_inside, unpack_inside
from lidartune.training.freeze import trained_groups
from lidartune.training.loop import train_epoch
from lidartune.training.state import TrainingState
from lidartune.training.trouble import TrainingDiverged
from lidartune.training.watch import measured_updates

from .test_update import CPU, Noise, spec_of, state_of, train

STEPWISE: dict[str, Any] = {"updates_per_epoch": 1, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}


def norm(tensors: Any) -> float:
    return math.sqrt(sum(float((t.detach().double() ** 2).sum()) for t in tensors))


def weights(state: TrainingState) -> dict[str, list[Tensor]]:
    return {name: [p.detach().clone() for p in group] for name, group in trained_groups(state.model).items()}


def test_the_movement_of_each_group_is_measured_as_a_plain_count_finds_it() -> None:
    rates = {"encoder": 0.1, "decoder": 1.0, "head": 3.0}
    spec = spec_of(**STEPWISE, learning_rate=0.05, group_learning_rates=rates)
    state = state_of(spec)
    before = weights(state)
    row = train(spec, state)
    gradients = {name: [p.grad for p in group] for name, group in trained_groups(state.model).items()}
    for name, old in before.items():
        moved = norm(new - was for new, was in zip(weights(state)[name], old, strict=True))
        assert row[f"update_ratio_{name}"] == pytest.approx(moved / norm(old), rel=1e-4)
        assert moved == pytest.approx(0.05 * rates[name] * norm(gradients[name]), rel=1e-3), "plain SGD"
        assert row[f"learning_rate_{name}"] == pytest.approx(0.05 * rates[name])
    whole = norm(g for group in gradients.values() for g in group)
    assert row["gradient_norm"] == row["gradient_norm_largest"] == pytest.approx(whole, rel=1e-5)


def test_the_mean_and_the_largest_gradient_are_those_of_the_epochs_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, norms = spec_of(updates_per_epoch=5), []
    state = state_of(spec)
    step = state.optimizer.step

    def noted() -> None:
        norms.append(norm(p.grad for p in state.model.parameters()))
        step()

    monkeypatch.setattr(state.optimizer, "step", noted)
    row = train(spec, state)
    assert len(norms) == 5 and max(norms) > 1.01 * min(norms)
    assert row["gradient_norm"] == pytest.approx(sum(norms) / 5, rel=1e-5)
    assert row["gradient_norm_largest"] == pytest.approx(max(norms), rel=1e-5)


def test_only_groups_that_train_have_figures() -> None:
    spec = dataclasses.replace(spec_of(), freeze="head_only")
    row = train(spec, state_of(spec))
    assert {name for name in row if name.startswith(("update_ratio", "learning_rate_"))} == {
        "update_ratio_head",
        "learning_rate_head",
    }


@pytest.mark.parametrize(("updates", "measured"), [(1, {0}), (3, {0, 1, 2}), (16, {3, 7, 11, 15})])
def test_movement_is_measured_at_a_few_updates_the_last_among_them(updates: int, measured: set[int]) -> None:
    assert measured_updates(updates) == measured
    assert len(measured_updates(10_007)) == 4 and max(measured_updates(10_007)) == 10_006


@pytest.mark.parametrize("clip", [None, 0.5])
def test_an_epoch_in_two_pieces_tells_the_very_numbers_of_one(clip: float | None) -> None:
    spec = spec_of(updates_per_epoch=4, loss={"lovasz": 1.0}, clip_gradient_norm=clip)
    kept: list[dict[str, bytes]] = []
    at_once = train_epoch(
        spec, state_of(spec), [None] * 8, Noise(), CPU, lambda s: kept.append(pack_inside(s, CPU))  # type: ignore[list-item]
    )
    assert len(kept) == 3
    for files in kept:

        class Rest(Noise):
            def training_stream(self, scans: Any, *_: object) -> Any:  # type: ignore[override]
                whole = list(Noise().training_stream([None] * 8))
                yield from whole[8 - len(scans) :]

        state = unpack_inside(files, spec, CPU, "here")
        assert train_epoch(spec, state, [None] * 8, Rest(), CPU) == at_once  # type: ignore[list-item]


def test_numbers_are_read_once_and_when_the_epoch_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the loss is read at each update: on a GPU every reading waits for it."""
    read: list[str] = []
    for name in ("item", "tolist", "__float__"):
        plain = getattr(Tensor, name)
        monkeypatch.setattr(Tensor, name, lambda self, n=name, f=plain: (read.append(n), f(self))[1])
    spec = spec_of(updates_per_epoch=6)
    train(spec, state_of(spec))
    assert read.count("__float__") == 6 and read.count("tolist") == 1


def test_a_gradient_that_is_not_finite_is_named_with_its_batch_without_clipping_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = spec_of(updates_per_epoch=3)
    state, seen = state_of(spec), []
    backward = Tensor.backward

    def wrecked(self: Tensor) -> None:
        backward(self)
        seen.append(1)
        if len(seen) == 2:
            next(state.model.parameters()).grad.fill_(torch.inf)  # type: ignore[union-attr]

    monkeypatch.setattr(Tensor, "backward", wrecked)
    scans = [dataclasses.make_dataclass("F", ["sequence", "name"])("07", f"00000{n}") for n in range(6)]
    with pytest.raises(TrainingDiverged, match=r"gradient's norm became inf in epoch 1, update 2 \(scans 07/0"):
        train_epoch(spec, state, scans, Noise(), CPU)  # type: ignore[arg-type]

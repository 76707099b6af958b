"""One update: its parts, its clipping, its average; and the statistics that scores are made with."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lidartune.canvas import Sensor
from lidartune.runs.spec import RunSpec, Start
from lidartune.scans import open_dataset
from lidartune.streetworld import WorldFolder
from lidartune.training.freeze import apply_freeze
from lidartune.training.loader import ScanReader, TrainingScan
from lidartune.training.loop import train_epoch
from lidartune.training.precise import live_norms, measure_statistics
from lidartune.training.recipe import Ema, Recipe
from lidartune.training.scored import scored_state
from lidartune.training.state import Normalization, TrainingState, new_model, new_state, pack, unpack
from lidartune.training.trouble import NotFinite, TrainingDiverged
from lidartune.training.update import accumulate_gradient, in_parts, one_update

CPU = torch.device("cpu")
HEIGHT, WIDTH = 8, 64
IDENTITY = Normalization(means=(0.0,) * 5, stds=(1.0,) * 5)
WEIGHTS = np.array([0.0] + [0.5 + c / 7 for c in range(19)], dtype=np.float32)
LOSSES: list[dict[str, float]] = [{}, {"nll": 0.5, "focal": 2.0, "label_smoothing": 0.1}]


def noise(seed: int, count: int, dtype: Any = np.float32) -> list[TrainingScan]:
    """Scans of noise, each with another share of labelled pixels."""
    rng = np.random.default_rng(seed)
    scans = []
    for number in range(count):
        mask = rng.random((HEIGHT, WIDTH)) < 0.9
        image = rng.normal(size=(5, HEIGHT, WIDTH)).astype(dtype) * mask
        truth = (rng.integers(0, 20, (HEIGHT, WIDTH)) * (rng.random((HEIGHT, WIDTH)) < (number + 1) / count)).astype(
            np.uint8
        )
        scans.append(TrainingScan(image=image, mask=mask, truth_image=truth, truth=truth.reshape(-1)))
    return scans


class Noise(ScanReader):
    def __init__(self, seed: int = 0):
        self._seed = seed

    def training_stream(self, scans: Any, *_: object) -> Iterator[TrainingScan]:  # type: ignore[override]
        yield from noise(self._seed, len(scans))


def spec_of(backbone: str = "squeezesegv2", **recipe: Any) -> RunSpec:
    return RunSpec(
        domain="real",
        start=None,
        backbone=backbone,
        channels=0.03,
        canvas=Sensor(HEIGHT, WIDTH, 3.0, -25.0),
        recipe=Recipe(**({"updates_per_epoch": 3, "batch_size": 2, "batchnorm_momentum": 0.1} | recipe)),
        freeze="none",
        labelled_scans="all",
        seed=0,
        train="",
        validation={},
        test={},
        block=1,
        taxonomies={},
    )


def state_of(spec: RunSpec) -> TrainingState:
    torch.manual_seed(0)
    return new_state(spec, new_model(spec, CPU), IDENTITY, WEIGHTS)


def train(spec: RunSpec, state: TrainingState) -> dict[str, float]:
    return train_epoch(spec, state, [None] * 4, Noise(state.epoch), CPU)  # type: ignore[list-item]


def bits(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- accumulation -----------------------------------------------------------------------------------------------------


def gradient(recipe: Recipe, batch: list[TrainingScan]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """In float64, of squeezeseg, which has no batch normalisation."""
    spec = spec_of("squeezeseg", dropout=0.0)
    torch.manual_seed(0)
    model = new_model(spec, CPU).double()
    apply_freeze(model, "none")
    numbers = accumulate_gradient(recipe, model, IDENTITY, batch, torch.from_numpy(WEIGHTS).double(), CPU)
    found = {name: float(value) for name, value in numbers.items()}
    return found, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("loss", LOSSES, ids=["nll", "smoothed and focal"])
@pytest.mark.parametrize("parts", [2, 3, 5, 9])
def test_parts_give_the_gradient_of_the_whole_batch(parts: int, loss: dict[str, float]) -> None:
    batch = noise(1, 5, np.float64)
    whole_numbers, whole = gradient(Recipe(loss=loss), batch)  # type: ignore[arg-type]
    numbers, found = gradient(Recipe(loss=loss, accumulation=parts), batch)  # type: ignore[arg-type]
    assert numbers == pytest.approx(whole_numbers, rel=1e-12) and whole.keys() == found.keys()
    for name, expected in whole.items():
        torch.testing.assert_close(found[name], expected, rtol=1e-9, atol=1e-14)


def test_a_mean_over_parts_would_be_another_gradient() -> None:
    """The parts differ in labelled pixels, so this test can tell."""
    batch = noise(1, 4, np.float64)
    _, whole = gradient(Recipe(), batch)
    halves = [gradient(Recipe(), half)[1] for half in in_parts(batch, 2)]
    name = max(whole, key=lambda n: float(whole[n].abs().max()))
    mean = (halves[0][name] + halves[1][name]) / 2
    assert float((mean - whole[name]).abs().max()) > 1e-3 * float(whole[name].abs().max())


@pytest.mark.parametrize(("count", "parts"), [(8, 1), (8, 3), (5, 2), (2, 7)])
def test_a_batch_is_taken_in_parts_as_equal_as_can_be(count: int, parts: int) -> None:
    batch = noise(0, count)
    found = in_parts(batch, parts)
    assert [scan for part in found for scan in part] == batch and len(found) == min(parts, count)
    sizes = [len(part) for part in found]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_a_batch_without_a_label_moves_nothing_in_parts_either() -> None:
    batch = [
        dataclasses.replace(scan, truth_image=np.zeros_like(scan.truth_image)) for scan in noise(1, 4, np.float64)
    ]
    numbers, found = gradient(Recipe(accumulation=2), batch)
    assert numbers["loss"] == 0.0 and not any(bool(g.any()) for g in found.values())


# -- clipping ---------------------------------------------------------------------------------------------------------


def one_step(clip: float | None) -> tuple[dict[str, float | Tensor], float]:
    recipe = Recipe(learning_rate=1.0, momentum=0.0, weight_decay=0.0, clip_gradient_norm=clip, dropout=0.0)
    spec = dataclasses.replace(spec_of(), recipe=recipe)
    state = state_of(spec)
    before = {name: p.detach().clone() for name, p in state.model.named_parameters()}
    numbers = one_update(recipe, state, noise(1, 2), torch.from_numpy(WEIGHTS), CPU)
    lr = state.optimizer.param_groups[0]["lr"]
    steps = [(p.detach() - before[name]) / lr for name, p in state.model.named_parameters()]
    return numbers, float(torch.sqrt(sum((step**2).sum() for step in steps)))  # type: ignore[arg-type]


def test_a_step_is_no_longer_than_the_clipped_gradient() -> None:
    _, free = one_step(None)
    numbers, short = one_step(free / 4)
    assert short == pytest.approx(free / 4, rel=1e-3) and numbers["gradient_norm"] == pytest.approx(free, rel=1e-3)
    _, untouched = one_step(free * 4)
    assert untouched == pytest.approx(free, rel=1e-5)


def test_a_gradient_that_is_no_number_takes_no_step_and_names_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(clip_gradient_norm=1.0)
    state = state_of(spec)
    before = {name: p.detach().clone() for name, p in state.model.named_parameters()}

    def backward(self: Tensor) -> None:
        for parameter in state.model.parameters():
            parameter.grad = torch.full_like(parameter, torch.inf)

    with monkeypatch.context() as patch:
        patch.setattr(Tensor, "backward", backward)
        with pytest.raises(NotFinite, match="gradient's norm became"):
            one_update(spec.recipe, state, noise(1, 2), torch.from_numpy(WEIGHTS), CPU)
        assert same({name: p.detach() for name, p in state.model.named_parameters()}, before)
        scans = [dataclasses.make_dataclass("F", ["sequence", "name"])("07", f"00000{n}") for n in range(4)]
        with pytest.raises(TrainingDiverged, match=r"gradient's norm became .* in epoch 1, update 1 \(scans 07/0"):
            train_epoch(spec, state, scans, Noise(), CPU)  # type: ignore[arg-type]


# -- numbers ----------------------------------------------------------------------------------------------------------


WATCHED = {"loss", "gradient_norm", "gradient_norm_largest", "learning_rate"} | {
    f"{name}_{group}" for name in ("learning_rate", "update_ratio") for group in ("encoder", "decoder", "head")
}


def test_an_epoch_tells_its_terms_where_there_are_some() -> None:
    spec = spec_of(loss={"lovasz": 1.0}, clip_gradient_norm=1.0)
    numbers = train(spec, state_of(spec))
    assert set(numbers) == WATCHED | {"loss_nll", "loss_lovasz"}
    assert numbers["loss"] == pytest.approx(numbers["loss_nll"] + numbers["loss_lovasz"], rel=1e-6)
    assert set(train(spec_of(), state_of(spec_of()))) == WATCHED


# -- bfloat16 ---------------------------------------------------------------------------------------------------------


def test_bfloat16_is_near_float32_and_not_the_same_and_weights_stay_float32() -> None:
    states = {}
    for amp in ("off", "bf16"):
        spec = spec_of(amp=amp, dropout=0.0)
        states[amp] = state_of(spec)
        states[amp].losses = train(spec, states[amp])["loss"]  # type: ignore[attr-defined]
    full, half = (states[amp].losses for amp in ("off", "bf16"))  # type: ignore[attr-defined]
    assert full != half and half == pytest.approx(full, rel=0.03)
    assert all(p.dtype == torch.float32 for p in states["bf16"].model.parameters())


# -- moving average ---------------------------------------------------------------------------------------------------


def test_the_average_follows_its_formula_weights_and_statistics_alike() -> None:
    """Update t: average += (1 - min(decay, 1 - 1/(t+1))) * (weights - average)."""
    decay, spec = 0.6, spec_of(ema=Ema(decay=0.6))
    state = state_of(spec)
    trace: list[dict[str, Tensor]] = []
    names = [n for n, t in state.model.state_dict().items() if t.is_floating_point()]
    for epoch in range(2):
        train_epoch(
            spec, state, [None] * 4, Noise(epoch), CPU, lambda s: trace.append(bits(s.model))  # type: ignore[list-item]
        )
        trace.append(bits(state.model))
    assert len(trace) == 6 and state.average is not None
    for name in names:
        expected = np.zeros(())
        for t, tensors in enumerate(trace):
            d = min(decay, 1 - 1 / (t + 1))
            expected = d * expected + (1 - d) * tensors[name].double().numpy()
        np.testing.assert_allclose(state.average[name].numpy(), expected, rtol=1e-4, atol=1e-6)
    counters = [n for n in state.average if n not in names]
    assert counters and all(torch.equal(state.average[n], trace[-1][n]) for n in counters)


def test_an_average_changes_nothing_that_trains_and_comes_back_from_its_files() -> None:
    plain, averaged = spec_of(), spec_of(ema=Ema())
    states = [state_of(spec) for spec in (plain, averaged)]
    for spec, state in zip((plain, averaged), states, strict=True):
        train(spec, state)
    one, other = pack(states[0]), pack(states[1])
    assert {name: other[name] for name in one} == one and set(other) - set(one) == {"ema.safetensors"}
    again = unpack(other, averaged, CPU, "here")
    train(averaged, again)
    train(averaged, states[1])
    assert pack(again) == pack(states[1])


def test_what_is_frozen_keeps_its_bits_in_the_average() -> None:
    spec = dataclasses.replace(spec_of(ema=Ema(decay=0.7)), freeze="encoder", start=Start(run="a", epoch=1))
    state = state_of(spec)
    before = bits(state.model)
    train(spec, state)
    assert state.average is not None
    moved = {name for name in before if not torch.equal(before[name], state.average[name])}
    assert moved and not any(name.startswith("backbone.") for name in moved)


# -- what is scored ---------------------------------------------------------------------------------------------------


def scored(spec: RunSpec, state: TrainingState) -> TrainingState:
    return scored_state(spec, state, [None] * 4, Noise(7), CPU)  # type: ignore[list-item]


def test_without_average_and_precise_statistics_the_network_itself_is_scored() -> None:
    spec = spec_of()
    state = state_of(spec)
    assert scored(spec, state) is state


def test_the_average_is_scored_and_the_network_that_trains_is_left_alone() -> None:
    spec = spec_of(ema=Ema())
    state = state_of(spec)
    train(spec, state)
    before = pack(state)
    found = scored(spec, state)
    assert state.average is not None and same(bits(found.model), state.average) and pack(state) == before
    assert not same(bits(state.model), state.average)


def test_precise_statistics_are_the_mean_over_batches_of_each_batch_s_own() -> None:
    spec = spec_of(precise_batchnorm=4)
    state = state_of(spec)
    train(spec, state)
    before = pack(state)
    found = scored(spec, state)
    assert pack(state) == before, "training goes on as if nothing had been scored"
    assert pack(scored(spec, state)) == pack(found), "the same weights and scans, the same bits"
    first = found.model.norms()[0]
    seen: list[Tensor] = []
    probe = copy.deepcopy(state.model)
    probe.norms()[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].detach().double()))
    measure_statistics(
        probe, live_norms(probe), IDENTITY, [None] * 4, Noise(7), spec.canvas, 2, CPU  # type: ignore[list-item]
    )
    assert len(seen) == 2
    means = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variances = torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(first.running_mean, means.float(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(first.running_var, variances.float(), rtol=1e-4, atol=1e-6)
    names = {n for n, t in bits(found.model).items() if not torch.equal(t, state.model.state_dict()[n])}
    assert names and all(n.endswith(("running_mean", "running_var", "num_batches_tracked")) for n in names)
    assert not found.model.training and first.momentum == 0.1


def test_precise_statistics_read_no_scan_a_second_time(
    tiny_world: WorldFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, spec = open_dataset(tiny_world.real, "semantic-kitti"), spec_of(precise_batchnorm=4)
    reader, scans, state = ScanReader(dataset, memory_bytes=2**28), dataset.scans(), state_of(spec)
    list(reader.training_stream(scans, spec.canvas))
    read: list[object] = []
    monkeypatch.setattr("lidartune.training.loader.read_points", read.append)
    monkeypatch.setattr(type(dataset), "read", lambda self, scan: read.append(scan))
    scored_state(spec, state, scans, reader, CPU)
    assert not read


def test_statistics_that_a_policy_fixes_are_not_measured_anew() -> None:
    spec = dataclasses.replace(spec_of(precise_batchnorm=4), freeze="encoder", start=Start(run="a", epoch=1))
    state = state_of(spec)
    train(spec, state)
    found = bits(scored(spec, state).model)
    moved = {n for n, t in state.model.state_dict().items() if not torch.equal(t, found[n])}
    assert moved and not any(name.startswith("backbone.") for name in moved)


def test_epoch_0_of_a_run_that_starts_from_a_milestone_is_scored_as_it_was_handed_on() -> None:
    spec = spec_of(precise_batchnorm=4)
    assert scored(spec, state := state_of(spec)) is not state
    started = dataclasses.replace(spec, start=Start(run="another", epoch=1))
    assert scored(started, state := state_of(started)) is state

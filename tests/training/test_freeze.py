"""What a policy freezes keeps its bits, parameters and buffers; everything else moves. Checked through train_epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lidartune.backbones import NAMES, build
from lidartune.backbones.network import Network
from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.report.figures.curves import marker
from lidartune.runs.spec import RunSpec, Start
from lidartune.training.freeze import apply_freeze, policy_at, trained_groups
from lidartune.training.loader import ScanReader, TrainingScan
from lidartune.training.loop import train_epoch
from lidartune.training.policies import WITHOUT_BATCHNORM, FreezePolicy, idle_groups
from lidartune.training.recipe import GroupLearningRates, Recipe
from lidartune.training.state import Normalization, TrainingState, new_optimizer, new_state, pack, unpack

POLICIES: tuple[FreezePolicy, ...] = get_args(FreezePolicy)
CPU = torch.device("cpu")
HEIGHT, WIDTH, BATCH = 8, 64, 2
OPTIMIZERS = [
    {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    {"optimizer": "adamw", "learning_rate": 0.001, "weight_decay": 0.01},
]
FIRST_BLOCK = {
    "squeezeseg": ("conv1a", "conv1b", "fire23"),
    "squeezesegv2": ("conv1a", "conv1b", "fire23"),
    "darknet21": ("conv1", "bn1", "enc1"),
    "darknet53": ("conv1", "bn1", "enc1"),
    "cenet": ("conv1", "conv2", "conv3", "layer1"),
}
CRF_SETTINGS = ("CRF.iter", "CRF.lcn_size", "CRF.xyz_coef", "CRF.xyz_sigma")


class Noise(ScanReader):
    """A reader of scans that are noise, for a spec whose scans are of no interest."""

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)

    def training_stream(self, *_: object) -> Iterator[TrainingScan]:
        while True:
            mask = self._rng.random((HEIGHT, WIDTH)) < 0.9
            image = self._rng.normal(size=(5, HEIGHT, WIDTH)).astype(np.float32) * mask
            truth = self._rng.integers(0, 20, (HEIGHT, WIDTH)).astype(np.uint8)
            yield TrainingScan(image=image, mask=mask, truth_image=truth, truth=truth.reshape(-1))


def spec_of(backbone: str, policy: FreezePolicy, **recipe: Any) -> RunSpec:
    return RunSpec(
        domain="real",
        start=Start(run="another", epoch=1),
        backbone=backbone,
        channels=0.03,
        canvas=Sensor(HEIGHT, WIDTH, 3.0, -25.0),
        recipe=Recipe(**({"updates_per_epoch": 3, "batch_size": BATCH, "batchnorm_momentum": 0.1} | recipe)),
        freeze=policy,
        labelled_scans="all",
        seed=0,
        train="",
        validation={},
        test={},
        block=1,
        taxonomies={},
    )


def network_of(backbone: str, *, crf: bool = False) -> Network:
    torch.manual_seed(0)
    return build(backbone, channels=0.03, bn_momentum=0.1, crf=crf)


def state_of(spec: RunSpec, network: Network) -> TrainingState:
    identity = Normalization(means=(0.0,) * 5, stds=(1.0,) * 5)
    return new_state(spec, network, identity, np.array([0.0] + [1.0] * 19, dtype=np.float32))


def train(spec: RunSpec, state: TrainingState) -> None:
    train_epoch(spec, state, [None] * 4, Noise(state.epoch), CPU)  # type: ignore[list-item]


def bits(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def moved_between(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def should_move(backbone: str, policy: FreezePolicy, names: set[str]) -> set[str]:
    """Written out by the names of tensors, without the network's groups that the policies are made of."""
    statistics = {n for n in names if n.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    parameters = names - statistics - set(CRF_SETTINGS)
    norms = {n.removesuffix("running_mean") for n in statistics if n.endswith("running_mean")}
    first = tuple(f"backbone.{module}." for module in FIRST_BLOCK[backbone])
    encoder, head = ("backbone.",), ("head.", "CRF.")

    def inside(group: set[str], prefixes: tuple[str, ...]) -> set[str]:
        return {name for name in group if name.startswith(prefixes)}

    all_but_encoder = parameters - inside(parameters, encoder)
    return {
        "none": parameters | statistics,
        "encoder": all_but_encoder | (statistics - inside(statistics, encoder)),
        "encoder_weights": all_but_encoder | statistics,
        "head_only": inside(parameters, head),
        "probe_then_full": parameters | statistics,
        "first_block": inside(parameters, first) | inside(statistics, first),
        "batchnorm": statistics | {n for norm in norms for n in (norm + "weight", norm + "bias")},
    }[policy]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda recipe: recipe["optimizer"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("backbone", NAMES)
def test_what_is_frozen_keeps_its_bits_and_every_other_tensor_moves(
    backbone: str, policy: FreezePolicy, optimizer: dict[str, Any]
) -> None:
    if policy == "batchnorm" and backbone in WITHOUT_BATCHNORM:
        return
    spec = spec_of(backbone, policy, probe_updates=1, **optimizer)
    network = network_of(backbone)
    before = bits(network)
    train(spec, state_of(spec, network))
    assert moved_between(before, bits(network)) == should_move(backbone, policy, set(before))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_crf_belongs_to_the_head_and_its_settings_never_move(policy: FreezePolicy) -> None:
    network = network_of("squeezesegv2", crf=True)
    before = bits(network)
    spec = spec_of("squeezesegv2", policy, probe_updates=1)
    train(spec, state_of(spec, network))
    assert moved_between(before, bits(network)) == should_move("squeezesegv2", policy, set(before))


@pytest.mark.parametrize("policy", POLICIES)
def test_dropout_is_on_just_where_the_table_says(policy: FreezePolicy) -> None:
    network = network_of("squeezesegv2")
    apply_freeze(network, policy)
    on = {name for name, module in network.named_modules() if isinstance(module, nn.Dropout2d) and module.training}
    everywhere, head = {"backbone.dropout", "head.0"}, {"head.0"}
    wanted = {"encoder": head, "head_only": head, "first_block": set()}
    assert on == wanted.get(policy, everywhere)


def test_only_these_backbones_have_no_batch_normalisation() -> None:
    assert tuple(name for name in NAMES if not network_of(name).norms()) == WITHOUT_BATCHNORM
    with pytest.raises(UserError, match="the network has none"):
        apply_freeze(network_of("squeezeseg"), "batchnorm")


# -- probe, then everything --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda recipe: recipe["optimizer"])
def test_a_probe_is_head_only_to_the_bit_and_everything_moves_after_it(optimizer: dict[str, Any]) -> None:
    probe = spec_of("darknet21", "probe_then_full", probe_updates=3, **optimizer)
    head = dataclasses.replace(probe, freeze="head_only")
    states = {spec.freeze: state_of(spec, network_of("darknet21")) for spec in (probe, head)}
    for spec in (probe, head):
        train(spec, states[spec.freeze])
    first = {policy: bits(state.model) for policy, state in states.items()}
    assert not moved_between(first["probe_then_full"], first["head_only"])
    train(probe, states["probe_then_full"])
    assert moved_between(first["probe_then_full"], bits(states["probe_then_full"].model)) == set(first["head_only"])


def test_what_holds_depends_on_the_update_s_index_alone() -> None:
    recipe = Recipe(updates_per_epoch=3, probe_updates=5)
    found = [policy_at("probe_then_full", recipe, update) for update in (0, 4, 5, 99)]
    assert found == ["head_only", "head_only", "none", "none"]
    assert [policy_at("encoder", recipe, update) for update in (0, 99)] == ["encoder"] * 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda recipe: recipe["optimizer"])
@pytest.mark.parametrize("probe_updates", [2, 3, 4])
def test_packed_and_unpacked_on_either_side_of_the_switch_it_goes_on_to_the_same_bits(
    optimizer: dict[str, Any], probe_updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of("squeezesegv2", "probe_then_full", probe_updates=probe_updates, **optimizer)
    straight, again = (state_of(spec, network_of("squeezesegv2")) for _ in range(2))
    for _ in range(3):
        train(spec, straight)
        train(spec, again)
        again = unpack(pack(again), spec, CPU, "here")
        assert pack(again) == pack(straight)


# -- learning rates ----------------------------------------------------------------------------------------------------


def one_optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser as it was without groups."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        settings = {"momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
        return torch.optim.SGD(parameters, lr=recipe.learning_rate, fused=True, **settings)  # type: ignore[arg-type]
    betas = (recipe.momentum, 0.999)
    return torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, betas=betas, weight_decay=recipe.weight_decay, fused=True
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda recipe: recipe["optimizer"])
@pytest.mark.parametrize("policy", ["none", "encoder"])
def test_without_factors_the_groups_change_no_bit_and_no_stored_state(
    policy: FreezePolicy, optimizer: dict[str, Any]
) -> None:
    spec = spec_of("squeezesegv2", policy, **optimizer)
    grouped, plain = (state_of(spec, network_of("squeezesegv2")) for _ in range(2))
    plain.optimizer = one_optimizer(plain.model, spec.recipe)
    plain.optimizer.param_groups[0]["factor"] = 1.0
    for _ in range(2):
        train(spec, grouped)
        train(spec, plain)
        assert pack(grouped) == pack(plain), "weights, and momentum by the same numbers"


@pytest.mark.parametrize("backbone", NAMES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_optimiser_numbers_parameters_in_the_network_s_order(backbone: str, policy: FreezePolicy) -> None:
    if policy == "batchnorm" and backbone in WITHOUT_BATCHNORM:
        return
    network = network_of(backbone, crf=True)
    apply_freeze(network, policy)
    groups = new_optimizer(network, Recipe()).param_groups
    assert {name for name, found in trained_groups(network).items() if not found} == set(idle_groups(policy))
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert found == [id(parameter) for parameter in network.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("policy", ["none", "encoder", "first_block"])
def test_factors_scale_the_steps_of_their_groups(policy: FreezePolicy) -> None:
    still: dict[str, Any] = {"updates_per_epoch": 1, "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.5}
    factors = {"encoder": 0.25, "decoder": 0.5, "head": 2.0}
    spec = spec_of("squeezesegv2", policy, **still)
    scaled = spec_of("squeezesegv2", policy, **still, group_learning_rates=factors)
    steps = []
    for each in (spec, scaled):
        network = network_of("squeezesegv2")
        before = bits(network)
        train(each, state_of(each, network))
        steps.append({name: tensor - before[name] for name, tensor in network.named_parameters()})
    for name, step in steps[0].items():
        factor = factors[{"backbone": "encoder"}.get(name.partition(".")[0], name.partition(".")[0])]
        torch.testing.assert_close(steps[1][name], factor * step, rtol=1e-3, atol=1e-6)


def test_what_changes_nothing_under_a_policy_makes_no_other_run() -> None:
    rates = GroupLearningRates(encoder=0.1, decoder=0.5, head=2.0)
    recipe = Recipe(updates_per_epoch=3, probe_updates=5, group_learning_rates=rates)
    bare = Recipe(updates_per_epoch=3)

    def factors(policy: FreezePolicy) -> dict[str, float]:
        stated = recipe.for_policy(policy)
        assert stated.probe_updates == (5 if policy == "probe_then_full" else None)
        return {n: f for n, f in dataclasses.asdict(stated.group_learning_rates).items() if f != 1.0}

    assert dataclasses.replace(recipe.for_policy("head_only"), group_learning_rates=GroupLearningRates()) == bare
    assert factors("head_only") == {"head": 2.0} and bare == bare.for_policy("probe_then_full")
    assert factors("encoder") == factors("encoder_weights") == {"decoder": 0.5, "head": 2.0}
    assert factors("first_block") == {"encoder": 0.1}
    assert factors("batchnorm") == {"encoder": 0.1, "decoder": 0.5}
    for policy in ("none", "probe_then_full"):
        assert factors(policy) == {"encoder": 0.1, "decoder": 0.5, "head": 2.0}


def test_the_report_has_a_marker_for_each_policy() -> None:
    assert len({marker(list(POLICIES), policy) for policy in POLICIES}) == len(POLICIES)

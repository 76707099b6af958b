"""Equal runs have one id: what a run does not use is no part of it. What is unused is told by results, bit for bit."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidartune.config import load_config
from lidartune.runs.spec import Domain, RunSpec, Start
from lidartune.runs.store import Store
from lidartune.streetworld import WorldFolder
from lidartune.training.policies import WITHOUT_BATCHNORM, FreezePolicy
from lidartune.training.recipe import Recipe
from lidartune.transfer.plan import Cell, Plan, grid_cells

from .conftest import TinyStudy, open_tiny, tiny_config
from .test_spec import SPEC
from .test_trajectory import results_of

STUDIES = Path(__file__).parents[2] / "study"
BACKBONES = ("squeezeseg", "squeezesegv2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unused:
    """Values that change nothing in a run like this, which has `stated` beside them."""

    values: dict[str, Any]
    stated: dict[str, Any] = dataclasses.field(default_factory=dict)
    domain: Domain = "synthetic"
    policy: FreezePolicy = "none"
    backbone: str = "squeezesegv2"
    starts: bool = False

    def recipe(self, **values: Any) -> Recipe:
        base: dict[str, Any] = {"updates_per_epoch": 2, "batch_size": 2, "learning_rate": 0.01}
        return Recipe(**(base | self.stated | values))

    def for_run(self, recipe: Recipe) -> Recipe:
        return recipe.for_run(self.policy, self.domain, backbone=self.backbone, starts=self.starts)


COLD: dict[str, Any] = {"start": {"warmup": False}}
UNUSED = {
    "epsilon of no weights": Unused(values={"class_weight_epsilon": 0.1}, stated={"class_weights": "none"}),
    "epsilon of effective numbers": Unused(
        values={"class_weight_epsilon": 0.1}, stated={"class_weights": "effective_number"}
    ),
    "beta of inverse shares": Unused(values={"effective_number_beta": 0.9}),
    "where no weights are counted": Unused(
        values={"class_weights_counted_on": "real"}, stated={"class_weights": "none"}
    ),
    "own scans by their domain": Unused(values={"class_weights_counted_on": "real"}, domain="real"),
    "warm-up that is off": Unused(values={"warmup_updates": 4}, stated=COLD, starts=True),
    "no warm-up that is off": Unused(values=COLD, starts=True),
    "a start from nothing": Unused(values={"start": {"optimizer": "kept", "head": "new", "warmup": False}}),
    "a factor of no scale": Unused(values={"start": {"learning_rate_factor": 0.1}}, starts=True),
    "the end of no cosine": Unused(values={"cosine_updates": 9}),
    "the decay of a cosine": Unused(
        values={"decay_per_epoch": 0.5}, stated={"schedule": "cosine", "cosine_updates": 2}
    ),
    "parts of nothing": Unused(values={"accumulation": 5}, stated={"accumulation": 2}),
    "momentum of no statistics": Unused(values={"batchnorm_momentum": 0.3}, backbone="squeezeseg"),
    "no precise statistics": Unused(values={"precise_batchnorm": 2}, backbone="squeezeseg"),
    "momentum of fixed statistics": Unused(
        values={"batchnorm_momentum": 0.3}, domain="real", policy="head_only", starts=True
    ),
    "fixed statistics": Unused(values={"precise_batchnorm": 2}, domain="real", policy="head_only", starts=True),
    "gradients of a frozen encoder": Unused(
        values={"skip_gradient": False}, domain="real", policy="encoder", starts=True
    ),
    "the rate of a frozen encoder": Unused(
        values={"group_learning_rates": {"encoder": 0.1}}, domain="real", policy="encoder", starts=True
    ),
    "a probe of another policy": Unused(values={"probe_updates": 1}, domain="real", starts=True),
}


def spec_with(unused: Unused, recipe: Recipe) -> RunSpec:
    return dataclasses.replace(SPEC, backbone=unused.backbone, freeze=unused.policy, recipe=unused.for_run(recipe))


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_unused_makes_no_other_run(name: str) -> None:
    unused = UNUSED[name]
    bare, stated = unused.recipe(), unused.recipe(**unused.values)
    assert bare != stated
    assert spec_with(unused, bare).id == spec_with(unused, stated).id


@pytest.fixture(scope="module")
def study(tiny_world: WorldFolder) -> TinyStudy:
    cells = [
        Cell(backbone=backbone, width=32, pretrain_epochs=1, freeze="none", labelled_scans=2, seed=0)
        for backbone in BACKBONES
    ]
    recipe = {"updates_per_epoch": 1, "batch_size": 1, "learning_rate": 0.01}
    return open_tiny(tiny_config(tiny_world, recipe=recipe, channels=0.03), *cells)


@pytest.fixture(scope="module")
def results(study: TinyStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store, with a pretraining of each backbone."""
    results = tmp_path_factory.mktemp("results")
    for roles in study.plan.roles.values():
        study.carry_out(roles["pretrained"], results, [1])
    return results


def outcome(study: TinyStudy, results: Path, unused: Unused, recipe: Recipe) -> dict[Any, bytes]:
    """What a run of just this recipe leaves, with nothing taken out of it."""
    roles = next(roles for cell, roles in study.plan.roles.items() if cell.backbone == unused.backbone)
    before = roles["pretrained"]
    role = "pretrained" if unused.domain == "synthetic" else "finetuned"
    spec = dataclasses.replace(
        study.plan.works[roles[role].run].spec,
        start=Start(run=before.run, epoch=before.epoch) if unused.starts else None,
        freeze=unused.policy,
        recipe=recipe,
    )
    study.trajectory_of(spec, results).carry_out([1], lambda done: None)
    first = Store(results).read(spec.folder, 0, "metrics", "metrics.json")
    return {"first": first, **results_of(results, spec.folder, 1)}


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_unused_changes_not_one_bit(study: TinyStudy, results: Path, name: str) -> None:
    unused = UNUSED[name]
    bare, stated = unused.recipe(), unused.recipe(**unused.values)
    assert outcome(study, results, unused, bare) == outcome(study, results, unused, stated)


@given(
    policy=st.sampled_from(["none", "encoder", "encoder_weights", "first_block", "batchnorm"]),
    backbone=st.sampled_from(["squeezeseg", "squeezesegv2", "darknet21", "cenet"]),
    domain=st.sampled_from(["synthetic", "real"]),
    starts=st.booleans(),
)
def test_what_is_used_makes_another_run(policy: FreezePolicy, backbone: str, domain: Domain, starts: bool) -> None:
    unused = Unused(values={}, domain=domain, policy=policy, backbone=backbone, starts=starts)
    values: dict[str, Any] = {"class_weight_epsilon": 0.1, "warmup_updates": 4, "decay_per_epoch": 0.5}
    values |= {"dropout": 0.5, "momentum": 0.5, "ema": {}, "amp": "bf16"}
    values |= {} if backbone in WITHOUT_BATCHNORM else {"batchnorm_momentum": 0.3, "precise_batchnorm": 2}
    values |= {} if policy.startswith("encoder") else {"skip_gradient": False}
    values |= {"start": {"head": "new"}} if starts else {}
    values |= {"raydrop": "global"} if domain == "synthetic" else {}
    ids = {spec_with(unused, unused.recipe(**{name: value})).id for name, value in values.items()}
    assert len(ids | {spec_with(unused, unused.recipe()).id}) == len(values) + 1


IDS = {
    "demo": (156, "f7ea1e3d81ef"),
    "ladder": (57, "8e7d9782a670"),
    "memo": (84, "975fb33494ca"),
    "memo-weekend": (84, "eb12b19bdd05"),
    "search": (52, "5c9f3a3ebe10"),
    "search-smoke": (6, "a4584c616f46"),
    "smoke": (6, "f069b3f4603e"),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*.yaml")))
def test_the_runs_of_the_studies_keep_their_ids(name: str) -> None:
    """All folders of runs, planned without scans. Others would train again what a results folder holds already: where
    that is meant, SEMANTICS in lidartune/runs/spec.py is raised, or the study's YAML changed."""
    plan = Plan(load_config(STUDIES / f"{name}.yaml"), None)
    for cell in grid_cells(plan.config.grid)[0]:
        plan.add(cell)
    digest = hashlib.sha256("\n".join(sorted(plan.works)).encode()).hexdigest()[:12]
    assert (len(plan.works), digest) == IDS[name]

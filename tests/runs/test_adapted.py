"""Adapted networks as runs: a milestone after an adaptation, scored and kept, and no label of the target in it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors

from lidartune.errors import UserError
from lidartune.runs.spec import Start
from lidartune.runs.store import Store
from lidartune.runs.trajectory import missing_epochs
from lidartune.streetworld import WorldFolder
from lidartune.training.adapt.model import Adaptation
from lidartune.transfer.plan import Milestone
from lidartune.transfer.roles import LADDER_ROLE

from .conftest import CELL, TinyStudy, open_tiny, tiny_config

RECIPE: dict[str, Any] = {"updates_per_epoch": 3, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
ADAPTED = ["statistics", "adabn", "statistics_adabn", "prior_em", "prior_oracle"]
RAYDROP = ["raydrop_per_pixel", "combined_prior_em"]


def laddered(world: WorldFolder, rungs: list[str], **recipe: Any) -> TinyStudy:
    return open_tiny(tiny_config(world, recipe=RECIPE | recipe, ladder=rungs))


def carry_out(study: TinyStudy, results: Path, rung: str) -> Milestone:
    """A rung and what it stands on."""
    milestone = study.plan.roles[CELL][LADDER_ROLE + rung]
    spec = study.plan.works[milestone.run].spec
    if spec.start is not None:
        study.carry_out(Milestone(run=spec.start.run, epoch=spec.start.epoch), results, [spec.start.epoch])
    study.carry_out(milestone, results, [milestone.epoch])
    return milestone


def scores_of(results: Path, milestone: Milestone) -> dict[str, Any]:
    return Store(results).read_json(milestone.run, milestone.epoch, "test", "scores.json")


def weights(results: Path, milestone: Milestone) -> dict[str, np.ndarray]:
    return load_tensors(Store(results).read(milestone.run, milestone.epoch, "state", "weights.safetensors"))


def files(results: Path, run: str) -> dict[str, bytes]:
    """All that a run has committed but its timing, by place."""
    store, found = Store(results), {}
    for kind in ("metrics", "test", "state"):
        for epoch in store.epochs(run, kind):
            for name in ("metrics.json", "scores.json", "weights.safetensors", "optimizer.safetensors", "state.json"):
                try:
                    found[f"{epoch}/{kind}/{name}"] = store.read(run, epoch, kind, name)
                except (UserError, KeyError):
                    continue
    return found


@pytest.fixture(scope="module")
def climbed(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyStudy, Path]:
    study, results = laddered(tiny_world, ADAPTED + RAYDROP), tmp_path_factory.mktemp("ladder")
    for rung in ["none", *ADAPTED, *RAYDROP]:
        carry_out(study, results, rung)
    return study, results


# -- what an adapted run is -------------------------------------------------------------------------------------------


def test_epoch_0_scores_the_adapted_network_and_its_weights_are_kept(climbed: tuple[TinyStudy, Path]) -> None:
    study, results = climbed
    roles = study.plan.roles[CELL]
    plain = scores_of(results, roles[LADDER_ROLE + "none"])
    for rung in ("statistics", "adabn", "prior_oracle"):
        milestone = roles[LADDER_ROLE + rung]
        assert milestone.epoch == 0
        assert scores_of(results, milestone)["real"]["points"] != plain["real"]["points"], rung
    before, after = (weights(results, roles[LADDER_ROLE + rung]) for rung in ("none", "adabn"))
    moved = {name.rpartition(".")[2] for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"running_mean", "running_var"}
    before, after = (weights(results, roles[LADDER_ROLE + rung]) for rung in ("none", "prior_em"))
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["head.1.bias"]


def test_what_an_adaptation_found_is_in_the_first_row(climbed: tuple[TinyStudy, Path]) -> None:
    study, results = climbed
    store, roles = Store(results), study.plan.roles[CELL]

    def found(rung: str) -> dict[str, Any]:
        row = store.read_json(roles[LADDER_ROLE + rung].run, 0, "metrics", "metrics.json")
        assert row["updates"] == 0 and "starts from" in row["notes"][0]
        return row["adaptation"]

    assert found("statistics").keys() == {"statistics"} and found("adabn").keys() == {"batchnorm"}
    assert {"taught", "target", "iterations"} <= found("prior_em")["prior"].keys()
    facts = store.read_json(roles[LADDER_ROLE + "statistics"].run, 0, "state", "state.json")
    assert facts["means"] == found("statistics")["statistics"]["means"]


def test_a_run_that_starts_from_an_adapted_network_begins_with_its_score(climbed: tuple[TinyStudy, Path]) -> None:
    study, results = climbed
    milestone = study.plan.roles[CELL][LADDER_ROLE + "statistics_adabn"]
    finetuned = dataclasses.replace(study.spec("finetuned"), start=Start(run=milestone.run, epoch=0))
    assert finetuned.name.startswith("squeezesegv2-64-synthetic-2ep-adapted-statistics-adabn-0ep-real-2scans-none")
    study.trajectory_of(finetuned, results).carry_out([0], lambda done: None)
    start = scores_of(results, Milestone(run=finetuned.folder, epoch=0))
    assert start["real"] == scores_of(results, milestone)["real"]


def test_an_adaptation_that_is_off_scores_as_the_milestone_does(climbed: tuple[TinyStudy, Path]) -> None:
    study, results = climbed
    adabn = study.plan.works[study.plan.roles[CELL][LADDER_ROLE + "adabn"].run].spec
    off = dataclasses.replace(adabn, adaptation=Adaptation())
    study.trajectory_of(off, results).carry_out([0], lambda done: None)
    found = scores_of(results, Milestone(run=off.folder, epoch=0))
    plain = scores_of(results, study.plan.roles[CELL][LADDER_ROLE + "none"])
    assert [found[d] for d in ("synthetic", "real")] == [plain[d] for d in ("synthetic", "real")]


def test_an_adapted_network_is_not_trained(climbed: tuple[TinyStudy, Path]) -> None:
    study, results = climbed
    milestone = study.plan.roles[CELL][LADDER_ROLE + "adabn"]
    with pytest.raises(UserError, match="(?s)adapted network is scored, but not trained.*epoch 1 wanted"):
        study.carry_out(milestone, results, [1])


@pytest.mark.parametrize("recipe", [{"ema": {"decay": 0.5}}, {"precise_batchnorm": 2}, {"ema": {"use": "milestones"}}])
def test_an_adapted_network_is_that_of_the_milestone_as_it_is_handed_on(
    tiny_world: WorldFolder, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    study = laddered(tiny_world, ["prior_em"], **recipe)
    milestone = carry_out(study, tmp_path, "prior_em")
    finetuned = dataclasses.replace(study.spec("finetuned"), start=Start(run=milestone.run, epoch=0))
    study.trajectory_of(finetuned, tmp_path).carry_out([0], lambda done: None)
    start = scores_of(tmp_path, Milestone(run=finetuned.folder, epoch=0))
    assert start["real"] == scores_of(tmp_path, milestone)["real"]


# -- interrupted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["metrics", "state", "test"])
def test_an_interrupted_adaptation_ends_the_same(
    climbed: tuple[TinyStudy, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    study, whole = climbed
    milestone = study.plan.roles[CELL][LADDER_ROLE + "prior_em"]
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    shutil.rmtree(results / "runs" / milestone.run)
    commit = Store.commit

    def stopped(store: Store, run: str, epoch: int, kind: str, *rest: Any) -> Any:
        if kind == before:
            raise KeyboardInterrupt
        return commit(store, run, epoch, kind, *rest)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Store, "commit", stopped)
        study.carry_out(milestone, results, [0])
    store = Store(results)
    assert missing_epochs(store, milestone.run, [0]) == [0]
    study.carry_out(milestone, results, [0])
    assert store.has(milestone.run, 0, "state"), "whatever starts from it finds it"
    assert files(results, milestone.run) == files(whole, milestone.run)


# -- labels -----------------------------------------------------------------------------------------------------------


def wrecked(world: WorldFolder, folder: Path) -> WorldFolder:
    """The same world; the labels of real training scans are noise of the same size."""
    copy = dataclasses.replace(world, path=folder / "world")
    shutil.copytree(world.path, copy.path)
    rng = np.random.default_rng(0)
    found = [
        path
        for number in world.splits["real"]["train"]
        for path in (copy.real / "sequences" / f"{number:02d}" / "labels").glob("*.label")
    ]
    assert found
    for path in found:
        ids = np.fromfile(path, dtype="<u4")
        rng.permutation(ids).tofile(path)
    return copy


def test_wrecked_real_labels_change_the_oracle_and_nothing_else(
    climbed: tuple[TinyStudy, Path], tiny_world: WorldFolder, tmp_path: Path
) -> None:
    study, results = climbed
    other = laddered(wrecked(tiny_world, tmp_path), ADAPTED + RAYDROP)
    same = [rung for rung in ("none", *ADAPTED, *RAYDROP) if rung != "prior_oracle"]
    for rung in same:
        here, there = study.plan.roles[CELL][LADDER_ROLE + rung], other.plan.roles[CELL][LADDER_ROLE + rung]
        assert here == there, f"{rung} is another run"
        carry_out(other, tmp_path / "results", rung)
        assert files(results, here.run) == files(tmp_path / "results", here.run), rung
    here, there = (s.plan.roles[CELL][LADDER_ROLE + "prior_oracle"] for s in (study, other))
    assert here.run != there.run, "the labels are part of what it is"

"""`probe_then_full` through the store: stopped on either side of its switch, it goes on to the same bits."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors

from lidartune.runs.store import Store
from lidartune.transfer.plan import Milestone

from .conftest import CELL, TinyStudy

PROBE = dataclasses.replace(CELL, pretrain_epochs=1, freeze="probe_then_full")
HEAD = dataclasses.replace(PROBE, freeze="head_only")
RECIPE: dict[str, Any] = {"updates_per_epoch": 3, "batch_size": 1, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
FILES = ("weights.safetensors", "optimizer.safetensors", "state.json")


def study_of(open_with: Callable[..., TinyStudy], probe_updates: int, optimizer: str) -> TinyStudy:
    recipe = RECIPE | {"optimizer": optimizer}
    grid = {"pretrain_epochs": [1], "freeze": ["probe_then_full", "head_only"]}
    second = {"probe_updates": probe_updates}
    return open_with(PROBE, HEAD, recipe=recipe, grid=grid, recipe_second_stage=second, finetune_epochs=3)


@pytest.fixture(scope="module", params=["sgd", "adamw"])
def pretrained(
    request: pytest.FixtureRequest, open_with: Callable[..., TinyStudy], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """One pretraining for all probes: how long they are is no part of it."""
    results = tmp_path_factory.mktemp("pretrained")
    study = study_of(open_with, 4, request.param)
    study.carry_out(study.plan.roles[PROBE]["pretrained"], results, [1])
    return request.param, results


def state(results: Path, milestone: Milestone, epoch: int) -> dict[str, bytes]:
    return {name: Store(results).read(milestone.run, epoch, "state", name) for name in FILES}


@pytest.mark.parametrize("probe_updates", [3, 4], ids=["between two epochs", "within the second epoch"])
def test_stopped_on_either_side_of_the_switch_it_goes_on_to_the_same_bits(
    open_with: Callable[..., TinyStudy], pretrained: tuple[str, Path], tmp_path: Path, probe_updates: int
) -> None:
    optimizer, before = pretrained
    study = study_of(open_with, probe_updates, optimizer)
    roles = study.plan.roles[PROBE]
    for name in ("straight", "stopped"):
        shutil.copytree(before, tmp_path / name)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    study.carry_out(roles["finetuned"], straight, [1, 2, 3])
    for epoch in (1, 2, 3):
        study.carry_out(roles["finetuned"], stopped, [epoch])
        assert state(stopped, roles["finetuned"], epoch) == state(straight, roles["finetuned"], epoch)

    study.carry_out(study.plan.roles[HEAD]["finetuned"], straight, [1])
    head = state(straight, study.plan.roles[HEAD]["finetuned"], 1)
    probe, whole, start = (
        load_tensors(files["weights.safetensors"])
        for files in (
            state(straight, roles["finetuned"], 1),
            state(straight, roles["finetuned"], 2),
            state(straight, roles["pretrained"], 1),
        )
    )
    assert head["weights.safetensors"] == state(straight, roles["finetuned"], 1)["weights.safetensors"]
    assert {n for n in start if not np.array_equal(start[n], probe[n])} == {n for n in start if n.startswith("head.")}
    assert all(not np.array_equal(probe[name], whole[name]) for name in probe), "once the switch is passed, all move"

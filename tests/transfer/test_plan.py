"""Cells become runs: shared where they can be, left out where they make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from lidartune.config import Grid
from lidartune.transfer.plan import Cell, Plan, grid_cells
from tests.runs.conftest import open_tiny, tiny_config

GRID = Grid(
    backbone=("squeezesegv2", "darknet21"),
    width=(64, 128),
    pretrain_epochs=(0, 2, 5),
    freeze=("none", "encoder"),
    labelled_scans=(2,),
    seed=(0, 1),
)


@pytest.fixture(scope="module")
def plan(tiny_world: Any) -> Plan:
    return open_tiny(tiny_config(tiny_world), *grid_cells(GRID)[0]).plan


def test_frozen_random_networks_are_left_out_with_the_reason() -> None:
    cells, excluded = grid_cells(GRID)
    assert len(cells) == 2 * 2 * 2 * (1 + 2 * 2) and len(excluded) == 2 * 2 * 2
    assert all(entry.cell.pretrain_epochs == 0 and entry.cell.freeze == "encoder" for entry in excluded)
    assert all("random weights" in entry.reason for entry in excluded)


def test_all_cells_of_a_backbone_width_and_seed_share_one_pretraining(plan: Plan) -> None:
    pretrainings = {roles["pretrained"].run for cell, roles in plan.roles.items() if cell.pretrain_epochs}
    assert len(pretrainings) == 2 * 2 * 2
    trained, alone = plan.pretraining_epochs()
    assert (trained, alone) == (8 * 5, 8 * (2 * 2 + 2 * 5))


def test_finetuning_starts_from_the_milestone_of_its_cell(plan: Plan) -> None:
    for cell, roles in plan.roles.items():
        if cell.pretrain_epochs:
            spec = plan.works[roles["finetuned"].run].spec
            assert spec.start is not None and spec.start.epoch == cell.pretrain_epochs
            assert spec.start.run == roles["pretrained"].run and spec.freeze == cell.freeze


def test_references_have_equal_updates_on_the_same_scans(plan: Plan) -> None:
    for cell, roles in plan.roles.items():
        if cell.pretrain_epochs:
            total = cell.pretrain_epochs + roles["finetuned"].epoch
            assert {roles[r].epoch for r in ("scratch_longer", "pretrained_longer", "full_longer")} == {total}
            finetuned, scratch = (plan.works[roles[r].run].spec for r in ("finetuned", "scratch"))
            assert finetuned.train == scratch.train and finetuned.recipe == scratch.recipe


def test_a_run_s_id_changes_with_everything_that_can_change_its_result(tiny_world: Any) -> None:
    cell = Cell(backbone="squeezesegv2", width=64, pretrain_epochs=2, freeze="none", labelled_scans=2, seed=0)

    def run(**changes: Any) -> str:
        study = open_tiny(tiny_config(tiny_world, **changes), cell)
        return study.plan.roles[cell]["pretrained"].run

    recipe = {"updates_per_epoch": 3, "batch_size": 1, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
    runs = [
        run(),
        run(channels=0.25),
        run(canvas={"height": 32}),
        run(recipe=recipe | {"learning_rate": 0.06}),
        run(scoring={"validation_scans": 2, "test_scans": 2, "block": 1}),
    ]
    assert len(set(runs)) == len(runs)
    assert run(name="another", finetune_epochs=9) == run(), "neither the study nor how long it goes on is part of it"

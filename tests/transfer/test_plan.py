"""Cells become runs: shared where they can be, left out where they make no sense."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pandas as pd
import pytest

from lidartune.config import Grid
from lidartune.errors import UserError
from lidartune.runs.spec import Start
from lidartune.training.adapt.ladder import LADDER
from lidartune.training.policies import FreezePolicy
from lidartune.transfer.data import labelled_record, open_study_data, with_counts
from lidartune.transfer.plan import Cell, Milestone, Plan, grid_cells
from lidartune.transfer.roles import LADDER_ROLE
from tests.runs.conftest import open_tiny, tiny_config

POLICIES: tuple[FreezePolicy, ...] = get_args(FreezePolicy)
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


def test_no_policy_is_a_cell_without_pretraining_nor_batchnorm_without_any() -> None:
    grid = Grid(backbone=("squeezeseg", "squeezesegv2"), pretrain_epochs=(0, 2), freeze=POLICIES, seed=(0,))
    cells, excluded = grid_cells(grid)
    assert {cell.freeze for cell in cells if cell.pretrain_epochs == 0} == {"none"}
    assert {cell.freeze for cell in cells if cell.backbone == "squeezesegv2"} == set(POLICIES)
    without = {entry.cell.backbone: entry.reason for entry in excluded if entry.cell.pretrain_epochs}
    assert without == {"squeezeseg": "squeezeseg has no batch normalisation that could train"}


def test_a_probe_needs_a_length_and_time_left_after_it(tiny_world: Any) -> None:
    grid = {"width": [64], "pretrain_epochs": [2], "freeze": ["probe_then_full"], "labelled_scans": [2], "seed": [0]}
    for second, found in (({}, "nothing"), ({"probe_updates": 6}, "6")):
        config = tiny_config(tiny_world, grid=grid, recipe_second_stage=second, finetune_epochs=2)
        with pytest.raises(UserError, match=rf"(?s)squeezesegv2.*found: +{found}\n.*fewer than the 6 of fine-tuning"):
            Plan(config, None)
    config = tiny_config(tiny_world, grid=grid, recipe_second_stage={"probe_updates": 5}, finetune_epochs=2)
    Plan(config, None)


def test_a_cosine_is_for_runs_that_end_where_they_are_reported(tiny_world: Any) -> None:
    def planned(**changes: Any) -> Plan:
        grid = {"width": [64], "pretrain_epochs": [2], "freeze": ["none"], "labelled_scans": [2], "seed": [0]}
        return open_tiny(tiny_config(tiny_world, grid=grid, finetune_epochs=2, **changes)).plan

    whole = {"schedule": "cosine", "cosine_updates": 6}
    with pytest.raises(UserError, match="(?s)recipe.schedule, run squeezesegv2-64-synthetic.*nothing starts from it"):
        planned(recipe={"batch_size": 1, "updates_per_epoch": 3, **whole})
    with pytest.raises(UserError, match="(?s)recipe_second_stage.schedule.*needs cosine_updates: 6 "):
        planned(recipe_second_stage={"schedule": "cosine"})
    at_end = {"start": {"learning_rate": "continued"}}
    with pytest.raises(UserError, match="(?s)recipe_second_stage.schedule.*made for 6 updates.*after 12"):
        planned(recipe_second_stage=whole | at_end)
    planned(recipe_second_stage=whole)
    planned(recipe_second_stage=whole | at_end | {"cosine_updates": 12})


def test_rungs_that_train_on_are_judged_by_the_recipe_that_they_train_with(tiny_world: Any) -> None:
    def left_out(first: int, second: int) -> set[str]:
        recipe = {"updates_per_epoch": 3, "batch_size": first}
        config = tiny_config(
            tiny_world, recipe=recipe, recipe_second_stage={"batch_size": second}, ladder=["self_training"]
        )
        return {rung for _, rung in open_tiny(config).plan.rungs_excluded}

    assert left_out(1, 2) == set() and left_out(2, 1) == {"self_training"}


def test_a_ladder_leaves_out_a_rung_that_leaves_no_input(tiny_world: Any) -> None:
    config = tiny_config(tiny_world, ladder=["without_remission"], network={"inputs": ["remission"]})
    assert set(open_tiny(config).plan.rungs_excluded.values()) == {"the networks take in nothing that would be left"}


def test_one_pass_is_one_number_of_updates(tiny_world: Any) -> None:
    whole = len(open_study_data(tiny_config(tiny_world)).domains["real"].train)
    assert open_tiny(tiny_config(tiny_world, recipe={"batch_size": 2})).plan.updates_per_epoch == whole // 2
    with pytest.raises(UserError, match="(?s)batches of 1, 2 scans.*recipe.updates_per_epoch"):
        open_tiny(tiny_config(tiny_world, recipe={"batch_size": 2}, recipe_second_stage={"batch_size": 1}))


def test_a_setting_that_changes_nothing_of_a_run_leaves_its_name(tiny_world: Any) -> None:
    def runs(**second: Any) -> dict[str, str]:
        grid = {"width": [64], "pretrain_epochs": [2], "freeze": list(POLICIES), "labelled_scans": [2], "seed": [0]}
        stage = {"probe_updates": 1} | second
        plan = Plan(tiny_config(tiny_world, grid=grid, recipe_second_stage=stage), None)
        roles = {cell.freeze: plan.add(cell) for cell in grid_cells(plan.config.grid)[0]}
        return {policy: found["finetuned"].run for policy, found in roles.items()} | {
            "pretrained": roles["none"]["pretrained"].run
        }

    def changed(**second: Any) -> set[str]:
        return {name for name, run in runs(**second).items() if run != runs()[name]}

    assert changed(probe_updates=2) == {"probe_then_full"}
    assert changed(group_learning_rates={"head": 2.0}) == set(POLICIES) - {"first_block", "batchnorm"}
    assert changed(group_learning_rates={"encoder": 0.1}) == {"none", "probe_then_full", "first_block", "batchnorm"}


def test_rungs_share_what_they_can_and_their_runs_do_not_depend_on_fine_tuning(tiny_world: Any) -> None:
    grid = {"width": [64], "pretrain_epochs": [0, 2], "freeze": ["none", "encoder"], "labelled_scans": [2, "all"]}
    recipe = {"updates_per_epoch": 3, "batch_size": 2}

    def planned(ladder: list[str]) -> Plan:
        config = tiny_config(tiny_world, grid=grid | {"seed": [0]}, ladder=ladder, recipe=recipe, finetune_epochs=3)
        return open_tiny(config, *grid_cells(config.grid)[0]).plan

    without, plan = planned([]), planned(list(LADDER)[1:])
    new = [work for run, work in plan.works.items() if run not in without.works]
    assert without.works.keys() < plan.works.keys() and not plan.rungs_excluded
    assert all(work.spec.domain == "synthetic" for work in new), "no label of a real scan is trained on"
    rungs: dict[str, set[Milestone]] = {rung: set() for rung in LADDER}
    for cell, roles in plan.roles.items():
        found = {role.removeprefix(LADDER_ROLE): where for role, where in roles.items() if role.startswith(LADDER_ROLE)}
        assert set(found) == (set(LADDER) if cell.pretrain_epochs else set())
        for rung, where in found.items():
            rungs[rung].add(where)
    assert all(len(places) == 1 for places in rungs.values()), "one for all freezing policies and labelled scans"
    places = {rung: found.pop() for rung, found in rungs.items()}
    pretrained = next(roles["pretrained"] for cell, roles in plan.roles.items() if cell.pretrain_epochs)
    assert places["none"] == pretrained
    specs = {rung: plan.works[where.run].spec for rung, where in places.items()}
    for rung in ("statistics", "adabn", "adabn_layerwise", "statistics_adabn", "prior_em", "prior_oracle"):
        assert specs[rung].start == Start(run=pretrained.run, epoch=2) and places[rung].epoch == 0
        assert specs[rung].other.startswith("points-") == (rung != "prior_oracle")
    for rung in ("raydrop_global", "raydrop_per_pixel", "without_remission"):
        assert specs[rung].start is None and places[rung].epoch == 2
        assert specs[rung].other.startswith("points-") == rung.startswith("raydrop")
    combined = plan.works[specs["combined"].start.run].spec  # type: ignore[union-attr]
    assert (combined.recipe.raydrop, combined.network.inputs) == ("per_pixel", ("range", "x", "y", "z"))
    assert specs["combined_prior_em"].start == specs["combined"].start
    for rung in ("self_training", "lasermix", "joint_labelled"):
        control = next(roles["synthetic_synthetic"] for roles in plan.roles.values() if "start" in roles)
        assert places[rung].epoch == control.epoch == 3
        bare = dataclasses.replace(specs[rung], joint=None, other="")
        assert bare == plan.works[control.run].spec, "its control is the same without real scans"
        assert specs[rung].other.startswith("points-") == (rung != "joint_labelled")
    own = 3 * 2 + 4 * 3  # pretrainings of raydrop (two ways) and combined's, and joint runs
    own += 2  # without_remission
    assert plan.updates() - without.updates() == own * 3
    assert plan.as_dict([])["ladder"] == list(LADDER) and "ladder" not in without.as_dict([])


def test_a_rung_that_a_network_cannot_have_is_left_out_with_the_reason(tiny_world: Any) -> None:
    grid = {"backbone": ["squeezeseg", "squeezesegv2"], "width": [64], "pretrain_epochs": [2], "seed": [0]}
    network = {"inputs": ["range", "mask", "remission"]}
    config = tiny_config(tiny_world, grid=grid, ladder=list(LADDER), network=network)
    plan = open_tiny(config, *grid_cells(config.grid)[0]).plan
    excluded = plan.as_dict([])["ladder_excluded"]
    assert {e["rung"] for e in excluded if e["backbone"] == "squeezesegv2"} == {
        "self_training", "lasermix", "polarmix", "joint_labelled"
    }  # fmt: skip
    reasons = {e["rung"]: e["reason"] for e in excluded if e["backbone"] == "squeezeseg"}
    assert reasons["adabn"] == "squeezeseg has no batch normalisation whose statistics could be the target's"
    assert reasons["lasermix"] == "a batch of one scan has no place for both domains"
    for roles in plan.roles.values():
        where = roles[f"{LADDER_ROLE}without_remission"]
        assert plan.works[where.run].spec.network.inputs == ("range", "mask"), "of the study's own inputs"


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


def test_shares_of_labelled_scans_become_numbers_once(tiny_world: Any) -> None:
    labelled: list[int | str] = ["1%", "25%", "50%", 3, "100%", 4]
    stated = {"width": [64], "pretrain_epochs": [2], "labelled_scans": labelled, "seed": [0, 1]}
    config = tiny_config(tiny_world, grid=stated)
    data = open_study_data(config)
    counted = with_counts(config, data)
    assert counted.grid.labelled_scans == (1, 2, 3, "all"), "of 4 scans; 1% and 25% are the same cell, 100% and 4 too"
    said = "1% = 1, 25% = 1, 50% = 2, 100% = all, 4 = all of 4"
    assert data.notes == (f"labelled real scans: {said}; equal numbers are one cell",)
    cells = grid_cells(counted.grid)[0]
    assert len(cells) == 4 * 2
    plan = Plan(counted, data)
    for cell in cells:
        plan.add(cell)
    finetuned = {plan.works[roles["finetuned"].run].spec.labelled_scans for roles in plan.roles.values()}
    assert finetuned == {1, 2, 3, "all"} == {entry["labelled_scans"] for entry in plan.as_dict([])["cells"]}


def test_labelled_scans_are_written_down_nested_and_as_they_are_trained_on(tiny_world: Any) -> None:
    stated = {"width": [64], "pretrain_epochs": [0], "labelled_scans": ["25%", 2, "75%", "all"], "seed": [0, 7]}
    config = tiny_config(tiny_world, grid=stated)
    data = open_study_data(config)
    record = labelled_record(config, data)
    assert [(entry["labelled_scans"], entry["stated"], entry["seed"]) for entry in record] == [
        (count, [said], seed) for count, said in ((1, "25%"), (2, 2), (3, "75%")) for seed in (0, 7)
    ]
    for entry in record:
        trained = data.domains["real"].training_scans(entry["labelled_scans"], entry["seed"])
        assert entry["scans"] == [f"{scan.sequence}/{scan.name}" for scan in trained]
        assert len(entry["scans"]) == entry["labelled_scans"]
    for smaller, larger in zip(record, record[2:], strict=False):
        assert set(smaller["scans"]) < set(larger["scans"])
    table = pd.DataFrame(record).explode("scans")
    assert len(table) == 2 * (1 + 2 + 3), "a row for each scan, for whoever wants a CSV"


def test_a_share_is_planned_without_the_scans_too(tiny_world: Any) -> None:
    config = tiny_config(tiny_world, grid={"width": [64], "pretrain_epochs": [2], "labelled_scans": ["10%"]})
    plan = Plan(config, None)
    for cell in grid_cells(config.grid)[0]:
        plan.add(cell)
    assert len(plan.roles) == 3 and plan.updates() > 0


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

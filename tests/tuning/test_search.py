"""A search draws what was asked for, nothing twice, as much from scratch as fine-tuned, and ends with judged cells."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from lidartune.config import load_config
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.streetworld import WorldFolder
from lidartune.transfer.data import open_study_data
from lidartune.tuning.optuna_file import rebuilt
from lidartune.tuning.points import Points
from lidartune.tuning.search import RunSearch, anything_to_train
from lidartune.tuning.searched import describe_search
from lidartune.tuning.study import open_study, record
from lidartune.tuning.winner import write_winner
from tests.tuning.made_up_search import (
    FakeTrials,
    Killed,
    carry_out,
    drawn,
    learning_rate_matters,
    open_search,
    search_config,
)

ASHA = {"scheduler": "asha", "grace_epochs": 1, "reduction_factor": 2}


def plan_of(results: Path) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((results / "tiny" / "plan.json").read_text())
    return plan


def test_half_of_the_points_are_from_scratch_and_cost_the_same(tiny_world: WorldFolder, tmp_path: Path) -> None:
    trials = carry_out(search_config(tiny_world, trials=10), tmp_path, slots=2)
    stages = [bool(record["axes"]["pretrain_epochs"]) for record in drawn(tmp_path)]
    assert len(stages) == 10 and sum(stages) == 5
    points = trials.source.points
    updates = {stage: sum(max(points.curve(p)) for p in points.of(stage)) for stage in points.spaces}
    assert updates["finetuned"] == updates["scratch"] == 5 * 4


def test_the_same_seed_and_one_slot_draw_the_same_points(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = search_config(tiny_world, trials=16)
    for name in ("one", "other"):
        carry_out(config, tmp_path / name)
    assert drawn(tmp_path / "one") == drawn(tmp_path / "other")
    carry_out(search_config(tiny_world, trials=16, seed=1), tmp_path / "seed")
    assert drawn(tmp_path / "seed") != drawn(tmp_path / "one")


def test_the_sampler_goes_where_the_score_is(tiny_world: WorldFolder, tmp_path: Path) -> None:
    carry_out(search_config(tiny_world, trials=40), tmp_path)
    rates = [record["finetuning"]["learning_rate"] for record in drawn(tmp_path)]
    near = [0.01 < rate < 0.04 for rate in rates]
    assert sum(near[20:]) >= 10, "by chance it would be 6 of 20"


@pytest.mark.parametrize("scheduler", [{}, ASHA])
def test_killed_anywhere_it_goes_on_to_a_larger_total(
    tiny_world: WorldFolder, tmp_path: Path, scheduler: dict[str, Any]
) -> None:
    config = search_config(tiny_world, trials=6, **scheduler)
    trained: list[tuple[str, int]] = []
    records: list[dict[str, Any]] = []
    for after in (0, 3, 7, 1, 9):
        study, source = open_search(config, tmp_path)
        trials = FakeTrials(study, source, slots=2, worth=learning_rate_matters, after=after)
        with pytest.raises(Killed):
            trials.carry_out()
        trained += trials.trained
        assert drawn(tmp_path)[: len(records)] == records, "what was drawn and stopped stays as it was"
        records = [record for record in drawn(tmp_path) if record["stopped"]]
        records = drawn(tmp_path)[: len(records)] if records else []
    trained += carry_out(config, tmp_path, slots=2).trained
    first = drawn(tmp_path)
    assert len(first) == 6
    trained += carry_out(search_config(tiny_world, trials=12, **scheduler), tmp_path, slots=2).trained
    assert len(drawn(tmp_path)) == 12 and drawn(tmp_path)[:6] == first
    texts = {json.dumps(record | {"stopped": None}, sort_keys=True) for record in drawn(tmp_path)}
    assert len(texts) == 12, "nothing is drawn twice"
    assert len(set(trained)) == len(trained), "nothing is trained twice"
    again = carry_out(search_config(tiny_world, trials=12, **scheduler), tmp_path, slots=2)
    assert again.order == [] and not again.source.wants_points()


def test_a_small_space_is_drawn_to_its_end(tiny_world: WorldFolder, tmp_path: Path) -> None:
    space = {"finetuning": {"class_weights": ["none", "sqrt"], "start.normalization": ["carried", "own"]}}
    carry_out(search_config(tiny_world, trials=100, space=space), tmp_path, slots=3)
    scratch = [record for record in drawn(tmp_path) if not record["axes"]["pretrain_epochs"]]
    assert len(scratch) == 2 and all(set(record["finetuning"]) == {"class_weights"} for record in scratch)
    assert len(drawn(tmp_path)) == 2 + 2 * 2 * 2


def test_settings_that_train_the_same_network_are_one_point(tiny_world: WorldFolder, tmp_path: Path) -> None:
    space = {"finetuning": {"group_learning_rates.encoder": [0.1, 0.3, 1.0]}}
    grid = {"pretrain_epochs": [2], "freeze": ["encoder"]}
    carry_out(search_config(tiny_world, grid=grid, trials=9, space=space), tmp_path)
    assert len(drawn(tmp_path)) == 1, "a frozen encoder has no learning rate"


def test_points_that_are_not_in_the_space_any_more_stay_in_the_file(tiny_world: WorldFolder, tmp_path: Path) -> None:
    carry_out(search_config(tiny_world, trials=4), tmp_path)
    first = drawn(tmp_path)
    space = {"finetuning": {"learning_rate": {"low": 0.2, "high": 0.3}}}
    trials = carry_out(search_config(tiny_world, trials=3, space=space), tmp_path)
    assert drawn(tmp_path)[:4] == first and len(drawn(tmp_path)) == 4 + 3
    assert [point.number for point in trials.source.points.all] == [5, 6, 7]


def test_the_budget_counts_points_that_are_there(tiny_world: WorldFolder, tmp_path: Path) -> None:
    trials = carry_out(search_config(tiny_world, trials=6), tmp_path)
    updates = trials.study.plan.updates_per_epoch
    for asked, points in ((4, 6), (6, 6), (8, 8)):
        study, _ = open_search(search_config(tiny_world, trials=asked), tmp_path)
        assert f"all points {points * 4 * updates} at most" in describe_search(study)[1]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_seed_that_points_are_drawn_by_is_recorded(sampler: str, tiny_world: WorldFolder, tmp_path: Path) -> None:
    study, _ = open_search(search_config(tiny_world, sampler=sampler, seed=5), tmp_path)
    record(study, [])
    assert json.loads((tmp_path / "tiny" / "manifest.json").read_text())["search_seed"] == 5


def test_as_of_a_grid_nothing_is_frozen_at_random_weights(tiny_world: WorldFolder, tmp_path: Path) -> None:
    grid = {"pretrain_epochs": [0, 1], "freeze": ["encoder"]}
    carry_out(search_config(tiny_world, grid=grid, judged=None, space={}), tmp_path)
    assert [(r["axes"]["pretrain_epochs"], r["axes"]["freeze"]) for r in drawn(tmp_path)] == [(1, "encoder")]


def test_without_an_end_every_point_is_in_the_tables(tiny_world: WorldFolder, tmp_path: Path) -> None:
    trials = carry_out(search_config(tiny_world, trials=3, judged=None, space={}), tmp_path)
    plan = plan_of(tmp_path)
    assert len(plan["cells"]) == 3 and "searched" not in plan and not any("variant" in cell for cell in plan["cells"])
    assert all((role["run"], role["epoch"]) in trials.tested for c in plan["cells"] for role in c["roles"].values())


# -- asha -----------------------------------------------------------------------------------------------------------


def test_asha_stops_points_and_nothing_that_others_start_from(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = search_config(tiny_world, grid={"seed": [0, 1]}, trials=16, **ASHA)
    trials = carry_out(config, tmp_path, slots=2)
    ends = {run for point in trials.source.points.all for run in point.runs}
    started_from = {work.spec.start.run for work in trials.study.plan.works.values() if work.spec.start}
    assert trials.stopped and set(trials.stopped) <= ends and not set(trials.stopped) & started_from
    assert not trials.study.schedule.failures
    stopped = [point for point in trials.source.points.all if point.stopped]
    assert 4 <= len(stopped) < 16 and {point.stopped for point in stopped} <= {1, 2}
    for point in stopped:
        assert trials.source.points.value(point) is None, "it is none of the best"
        for run in point.runs:  # a seed that had gone further than the first one ends at its next epoch
            assert not trials.study.store.has(run, 4, "metrics") or run != point.runs[0]


def test_what_asha_decided_is_kept_and_noted_as_it_was(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = search_config(tiny_world, trials=12, **ASHA)
    carry_out(config, tmp_path)
    study, source = open_search(config, tmp_path)
    live = carry_out(search_config(tiny_world, trials=12, **ASHA), tmp_path / "again").source
    for stage, rebuilt_study in rebuilt(study, source.points, optuna.storages.InMemoryStorage()).items():
        there = live._stages[stage]._optuna_study.get_trials(deepcopy=False)
        there = [t for t in there if t.state != optuna.trial.TrialState.FAIL]
        noted = [(t.state, t.params, t.value, t.intermediate_values) for t in rebuilt_study.trials]
        assert [(t.state, t.params, t.value) for t in there] == [entry[:3] for entry in noted]
        rungs = [{k: v for k, v in t.system_attrs.items() if k.startswith("completed")} for t in rebuilt_study.trials]
        assert rungs == [{k: v for k, v in t.system_attrs.items() if k.startswith("completed")} for t in there]
        assert any(t.state == optuna.trial.TrialState.PRUNED for t in there)


@pytest.mark.parametrize("changed", [{"grid": {"seed": [5]}}, {"recipe": {"weight_decay": 0.02}}])
def test_what_was_stopped_with_other_settings_goes_on(tiny_world: WorldFolder, tmp_path: Path, changed: Any) -> None:
    carry_out(search_config(tiny_world, trials=8, **ASHA), tmp_path)
    config = search_config(tiny_world, trials=8, grid=changed.get("grid"), **ASHA)
    config = replace(config, recipe=config.recipe | changed.get("recipe", {}))
    trials = carry_out(config, tmp_path)
    points = trials.source.points
    assert len(points.all) == 8 and {len(points.curve(point)) for point in points.all if point.stopped is None} == {4}
    assert all(points.curve(point) for point in points.all), "each was trained by what is asked for now"


def test_points_that_others_had_trained_already_compete_too(tiny_world: WorldFolder, tmp_path: Path) -> None:
    carry_out(search_config(tiny_world, trials=4), tmp_path)  # without asha: every point to its end
    trials = carry_out(search_config(tiny_world, trials=6, **ASHA), tmp_path)
    again = open_search(search_config(tiny_world, trials=6, **ASHA), tmp_path)[1]
    for source in (trials.source, again):
        for stage, sampler in source._stages.items():
            noted = [t for t in sampler._optuna_study.get_trials() if "completed_rung_0" in t.system_attrs]
            assert len(noted) == 3 == len(source.points.of(stage))
    (tmp_path / "tiny" / "search.json").unlink()  # drawn anew, and all of it is in the store
    trials = carry_out(search_config(tiny_world, trials=4, **ASHA), tmp_path)
    assert not any(point.stopped for point in trials.source.points.all[:4])
    for sampler in trials.source._stages.values():
        assert all("completed_rung_0" in t.system_attrs for t in sampler._optuna_study.get_trials())


# -- the end --------------------------------------------------------------------------------------------------------


def test_the_best_and_the_own_recipe_are_judged_on_seeds_that_chose_nothing(
    tiny_world: WorldFolder, tmp_path: Path
) -> None:
    trials = carry_out(search_config(tiny_world, trials=8), tmp_path)
    cells = plan_of(tmp_path)["cells"]
    assert {cell["seed"] for cell in cells} == {7, 8, 9}
    recipes = {cell.get("variant", {}).get("name", "default") for cell in cells}
    points = trials.source.points
    best = {stage: points.best(stage, 1)[0] for stage in points.spaces}
    assert recipes == {"default", *(point.name for point in best.values())}
    for stage, point in best.items():
        assert points.value(point) == max(points.value(other) or 0 for other in points.of(stage))
    judged = {role["run"] for cell in cells for role in cell["roles"].values()}
    searched = {role["run"] for cell in plan_of(tmp_path)["searched"] for role in cell["roles"].values()}
    assert not judged & searched and {run for run, _ in trials.tested} == judged, "the search itself sees no test scan"
    bare = [{key: cell[key] for key in best["finetuned"].drawn.axes} for cell in cells if "variant" not in cell]
    assert all(axes in bare for axes in (point.drawn.axes for point in best.values())), "at both settings"
    tuned = next(cell for cell in cells if cell.get("variant", {}).get("name") == best["finetuned"].name)
    assert {"scratch", "scratch_longer", "real_real", "full_longer"} <= tuned["roles"].keys()


def test_the_best_point_is_a_study_of_the_same_runs(tiny_world: WorldFolder, tmp_path: Path) -> None:
    space = {
        "finetuning": {
            "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
            "group_learning_rates.encoder": [0.1, 0.3],
            "start.normalization": ["carried", "own"],
        },
        "pretraining": {"raydrop": ["global", "per_pixel"]},
    }
    config = search_config(tiny_world, trials=6, space=space)
    config = replace(config, recipe=config.recipe | {"group_learning_rates": {"head": 0.5}})
    trials = carry_out(config, tmp_path)
    cells = plan_of(tmp_path)["cells"]
    for point in (trials.source.points.best(stage, 1)[0] for stage in trials.source.points.spaces):
        write_winner(trials.study, point)
        alone = load_config(tmp_path / "tiny" / "best.yaml")
        plan = open_study(alone, tmp_path, open_study_data(alone)).plan
        judged = [cell for cell in cells if cell.get("variant", {}).get("name") == point.name]
        assert len(judged) == 3 == len(plan.roles)
        for cell, roles in plan.roles.items():
            found = {name: vars(role) for name, role in roles.items()}
            assert found == next(other["roles"] for other in judged if other["seed"] == cell.seed)


def test_points_that_fail_end_the_search_all_the_same(tiny_world: WorldFolder, tmp_path: Path) -> None:
    study, source = open_search(search_config(tiny_world, trials=4), tmp_path)
    search = FakeTrials(study, source, slots=1, worth=learning_rate_matters).search
    source.slots = 2
    for number in range(100):
        if not isinstance(search.suggest(str(number)), dict):
            break
        search.on_trial_complete(str(number), {"epoch": -1, "failure": "the loss became nan", "log": "trace"})
    assert len(drawn(tmp_path)) == 4 and plan_of(tmp_path)["cells"] == []
    assert {failure.kind for failure in study.schedule.failures.values()} == {"failed", "blocked"}


def test_a_pretraining_that_fails_ends_its_points_and_not_the_search(tiny_world: WorldFolder, tmp_path: Path) -> None:
    """Also on one slot, where a point that is blocked from the start leaves nothing running."""
    study, source = open_search(search_config(tiny_world, trials=8, grid={"pretrain_epochs": [0, 1]}), tmp_path)
    trials = FakeTrials(study, source, slots=1, worth=learning_rate_matters)
    for number in range(1000):
        suggested = trials.search.suggest(str(number))
        if not isinstance(suggested, dict):
            break
        done: dict[str, Any] = {"epoch": 4, "finished": True}
        if RunSpec.from_dict(suggested["spec"]).domain == "synthetic":
            done = {"epoch": -1, "failure": "the loss became nan", "log": "trace"}
        else:
            list(trials._train(suggested))
        trials.search.on_trial_complete(str(number), done)
    assert suggested == RunSearch.FINISHED and len(drawn(tmp_path)) == 8
    assert [cell["pretrain_epochs"] for cell in plan_of(tmp_path)["cells"]] == [0] * 6, "from scratch is judged"


def test_of_a_point_that_fails_on_one_seed_no_other_is_begun(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = search_config(tiny_world, trials=4, grid={"pretrain_epochs": [0], "seed": [0, 1, 2]})
    study, source = open_search(config, tmp_path)
    search = FakeTrials(study, source, slots=1, worth=learning_rate_matters).search
    asked = 0
    while isinstance(search.suggest(str(asked)), dict):
        search.on_trial_complete(str(asked), {"epoch": -1, "failure": "the loss became nan", "log": "trace"})
        asked += 1
    assert asked == 4 == len(drawn(tmp_path)) and not source.judged


def test_points_that_another_study_has_trained_are_judged_all_the_same(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = search_config(tiny_world, trials=2)
    carry_out(config, tmp_path)
    study, source = open_search(replace(config, name="other"), tmp_path)
    assert not anything_to_train(study.schedule, source)
    cells = json.loads((tmp_path / "other" / "plan.json").read_text())["cells"]
    assert cells == plan_of(tmp_path)["cells"] and {cell["seed"] for cell in cells} == {7, 8, 9}


def test_a_seed_that_fails_ends_the_others_that_run(tiny_world: WorldFolder, tmp_path: Path) -> None:
    """With asha too, which looks at the first seed."""
    config = search_config(tiny_world, trials=1, grid={"pretrain_epochs": [0], "seed": [0, 1]}, **ASHA)
    study, source = open_search(config, tmp_path)
    trials = FakeTrials(study, source, slots=2, worth=learning_rate_matters)
    first, second = (trials.search.suggest(name) for name in "ab")
    steps = trials._train(first)  # type: ignore[arg-type]
    for _ in range(2):
        result = next(steps)
    trials.search.on_trial_complete("b", {"epoch": -1, "failure": "the loss became nan", "log": "trace"})
    run = RunSpec.from_dict(first["spec"]).folder  # type: ignore[call-overload, index]
    assert isinstance(second, dict) and trials.search.stops(run, result["epoch"]) and trials.search.halted is None


def test_a_search_whose_space_is_used_up_is_over_when_it_is_opened_again(
    tiny_world: WorldFolder, tmp_path: Path
) -> None:
    config = search_config(tiny_world, trials=9, space={}, grid={"pretrain_epochs": [0, 1]})
    carry_out(config, tmp_path)
    before = plan_of(tmp_path)
    study, source = open_search(config, tmp_path)
    assert not source.wants_points() and not study.schedule.anything_open() and plan_of(tmp_path) == before


@pytest.mark.parametrize("text", ["", "null", "[1]", '[{"axes": {}}]', '[{"axes": {"pretrain_epochs": 1}}]'])
def test_a_damaged_record_is_one_message(tiny_world: WorldFolder, tmp_path: Path, text: str) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "search.json").write_text(text)
    with pytest.raises(UserError, match="the record of what a search has drawn is damaged"):
        open_search(search_config(tiny_world), tmp_path)


# -- the file for optuna-dashboard ------------------------------------------------------------------------------------


def test_the_dashboards_file_opens_with_every_point(tiny_world: WorldFolder, tmp_path: Path) -> None:
    trials = carry_out(search_config(tiny_world, trials=12, **ASHA), tmp_path, slots=2)
    trials.source.write_file()
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "tiny" / "optuna.log"))
    storage = optuna.storages.JournalStorage(backend)
    states = set()
    for stage in ("finetuned", "scratch"):
        study = optuna.load_study(study_name=f"tiny-{stage}", storage=storage)
        assert len(study.trials) == 6 and study.best_value > 0
        states |= {trial.state.name for trial in study.trials}
        for trial in study.trials:
            point = next(p for p in trials.source.points.all if p.name == trial.user_attrs["point"])
            assert trial.params["learning_rate"] == point.drawn.finetuning["learning_rate"]
    assert states == {"COMPLETE", "PRUNED"}


def test_points_of_the_first_version_are_read(tiny_world: WorldFolder, tmp_path: Path) -> None:
    axes = {"backbone": "squeezesegv2", "width": 64, "pretrain_epochs": 2, "freeze": "none", "labelled_scans": 2}
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "search.json").write_text(json.dumps([axes]))
    study, source = open_search(search_config(tiny_world, judged=None, space={}), tmp_path)
    assert [point.drawn.axes for point in source.points.all] == [axes]
    assert isinstance(Points(study).all[0].cells[0].seed, int)


def test_a_recipe_drawn_for_fine_tuning_holds_for_its_references(tiny_world: WorldFolder, tmp_path: Path) -> None:
    space = {
        "finetuning": {"learning_rate": [0.03], "start.normalization": ["own"]},
        "pretraining": {"class_weights": ["sqrt"]},
    }
    trials = carry_out(search_config(tiny_world, trials=2, space=space), tmp_path)
    cells = plan_of(tmp_path)["cells"]
    tuned = next(cell for cell in cells if "variant" in cell and cell["pretrain_epochs"])

    def spec(role: str) -> RunSpec:
        return trials.study.plan.works[tuned["roles"][role]["run"]].spec

    for role in ("finetuned", "scratch", "full_longer", "real_real", "synthetic_synthetic"):
        assert spec(role).recipe.learning_rate == 0.03
    assert spec("pretrained").recipe.learning_rate == 0.05 and spec("pretrained").recipe.class_weights == "sqrt"
    assert spec("finetuned").recipe.start.normalization == "own" and spec("scratch").recipe.class_weights == "inverse"

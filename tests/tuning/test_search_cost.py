"""What is said of a search before it runs is an upper bound of what it then does: in epochs, in time, on disk."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from lidartune.config import StudyConfig, load_config
from lidartune.streetworld import WorldFolder
from lidartune.transfer.data import open_study_data
from lidartune.tuning import planned
from lidartune.tuning.disk import state_bytes
from lidartune.tuning.footprint import training_bytes, trial_bytes
from lidartune.tuning.hungriest import HUNGER
from lidartune.tuning.left import RunCost, epochs
from lidartune.tuning.points import Points
from lidartune.tuning.search_cost import AtMost, search_left
from lidartune.tuning.study import open_study
from tests.runs.model_folder import small_folder
from tests.transfer.test_checkpoints import imported
from tests.tuning.made_up_search import FakeTrials, Killed, learning_rate_matters, open_search, search_config
from tests.tuning.test_planned import store_timing

ROOT = Path(__file__).parents[2]
ASHA = {"scheduler": "asha", "grace_epochs": 1, "reduction_factor": 2}
AXES: dict[str, Any] = {"space": {}, "judged": None}
LISTS = {"finetuning": {"class_weights": ["none", "sqrt"]}, "pretraining": {"raydrop": ["off", "global"]}}
SEARCHES: dict[str, dict[str, Any]] = {
    "judged": {"trials": 8},
    "judged, two best, pretraining drawn": {"trials": 9, "space": LISTS, "judged": {"seeds": [7, 8, 9], "best": 2}},
    "asha on two seeds": {"trials": 8, "grid": {"seed": [0, 1]}, **ASHA},
    "axes alone, with references": {"trials": 4, "grid": {"width": [32, 64], "freeze": ["none", "encoder"]}, **AXES},
    "every cell, with references": {"trials": 50, "grid": {"width": [32, 64]}, **AXES},
    "lists, with references": {"trials": 9, "space": LISTS, "judged": None},
    "from scratch alone": {"trials": 3, "grid": {"pretrain_epochs": [0]}},
}


def left(config: StudyConfig, results: Path, cost: RunCost = epochs) -> AtMost:
    """As `--plan` counts it, out of the store."""
    study = open_study(config, results, open_study_data(config))
    return search_left(study, Points(study), cost)


def printed(config: StudyConfig, results: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    planned.show_plan(config, results=results, console=console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def told_epochs(text: str) -> int:
    found = re.search(r"left: at most ([\d,]+) epochs", text)
    assert found, text
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("name", SEARCHES)
def test_no_search_takes_more_epochs_than_it_was_told(name: str, tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = search_config(tiny_world, **SEARCHES[name])
    told, bar, trained = [], [], []
    for after in (5, 17, None):
        told.append(left(config, tmp_path).work)
        trials = FakeTrials(*open_search(config, tmp_path), slots=3, worth=learning_rate_matters, after=after)
        bar.append(trials.study.schedule.epochs_left() + trials.source.epochs_to_come())
        with nullcontext() if after is None else pytest.raises(Killed):
            trials.carry_out()
        trained.append(sum(epoch > 0 for _, epoch in trials.trained))
    for done in range(3):
        assert sum(trained[done:]) <= min(told[done], bar[done]), "of all that was left then"
    assert told[0] < 4 * sum(trained), "and not just any large number"
    assert left(config, tmp_path).work == 0 and "left: " not in printed(config, tmp_path)
    if name == "from scratch alone":
        assert told[0] == sum(trained), "where all points cost the same and share nothing"


@pytest.mark.parametrize("slots", [1, 2, 30])
@pytest.mark.parametrize("name", ["judged", "lists, with references"])
def test_no_search_takes_longer_than_it_was_told(
    name: str, slots: int, tiny_world: WorldFolder, tmp_path: Path
) -> None:
    config = search_config(tiny_world, **SEARCHES[name])
    told = left(config, tmp_path, lambda run: run.epochs + 2)
    trials = FakeTrials(*open_search(config, tmp_path), slots=slots, worth=learning_rate_matters)
    trials.carry_out()
    assert trials.rounds <= told.makespan(slots) <= told.makespan(1) == told.work


def test_the_plan_tells_what_is_left_of_a_search(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = search_config(tiny_world)
    text = printed(config, tmp_path)
    points, pretraining = 8 * 4, 2  # one network, one width, one seed: one pretraining
    finetuned = 4 + (2 + 4) * 3 + 4 * 3  # fine-tuning; pretraining, scratch, full on; three second stages
    assert told_epochs(text) == points + pretraining + 2 * 3 * finetuned + 2 * 3 * (4 + 4)
    assert "disk: at most about" in text and "time: unknown: no run of squeezesegv2" in text
    trials = FakeTrials(*open_search(config, tmp_path), slots=1, worth=learning_rate_matters)
    trials.carry_out()
    store_timing(tmp_path, trials.study, trials.order[0], train=60.0, score=20.0)
    again = printed(search_config(tiny_world, trials=9), tmp_path)
    assert "time: at most about" in again and "longest chain" not in again
    known = re.search(r"time: at most about (?:(\d+) h )?(\d+) min .* this machine's (\d+) slots", again)
    assert known and 60 * int(known[1] or 0) + int(known[2]) >= 80 * told_epochs(again) / 60 / int(known[3]) - 1


@pytest.mark.parametrize("trials", [32, 64, 200])
def test_more_trials_are_more_epochs(trials: int) -> None:
    search = load_config(ROOT / "study" / "search.yaml", settings=[f"search.trials={trials}"])
    study = open_study(search, Path("/nowhere"), None)
    pretraining = 8 * 12  # 2 networks, 2 widths, 2 recipes
    pretrained, scratch = 3 * (12 + 9) + 4 * 9, 2 * 9
    assert search_left(study, Points(study), epochs).work == 9 * trials + pretraining + 3 * 2 * (pretrained + scratch)


def test_only_cells_that_there_are_count(tiny_world: WorldFolder, tmp_path: Path) -> None:
    checkpoint = imported(small_folder(tmp_path / "model"), tmp_path / "elsewhere")
    grid = {"backbone": ["squeezesegv2", "squeezeseg"], "pretrain_epochs": [0, 1, "checkpoint"]}
    search = search_config(tiny_world, grid=grid)
    config = dataclasses.replace(search, checkpoints={"squeezesegv2": checkpoint}, channels=1.0)
    told = told_epochs(printed(config, tmp_path))
    trials = FakeTrials(*open_search(config, tmp_path), slots=2, worth=learning_rate_matters)
    assert 0 < trials.source.epochs_to_come() < told
    trials.carry_out()
    assert sum(epoch > 0 for _, epoch in trials.trained) <= told


# -- memory, and what a recipe takes ----------------------------------------------------------------------------------


def memory_gib(text: str) -> float:
    found = re.search(r"memory: about ([\d.]+) GiB a trial", text)
    assert found, text
    return float(found[1])


@pytest.mark.parametrize("section", ["finetuning", "pretraining"])
def test_memory_is_that_of_the_hungriest_point(section: str, tiny_world: WorldFolder, tmp_path: Path) -> None:
    def needed(**values: Any) -> int:
        config = search_config(tiny_world, **values)
        study = open_study(dataclasses.replace(config, channels=1.0), tmp_path, open_study_data(config))
        return trial_bytes(study.specs, study.config.resources, study.data)

    plain, space = needed(space={}), {"batch_size": [64, 1], "accumulation": [4, 2], "ema.decay": [0.9]}
    drawn = needed(space={section: space})
    alone = needed(space={section: {"batch_size": [64], "accumulation": [2], "ema.decay": [0.9]}})
    assert drawn == alone > plain * 1.3
    if section == "finetuning":
        assert needed(space={section: space | {"batch_size": {"low": 1, "high": 64}}}) == drawn
    fewer = needed(space={section: {"batch_size": [2, 64], "accumulation": [64]}})
    assert plain <= fewer < drawn, "in parts it takes less"


def test_the_plan_tells_the_memory_of_a_drawn_batch(tiny_world: WorldFolder, tmp_path: Path) -> None:
    batches = search_config(tiny_world, space={"finetuning": {"batch_size": [1, 1000]}})
    assert memory_gib(printed(batches, tmp_path)) > memory_gib(printed(search_config(tiny_world), tmp_path)) + 0.5


def test_what_a_run_takes_hangs_on_no_other_field(tiny_world: WorldFolder, tmp_path: Path) -> None:
    """`HUNGER` names every field of a recipe that the estimates look at; they see no other one here."""
    config = search_config(tiny_world)
    study = open_study(config, tmp_path, open_study_data(config))
    for spec in study.specs:
        kept = {name: getattr(spec.recipe, name) for name in HUNGER}
        bare = dataclasses.replace(spec, recipe=SimpleNamespace(**kept))  # type: ignore[arg-type]
        assert training_bytes(bare) == training_bytes(spec) and state_bytes(bare) == state_bytes(spec)


def test_the_hungriest_recipe_takes_most_of_all(tiny_world: WorldFolder, tmp_path: Path) -> None:
    space: dict[str, list[Any]] = {
        "batch_size": [8, 1, 5],
        "accumulation": [3, 1, 8],
        "optimizer": ["sgd", "adamw"],
        "ema": [None, {"decay": 0.9}],
        "precise_batchnorm": [None, 4],
    }
    config = search_config(tiny_world, space={"finetuning": space})
    study = open_study(config, tmp_path, open_study_data(config))
    spec = next(work.spec for work in study.whole.works.values() if work.spec.start)
    every = [
        dataclasses.replace(spec.recipe, **dict(zip(space, values, strict=True)))
        for values in itertools.product(*space.values())
    ]
    most = max(training_bytes(dataclasses.replace(spec, recipe=recipe)) for recipe in every)
    assert training_bytes(study.hungriest[spec.folder]) == most

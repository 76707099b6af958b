"""What a plan refuses, as whoever types `--plan` sees it: before Ray is there and anything is trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lidartune.cli import run, study_command
from lidartune.config.model import as_dict
from lidartune.streetworld import WorldFolder
from tests.runs.conftest import tiny_config
from tests.runs.model_folder import small_folder

from .test_checkpoints import imported

Planned = Callable[..., str]
GRID = {"width": [64], "pretrain_epochs": [2], "freeze": ["none"], "labelled_scans": [2], "seed": [0]}


@pytest.fixture
def planned(tiny_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Planned:
    """What `run_transfer_grid.py --plan` says of a study and ends with 1 for; "" where it takes the study."""

    def say(**changes: Any) -> str:
        study = tmp_path / "study.yaml"
        study.write_text(yaml.safe_dump(json.loads(json.dumps(as_dict(tiny_config(tiny_world, **changes))))))
        argv, sys.argv = sys.argv, ["study", "--results", str(tmp_path / "results"), "--plan"]
        try:
            with pytest.raises(SystemExit) as ended:
                run(study_command(default=study))
        finally:
            sys.argv = argv
        said = capsys.readouterr().err
        assert ended.value.code == bool(said) and "Traceback" not in said
        assert not (tmp_path / "results").exists()
        return " ".join(said.split())

    return say


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return imported(small_folder(tmp_path_factory.mktemp("model") / "model"), tmp_path_factory.mktemp("elsewhere"))


def second_stage(**start: Any) -> dict[str, Any]:
    return {"recipe_second_stage": {"start": start}, "grid": GRID}


def test_an_optimiser_is_kept_where_both_runs_have_it(planned: Planned) -> None:
    assert planned(**second_stage(optimizer="kept")) == ""
    other = {"optimizer": "adamw", "start": {"optimizer": "kept"}}
    said = planned(recipe_second_stage=other, grid=GRID)
    assert "recipe_second_stage.start.optimizer, run squeezesegv2-64-synthetic-2ep-real-2scans-none-seed0" in said
    assert "found: sgd in squeezesegv2-64-synthetic-seed0 wanted: adamw" in said
    assert "set recipe_second_stage.start.optimizer=fresh" in said
    assert planned(recipe_second_stage={"optimizer": "adamw"}, grid=GRID) == ""


def test_an_optimiser_is_kept_by_every_run_that_starts_somewhere(planned: Planned) -> None:
    by_domain = {"real": {"optimizer": "adamw"}, "synthetic": {"optimizer": "sgd"}}
    assert "sgd in squeezesegv2-64-synthetic" in planned(recipe_by_domain=by_domain, **second_stage(optimizer="kept"))


def test_a_new_head_is_for_policies_that_train_it(planned: Planned) -> None:
    new = second_stage(head="new")
    for freeze, refused in (("encoder", False), ("head_only", False), ("batchnorm", True), ("first_block", True)):
        said = planned(**new | {"grid": GRID | {"freeze": [freeze]}})
        assert ("would stay frozen at random weights" in said and f"new, with freeze: {freeze}" in said) == refused


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
@pytest.mark.parametrize(
    ("start", "said"),
    [
        ({"optimizer": "kept"}, "found: an imported network, which brings no optimiser wanted: sgd"),
        ({"learning_rate": "continued"}, "nobody knows where its training stood"),
    ],
)
def test_an_imported_network_brings_neither_optimiser_nor_updates(
    planned: Planned, checkpoint: str, start: dict[str, Any], said: str, sampler: str
) -> None:
    study = {
        "checkpoints": {"squeezesegv2": checkpoint},
        "channels": 1.0,
        "grid": GRID | {"pretrain_epochs": [0, "checkpoint"]},
        "search": {"sampler": sampler, "trials": 2},
    }
    assert planned(**study) == ""
    found = planned(**study, recipe_second_stage={"start": start})
    key = next(iter(start))
    assert said in found and f"recipe_second_stage.start.{key}, run squeezesegv2-64-imported-" in found
    assert "leave checkpoint out of grid.pretrain_epochs" in found

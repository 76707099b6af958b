"""What a study leaves beside its runs: the YAML as it was given, and which scans it drew."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml

from lidartune.config import from_dict
from lidartune.transfer.data import open_study_data
from lidartune.tuning.study import describe, open_study, record
from tests.runs.conftest import tiny_config

GRID = {"width": [64], "pretrain_epochs": [0, 2], "labelled_scans": ["50%", "all"], "seed": [0, 1]}


def test_labelled_scans_are_in_the_results_before_anything_is_trained(tiny_world: Any, tmp_path: Path) -> None:
    config = tiny_config(tiny_world, grid=GRID)
    study = open_study(config, tmp_path, open_study_data(config))
    assert any("50% = 2 of 4" in line for line in describe(study))
    record(study, ["command"])
    entries = json.loads((tmp_path / "tiny" / "labelled_scans.json").read_text())
    drawn = [(entry["labelled_scans"], entry["seed"], len(entry["scans"])) for entry in entries]
    assert drawn == [(2, 0, 2), (2, 1, 2)]
    assert all(scan.partition("/")[0] in ("00", "01") for entry in entries for scan in entry["scans"])
    cells = json.loads((tmp_path / "tiny" / "plan.json").read_text())["cells"]
    assert {cell["labelled_scans"] for cell in cells} == {2, "all"}
    assert "50% = 2 of 4" in " ".join(json.loads((tmp_path / "tiny" / "manifest.json").read_text())["notes"])


def test_the_recorded_study_is_the_one_that_was_given(tiny_world: Any, tmp_path: Path) -> None:
    config = tiny_config(tiny_world, grid=GRID, search={"sampler": "tpe", "trials": 1})
    study = open_study(config, tmp_path, open_study_data(config))
    record(study, ["command"])
    assert from_dict(yaml.safe_load((tmp_path / "tiny" / "study.yaml").read_text())) == config
    assert study.config.grid.labelled_scans == (2, "all"), "what a search draws from"


def test_real_labels_in_the_pretraining_are_told(tiny_world: Any, tmp_path: Path) -> None:
    plain = tiny_config(tiny_world, grid=GRID)
    for counted_on, told in (("own", False), ("real", True)):
        config = dataclasses.replace(plain, recipe=plain.recipe | {"class_weights_counted_on": counted_on})
        study = open_study(config, tmp_path / counted_on, open_study_data(config))
        record(study, ["command"])
        recorded = json.loads((study.folder / "manifest.json").read_text())["notes"]
        for lines in (describe(study), recorded):
            assert any("zero-shot figures are not free of real labels" in line for line in lines) == told


def test_a_run_that_went_on_on_another_machine_is_told(tiny_world: Any, tmp_path: Path) -> None:
    config = tiny_config(tiny_world, grid=GRID)
    study = open_study(config, tmp_path, open_study_data(config))
    run, other, *_ = study.plan.works
    here = {"device": "cpu", "cpu_capability": "AVX2", "torch": "2.13.0", "threads": 1}

    def note() -> list[str]:
        record(study, ["command"])
        notes = json.loads((study.folder / "manifest.json").read_text())["notes"]
        return [text for text in notes if "different environments" in text]

    for name, epoch, its in ((run, 0, here), (run, 2, here), (other, 0, here)):
        study.store.commit(name, epoch, "timing", {"timing.json": json.dumps(its).encode()})
    assert not note()
    elsewhere = json.dumps(here | {"cpu_capability": "AVX512"}).encode()
    study.store.commit(run, 1, "timing", {"timing.json": elsewhere})  # and back again
    assert ["1 runs on cpu, AVX512" in text and "2 runs on cpu, AVX2" in text for text in note()] == [True]

"""A results folder from elsewhere is data: nothing in it is unpickled, whatever is done with it.

A study that goes on in such a folder, with Ray, is in tests/test_study.py.
"""

from __future__ import annotations

import io
import pickle
import platform
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from lidartune.cli import lidartune
from lidartune.config import StudyConfig
from lidartune.errors import UserError
from lidartune.report.tensorboard import StudyWriter
from lidartune.transfer.data import open_study_data
from lidartune.tuning import driver, planned
from lidartune.tuning.study import open_study, record
from tests.canaries import plant, replace_weights
from tests.runs.conftest import TinyStudy, tiny_config

GRID = {"width": [64], "pretrain_epochs": [0, 1], "labelled_scans": [2], "seed": [0]}


@pytest.fixture(scope="module")
def config(tiny_world: Any) -> StudyConfig:
    return tiny_config(tiny_world, grid=GRID)


@pytest.fixture(scope="module")
def hostile(config: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The results of a study that somebody else has run, full of canaries, and the folder where they would show."""
    results, cage = tmp_path_factory.mktemp("elsewhere") / "results", tmp_path_factory.mktemp("cage")
    study = open_study(config, results, open_study_data(config))
    assert study.data is not None
    tiny = TinyStudy(config, study.data, study.plan)
    waiting = sorted(study.plan.works.values(), key=lambda work: work.spec.start is not None)
    for work in waiting:
        tiny.trajectory_of(work.spec, results).carry_out(sorted(work.epochs), lambda done: None)
    record(study, ["python", "study/run_transfer_grid.py", str(results)], [])
    planted = plant(results, "tiny", cage)
    assert len(planted) > 100
    return results, cage


def command(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(lidartune, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit | UserError), done.exception
    return done.exit_code, done.output


def test_the_canaries_would_be_seen(tmp_path: Path, hostile: tuple[Path, Path]) -> None:
    from tests.canaries import canary

    pickle.loads(canary(tmp_path / "cage", "it sings"))
    assert (tmp_path / "cage" / "it sings").exists()
    assert not list(hostile[1].iterdir())


def test_it_is_reported_planned_and_gone_on_with(config: StudyConfig, hostile: tuple[Path, Path]) -> None:
    results, cage = hostile
    status, text = command("report", str(results / "tiny"))
    assert status == 0 and "Transfer gap" in text
    StudyWriter(results / "tiny", results / "runs")
    console = Console(file=io.StringIO(), width=200)
    planned.show_plan(config, results=results, console=console)
    assert "0 are left" in console.file.getvalue()  # type: ignore[attr-defined]
    status = driver.run_study(config, results=results, address=None, command=["again"], console=console)
    assert status == 0 and "in the store already" in console.file.getvalue()  # type: ignore[attr-defined]
    assert not list(cage.iterdir())


def test_it_is_predicted_from_and_exported(
    config: StudyConfig, hostile: tuple[Path, Path], tmp_path: Path
) -> None:
    results, cage = hostile
    run = next(path for path in (results / "runs").iterdir() if "-real-2scans-seed0" in path.name)
    root = str(config.domains.real.root)
    status, text = command("predict", str(run), root, "-o", str(tmp_path / "out"), "--sequences", "0")
    assert status == 0, text
    status, text = command("evaluate", str(tmp_path / "out"), root, "--taxonomy", "semantic-kitti", "--sequences", "0")
    assert status == 0, text
    status, text = command("export", str(run), "-o", str(tmp_path / "model.onnx"))
    assert status == 0, text
    assert not list(cage.iterdir())


def test_its_event_files_are_no_pickles_to_us(hostile: tuple[Path, Path], tmp_path: Path) -> None:
    results, cage = hostile
    for path in (results / "tiny" / "tensorboard").glob("*/events.out.tfevents.1700000000.elsewhere"):
        command("curves", str(path), str(path), "-o", str(tmp_path / "curves"))
    assert not list(cage.iterdir())


def test_weights_that_are_a_pickle_are_refused_with_one_message(
    config: StudyConfig, hostile: tuple[Path, Path], tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(hostile[0], tmp_path / "results")
    cage = tmp_path / "cage"
    run = next(path for path in (tmp_path / "results" / "runs").iterdir() if "-real-2scans-seed0" in path.name)
    path = replace_weights(run, cage)
    out = str(tmp_path / "out")
    with pytest.raises(UserError) as refused:
        lidartune(["predict", str(run), str(config.domains.real.root), "-o", out], standalone_mode=False)
    assert "weights" in str(refused.value) and run.name in str(refused.value)
    assert not list(cage.iterdir())
    pickle.loads(path.read_bytes())
    assert [path.name for path in cage.iterdir()] == ["weights.safetensors"], "it would have"


def test_the_gap_table_names_no_machine_no_path_and_no_time(hostile: tuple[Path, Path]) -> None:
    results, _ = hostile
    command("report", str(results / "tiny"))
    text = (results / "tiny" / "report" / "gap.csv").read_text()
    header, row, *_ = text.splitlines()
    assert row.startswith("squeezesegv2,64,")
    cells = [cell for line in text.splitlines() for cell in line.split(",")]
    assert platform.node() not in cells and not [cell for cell in cells if "/" in cell and cell != "n/a"]
    told = ("second", "time", "host", "path", "date")
    assert not [name for name in header.split(",") if any(word in name for word in told)]

"""The main job as a user types it: whole, interrupted, with failing cells, drawn by Optuna, and with bad input."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

import lidartune.scans
from lidartune.cli import run, study_command
from lidartune.cli.report import report
from lidartune.runs.s3 import S3Files
from lidartune.scoring.trained import load_trained
from lidartune.streetworld import WorldFolder
from lidartune.tuning import bucket_lock
from tests.canaries import plant
from tests.study_process import (
    Witness,
    commits,
    finish,
    killed_after,
    lines_before_tables,
    same_tables,
    start,
    study_values,
    wait_for,
    write_study,
)


@pytest.fixture(scope="module")
def done(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, str]]:
    """A small grid, carried out once: its YAML, its results and what was printed."""
    folder = tmp_path_factory.mktemp("study")
    config = write_study(folder, study_values(tiny_world))
    status, output = finish(start(config, folder / "results"))
    assert status == 0, output
    yield config, folder / "results", output


def test_a_study_ends_with_its_tables(done: tuple[Path, Path, str]) -> None:
    _, results, output = done
    report = results / "tiny" / "report"
    gap = pd.read_csv(report / "gap.csv")
    assert len(gap) == 5 and set(gap["status"]) == {"done"}
    matrix = pd.read_csv(report / "matrix.csv")
    pretrained = matrix[matrix["pretrain_epochs"] > 0]
    assert len(pretrained) >= 7 * 2 * 4, "seven trainings scored on two domains, for four cells"
    assert pretrained.filter(like="mean").notna().all(axis=None)
    for name in ("per_class.csv", "cells.csv", "figures/curves.svg", "index.html", "report.md"):
        assert (report / name).stat().st_size > 0
    assert "Transfer gap" in output and f"tensorboard --logdir {results / 'tiny' / 'tensorboard'}" in output
    assert "Traceback" not in output and len(lines_before_tables(output)) < 40, output


def test_every_run_is_in_tensorboard_once(done: tuple[Path, Path, str]) -> None:
    _, results, _ = done
    plan = json.loads((results / "tiny" / "plan.json").read_text())
    runs = {role["run"] for cell in plan["cells"] for role in cell["roles"].values()}
    shown = sorted(path.name for path in (results / "tiny" / "tensorboard").iterdir())
    assert len(shown) - 1 == len(runs) == len({name.rsplit("-", 1)[0] for name in runs}) and "cells" in shown
    assert "squeezesegv2-64-synthetic-seed0" in shown


def test_the_same_command_again_trains_nothing_and_gives_the_same_table(done: tuple[Path, Path, str]) -> None:
    config, results, _ = done
    table = (results / "tiny" / "report" / "gap.csv").read_bytes()
    commits = {path: path.stat().st_mtime_ns for path in results.glob("runs/*/*/*/commit.json")}
    status, output = finish(start(config, results))
    assert status == 0 and "in the store already" in output
    assert (results / "tiny" / "report" / "gap.csv").read_bytes() == table
    assert {path: path.stat().st_mtime_ns for path in results.glob("runs/*/*/*/commit.json")} == commits


def test_killed_at_random_moments_and_run_again_it_gives_the_same_table(
    done: tuple[Path, Path, str], tmp_path: Path
) -> None:
    """A worker is killed while it commits, the driver twice; nothing committed is trained again."""
    config, results, _ = done
    witness, moments = Witness(tmp_path, tmp_path / "record"), random.Random(20261123)
    (tmp_path / "marks").mkdir()
    faults = witness.faults | {"cut": ["state/weights"], "cut_marks": str(tmp_path / "marks")}
    for _ in range(2):
        killed_after(moments.randrange(20, 120), start(config, tmp_path, faults=faults), tmp_path)
        assert not witness.lost()
        witness.look()
        assert 0 < len(witness.commits) < len(commits(results))
    status, output = finish(start(config, tmp_path, faults=faults))
    assert status == 0, output
    assert not witness.lost()
    assert commits(tmp_path).keys() == commits(results).keys()
    same_tables(tmp_path, results)


def same_in_bucket(files: S3Files, folder: Path) -> None:
    for name in ("gap.csv", "matrix.csv", "per_class.csv", "cells.csv"):
        assert files.read(f"tiny/report/{name}") == (folder / name).read_bytes(), name


@pytest.mark.nightly
def test_the_rest_of_a_study_is_trained_in_a_bucket_to_the_tables_of_a_folder(
    done: tuple[Path, Path, str],
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All runs but one, which starts from what is there, come from a study in a folder."""
    monkeypatch.setenv("LIDARTUNE_CACHE", str(tmp_path / "cache"))
    config, results, _ = done
    files = S3Files(f"{bucket}/some/results")
    runs = {path.name for path in (results / "runs").iterdir()}
    missing = next(name for name in sorted(runs) if "-encoder-" in name)
    for path in results.glob("runs/**/*.*"):
        if path.is_file() and path.parts[len(results.parts) + 1] != missing:
            files.write(path.relative_to(results).as_posix(), path.read_bytes())
    status, output = finish(start(config, files.uri))
    assert status == 0 and "Traceback" not in output, output
    assert f"{files.uri}/tiny/report/index.html" in output
    same_in_bucket(files, results / "tiny" / "report")
    assert files.read(bucket_lock.LOCK) is None, "the lock is let go"
    assert {"plan.json", "study.yaml", "manifest.json", "report", "tensorboard"} <= set(files.names("tiny"))
    assert len(files.names("tiny/tensorboard")) - 1 == len(runs) == len(files.names("runs"))

    # Its report on another machine, from what is small of it; and a network of it.
    monkeypatch.setenv("LIDARTUNE_CACHE", str(tmp_path / "another machine"))
    monkeypatch.setattr(sys, "argv", ["report", f"{files.uri}/tiny"])
    with pytest.raises(SystemExit) as ended:
        run(report)
    assert not ended.value.code
    same_in_bucket(files, Path(capsys.readouterr().out.rpartition("report  ")[2].strip()).parent)
    assert not list((tmp_path / "another machine").rglob("*.safetensors"))
    assert load_trained(f"{files.uri}/runs/{missing}", None, torch.device("cpu")).epoch == 1


def test_a_wider_study_trains_only_what_is_new(
    done: tuple[Path, Path, str], tiny_world: WorldFolder, tmp_path: Path
) -> None:
    _, results, _ = done
    shutil.copytree(results / "runs", tmp_path / "results" / "runs")
    before = {path.name for path in (results / "runs").iterdir()}
    values = study_values(tiny_world, name="wider")
    values["grid"] |= {"pretrain_epochs": [0, 3], "freeze": ["none"]}
    config = write_study(tmp_path, values)
    plant(tmp_path / "results", "wider", tmp_path / "cage")  # nothing that lies there is unpickled when it goes on
    status, output = finish(start(config, tmp_path / "results"))
    assert status == 0, output
    assert not list((tmp_path / "cage").iterdir())
    added = {path.name for path in (tmp_path / "results" / "runs").iterdir()} - before
    assert added and not any("-64-synthetic-seed" in name or "-64-real-2scans-seed" in name for name in added)


def test_failing_cells_are_rows_with_their_reason(tiny_world: WorldFolder, tmp_path: Path) -> None:
    values = study_values(tiny_world, recipe_by_backbone={"darknet21": {"learning_rate": 1e30}})
    values["grid"] |= {"backbone": ["squeezesegv2", "darknet21"], "pretrain_epochs": [0, 2], "freeze": ["none"]}
    values["channels_by_backbone"] = {"darknet21": 0.0625}
    status, output = finish(start(write_study(tmp_path, values), tmp_path / "results"))
    assert status == 2, output
    cells = pd.read_csv(tmp_path / "results" / "tiny" / "report" / "cells.csv")
    cells = cells.set_index(["backbone", "pretrain_epochs"])
    assert cells.loc[("squeezesegv2", 2), "status"] == "done"
    assert cells.loc[("darknet21", 0), "status"] == "failed"
    assert cells.loc[("darknet21", 2), "status"] == "blocked"
    assert "loss became" in cells.loc[("darknet21", 2), "reason"]
    failures = json.loads((tmp_path / "results" / "tiny" / "failures.json").read_text())
    kinds = {failure["kind"] for failure in failures.values()}
    assert kinds == {"failed", "blocked"}
    assert all(Path(f["log"]).read_text().startswith("Traceback") for f in failures.values())
    assert "Traceback" not in output
    for name, failure in failures.items():
        if failure["kind"] == "failed":
            assert f"failed  {name}: {failure['message']}\n        log: {failure['log']}\n" in output
    assert f"blocked {sum(f['kind'] == 'blocked' for f in failures.values())} runs" in output


@pytest.mark.nightly
def test_optuna_draws_cells_and_goes_on_where_it_was(tiny_world: WorldFolder, tmp_path: Path) -> None:
    values = study_values(tiny_world, search={"sampler": "tpe", "trials": 2})
    config = write_study(tmp_path, values)
    status, output = finish(start(config, tmp_path / "results"))
    assert status == 0, output
    drawn = json.loads((tmp_path / "results" / "tiny" / "search.json").read_text())
    assert len(drawn) == 2
    status, output = finish(start(config, tmp_path / "results", "--set", "search.trials=4"))
    assert status == 0, output
    more = json.loads((tmp_path / "results" / "tiny" / "search.json").read_text())
    assert more[:2] == drawn and len({json.dumps(axes) for axes in more}) == 4
    gap = pd.read_csv(tmp_path / "results" / "tiny" / "report" / "gap.csv")
    assert len(gap) == 4 and set(gap["status"]) == {"done"}
    assert sum(" epochs, " in line for line in output.splitlines()) <= 20


def test_a_second_driver_is_refused_and_ctrl_c_ends_the_first(tiny_world: WorldFolder, tmp_path: Path) -> None:
    values = study_values(tiny_world)
    values["recipe"]["updates_per_epoch"] = 200
    config, results = write_study(tmp_path, values), tmp_path / "results"
    process = start(config, results)
    wait_for(lambda: commits(results), process)
    status, output = finish(start(config, results))
    assert status == 1 and "another study is running in this results folder" in output
    process.send_signal(signal.SIGINT)
    status, output = finish(process)
    assert status == 130 and "stopping ..." in output and "the same command goes on" in output
    assert "Traceback" not in output and len(output.splitlines()) < 12, output


# -- bad input: one message, exit status 1, nothing written ---------------------------------------------------------


def refused(values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    config = write_study(tmp_path, values)
    command = study_command(default=config)
    argv, sys.argv = sys.argv, ["run_transfer_grid.py", "--results", str(tmp_path / "results"), *more]
    try:
        with pytest.raises(SystemExit) as caught:
            run(command)
    finally:
        sys.argv = argv
    printed = capsys.readouterr()
    assert caught.value.code == 1 and "Traceback" not in printed.err
    assert not list((tmp_path / "results").glob("*/*")), "nothing half-written is left"
    return printed.err


@pytest.fixture
def own_world(tiny_world: WorldFolder, tmp_path: Path) -> WorldFolder:
    """A copy of the world to spoil."""
    shutil.copytree(tiny_world.path, tmp_path / "world")
    return WorldFolder(tmp_path / "world", tiny_world.spec)


def test_a_folder_without_scans(tiny_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    error = refused(study_values(tiny_world), tmp_path, capsys, "--real", str(tmp_path / "empty"))
    assert "no sequences" in error and str(tmp_path / "empty") in error


def test_a_points_file_that_is_cut_short(
    own_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(own_world.synthetic.glob("*/velodyne/*.bin"))[0]
    path.write_bytes(path.read_bytes()[:-3])
    assert str(path) in refused(study_values(own_world), tmp_path, capsys)


def test_a_label_file_that_is_missing_or_shorter(
    own_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(own_world.real.glob("sequences/*/labels/*.label"))[-1]
    path.write_bytes(path.read_bytes()[:-4])
    assert str(path) in refused(study_values(own_world), tmp_path, capsys)
    path.unlink()
    assert str(path) in refused(study_values(own_world), tmp_path, capsys)


def test_a_label_id_that_the_taxonomy_lacks(
    own_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(own_world.synthetic.glob("*/labels/*.label"))[0]
    labels = bytearray(path.read_bytes())
    labels[0:4] = (777).to_bytes(4, "little")
    path.write_bytes(bytes(labels))
    error = refused(study_values(own_world), tmp_path, capsys)
    assert "777" in error and str(path) in error


def test_results_that_cannot_be_written(
    tiny_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("a file is in the way")
    assert str(tmp_path / "results") in refused(study_values(tiny_world), tmp_path, capsys)


def test_more_labelled_scans_than_there_are(
    tiny_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(study_values(tiny_world), tmp_path, capsys, "--set", "grid.labelled_scans=[99]")
    assert "99" in error and "at most 4" in error


def test_a_second_driver_is_told(
    tiny_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from filelock import FileLock

    (tmp_path / "results").mkdir()
    with FileLock(tmp_path / "results" / ".driver.lock"):
        assert "another study is running" in refused(study_values(tiny_world), tmp_path, capsys)


def test_splits_derived_from_a_taxonomy_never_train_on_what_is_scored(
    own_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built_in = Path(lidartune.scans.__file__).parent / "taxonomies" / "semantic-kitti.yaml"
    taxonomy = yaml.safe_load(built_in.read_text()) | {"split": {"train": [1, 2], "valid": [1], "test": []}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(taxonomy))
    values = study_values(own_world)
    values["domains"]["real"] = {"root": str(own_world.real), "taxonomy": str(tmp_path / "own.yaml")}
    assert "train and test splits overlap" in refused(values, tmp_path, capsys)
    # A label file that is missing is an error there too, not a sequence less.
    taxonomy["split"] = {"train": [0, 1], "valid": [2], "test": []}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(taxonomy))
    path = sorted(own_world.real.glob("sequences/01/labels/*.label"))[0]
    path.unlink()
    assert str(path) in refused(values, tmp_path, capsys)


def test_an_unknown_option(tiny_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--wdith" in refused(study_values(tiny_world), tmp_path, capsys, "--wdith", "3")


def test_a_plan_starts_and_writes_nothing(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = write_study(tmp_path, study_values(tiny_world))
    status, output = finish(start(config, tmp_path / "results", "--plan"))
    assert status == 0 and "5 cells" in output and "left out" in output
    assert not (tmp_path / "results").exists()

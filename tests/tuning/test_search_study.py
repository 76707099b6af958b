"""study/run_search.py as a user types it: killed, run again to a larger total, judged on fresh seeds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from lidartune.cli import run, study_command
from tests.study_process import SEARCH, finish, kill, start, wait_for

STUDY = SEARCH.parent


def points(results: Path) -> list[dict[str, Any]]:
    path = results / "search-smoke" / "search.json"
    return json.loads(path.read_text()) if path.exists() else []


def test_a_search_that_is_killed_goes_on_to_its_end(tmp_path: Path) -> None:
    process = start(STUDY / "search-smoke.yaml", tmp_path, script=SEARCH)
    wait_for(lambda: list(tmp_path.glob("runs/*-real-*/*/metrics/commit.json")), process)
    kill(process)
    before = points(tmp_path)
    commits = {path: path.read_bytes() for path in tmp_path.glob("runs/*/*/metrics/commit.json")}
    assert 1 <= len(before) <= 4 and commits

    status, output = finish(start(STUDY / "search-smoke.yaml", tmp_path, "--set", "search.trials=5", script=SEARCH))
    assert status == 0 and "Traceback" not in output, output
    assert len(output.splitlines()) < 40, "it is not on a terminal"
    assert [point["axes"] for point in points(tmp_path)[: len(before)]] == [point["axes"] for point in before]
    assert len({json.dumps(point | {"stopped": None}) for point in points(tmp_path)}) == 5
    for path, content in commits.items():
        assert path.read_bytes() == content, "what was committed is not trained again"

    report = tmp_path / "search-smoke" / "report"
    gap = pd.read_csv(report / "gap.csv")
    assert set(gap["status"]) == {"done"} and set(gap["seeds_done"]) == {3}
    assert "squeezesegv2" in set(gap["backbone"]) and gap["backbone"].str.contains("(point-", regex=False).sum() == 2
    table = pd.read_csv(report / "points.csv")
    assert len(table) == 5 and set(table["status"]) <= {"done", "stopped"} and table["learning_rate"].notna().all()
    judged = pd.read_csv(report / "judged.csv")
    assert list(judged["recipe"] == "own recipe") == [True, False] * 2 and judged["test_miou"].notna().all()
    assert judged["over_own_recipe"].notna().sum() == 2
    searched = {r["run"] for c in plan(tmp_path)["searched"] for r in c["roles"].values()}
    assert not [path for run in searched for path in tmp_path.glob(f"runs/{run}/*/test")], "no test scan was scored"
    assert (tmp_path / "search-smoke" / "optuna.log").stat().st_size > 0


def plan(results: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((results / "search-smoke" / "plan.json").read_text())
    return values


def answer(capsys: Any, *arguments: str, default: str) -> tuple[int, str]:
    argv, sys.argv = sys.argv, ["run_search.py", *arguments]
    status = 0
    try:
        run(study_command(default=STUDY / default, searches=True))
    except SystemExit as ended:
        status = int(ended.code or 0)
    finally:
        sys.argv = argv
    printed = capsys.readouterr()
    return status, " ".join((printed.out + printed.err).split())


def test_the_plan_of_a_search_says_what_it_would_do(tmp_path: Path, capsys: Any) -> None:
    status, said = answer(capsys, "--plan", "--results", str(tmp_path / "none"), default="search.yaml")
    assert status == 0 and not (tmp_path / "none").exists()
    for part in (
        "a search of 32 points (tpe, asha",
        "half of them pretrained first, half from scratch; 0 are drawn",
        "a point has 144 updates on real scans, all points 4,608 at most",
        "learning_rate 0.001 to 0.05 (log)",
        "start.normalization carried | own",
        "on seeds 10, 11, 12",
        "left: at most 1,086 epochs = 17,376 updates",
    ):
        assert part in said


def test_the_plan_names_what_is_drawn_for_some_points_only(tmp_path: Path, capsys: Any) -> None:
    axes = {"backbone": ["squeezesegv2"], "width": [256], "pretrain_epochs": [0, 3]}
    axes["freeze"] = ["probe_then_full", "none"]
    space = {"start.learning_rate": ["scaled", "restarted"], "probe_updates": [8, 16]}
    settings = [f"grid.{name}={json.dumps(values)}" for name, values in axes.items()]
    settings += ["recipe_second_stage.probe_updates=8", f"search.space={json.dumps({'finetuning': space})}"]
    options = [part for setting in settings for part in ("--set", setting)]
    status, said = answer(capsys, "--plan", "--results", str(tmp_path / "none"), *options, default="search.yaml")
    assert status == 0, said
    assert (
        "drawn where pretrained first (at most 6 points): freeze probe_then_full | none, "
        "start.learning_rate scaled | restarted, probe_updates 8 | 16 drawn"
    ) in said
    assert "drawn where from scratch (1 point): nothing" in said
    assert "all points 1,008 at most" in said, "7 points of 144 updates, though 32 were asked for"


def test_a_grid_is_refused(tmp_path: Path, capsys: Any) -> None:
    status, said = answer(capsys, "--results", str(tmp_path / "none"), default="smoke.yaml")
    assert status == 1 and "runs a grid, and searches nothing" in said and "run_transfer_grid.py" in said

"""The main job in a process of its own: started, watched by what it has committed, interrupted and killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lidartune.streetworld import WorldFolder

ROOT = Path(__file__).parents[1]
GRID, SEARCH = ROOT / "study" / "run_transfer_grid.py", ROOT / "study" / "run_search.py"
HOOK = Path(__file__).parent / "faults" / "hook"
REPORTED = ("gap.csv", "matrix.csv", "per_class.csv", "cells.csv")
PATIENCE_S = 300


def study_values(world: WorldFolder, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "tiny",
        "domains": {
            "synthetic": {
                "root": str(world.synthetic),
                "taxonomy": "synlidar",
                "splits": world.splits["synthetic"],
            },
            "real": {"root": str(world.real), "taxonomy": "semantic-kitti", "splits": world.splits["real"]},
        },
        "canvas": {"height": 16},
        "channels": 0.125,
        "finetune_epochs": 1,
        "grid": {"width": [64], "pretrain_epochs": [0, 1, 2], "freeze": ["none", "encoder"], "labelled_scans": [2]},
        "recipe": {"updates_per_epoch": 2, "batch_size": 1, "optimizer": "adamw", "learning_rate": 0.005},
        "scoring": {"validation_scans": 1, "test_scans": 2, "block": 1},
    }
    values["grid"]["seed"] = [0]
    return values | changes


def write_study(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def command(config: Path, results: Path | str, *more: str, script: Path = GRID) -> list[str]:
    return [sys.executable, str(script), "--config", str(config), "--results", str(results), *more]


def start(
    config: Path, results: Path | str, *more: str, script: Path = GRID, faults: dict[str, Any] | None = None
) -> subprocess.Popen[str]:
    """Starts the study; `faults` are for tests/faults/hook/sitecustomize.py."""
    return subprocess.Popen(
        command(config, results, *more, script=script),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | (hooked(faults) if faults else {}),
    )


def hooked(faults: dict[str, Any]) -> dict[str, str]:
    """The environment in which every Python process loads the hook."""
    path = [str(HOOK), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {"FAULTS": json.dumps(faults), "PYTHONPATH": os.pathsep.join(filter(None, path))}


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        kill(process)
    return process.returncode, output


def kill(process: subprocess.Popen[str]) -> None:
    """Ends the driver and the Ray that it started, which is in its session."""
    for pid in session(process):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def session(process: subprocess.Popen[str], of: bytes = b"") -> list[int]:
    """The driver and the processes that it started; only those whose command line holds `of`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == process.pid and of in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Waits until something is there, while the study runs."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            kill(process)
            raise AssertionError(f"what was waited for never came: {process.communicate()[0]}")
        time.sleep(0.02)


def killed_after(files: int, process: subprocess.Popen[str], results: Path) -> None:
    """Waits for so many more files in the store and kills the driver alone; what it started may write on for a bit."""
    files += stored_files(results)
    wait_for(lambda: stored_files(results) >= files, process)
    process.kill()
    process.wait()


def stored_files(results: Path) -> int:
    return sum(1 for _ in results.glob("runs/**/*.*"))


# -- what is in the results folder ----------------------------------------------------------------------------------


def commits(results: Path) -> dict[Path, tuple[bytes, int]]:
    """What is committed for good, with content and time of each commit; states go when the next one is there."""
    found = {}
    for kind in ("metrics", "test", "timing"):
        for path in results.glob(f"runs/*/*/{kind}/commit.json"):
            found[path.relative_to(results)] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


def trained(results: Path) -> dict[str, int]:
    """Run -> its last epoch whose state is committed: what must never be trained again."""
    last: dict[str, int] = {}
    for path in results.glob("runs/*/epoch-*/state/commit.json"):
        run, epoch = path.parts[-4], int(path.parts[-3].removeprefix("epoch-"))
        last[run] = max(epoch, last.get(run, 0))
    return last


class Witness:
    """Remembers what of a results folder is committed, and says what of it was lost, changed or trained again.

    `faults` has tests/faults/hook note every training of an epoch, by whatever process.
    """

    def __init__(self, results: Path, record: Path):
        self._results, self._record = results, record
        self.faults: dict[str, Any] = {"record": str(record)}
        self.look()

    def look(self) -> None:
        self.commits, self._trained = commits(self._results), trained(self._results)
        self._lines_read = len(self._lines())  # what a process that was not killed at once did before

    def lost(self) -> list[str]:
        """Since the last look."""
        found = []
        for line in self._lines()[self._lines_read :]:
            run, _, epoch = line.rpartition(" ")
            if int(epoch) <= self._trained.get(run, 0):
                found.append(f"{run}, epoch {epoch}, trained again")
        now = commits(self._results)
        return found + [f"{path} changed" for path, commit in self.commits.items() if now.get(path) != commit]

    def _lines(self) -> list[str]:
        return self._record.read_text().splitlines() if self._record.exists() else []


def same_tables(results: Path, expected: Path) -> None:
    for name in REPORTED:
        table = "tiny/report/" + name
        assert (results / table).read_bytes() == (expected / table).read_bytes(), name


def lines_before_tables(output: str) -> list[str]:
    """What a study prints while it runs."""
    return re.split(r"^Figures: ", output, flags=re.MULTILINE)[0].splitlines()

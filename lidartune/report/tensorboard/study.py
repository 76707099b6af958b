"""A study's TensorBoard folder: the events of all its runs and cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from lidartune.report.plain_text import folder_name, plain_name
from lidartune.report.results import (
    CellResult,
    Key,
    StudyResults,
    cell_key,
    load_study,
    planned_cells,
    read_plan,
    study_results,
)
from lidartune.report.tensorboard.cells import Overview, cell_events, cell_name
from lidartune.report.tensorboard.runs import RunEvents
from lidartune.report.tensorboard.values import EVENTS_NAME, EventsFile
from lidartune.runs.names import is_run_name
from lidartune.transfer.roles import LADDER_ROLE

CELLS = "cells"  # the folder of the cells' TensorBoard runs


class StudyWriter:
    """Keeps a study's TensorBoard folder in step with its store.

    Construction writes every run that the plan names, and its cells, afresh from what is committed; `epoch` then
    appends single epochs, and shows a cell once all of it is there. No step is shown twice, however often a study is
    resumed. One writer a study at a time.

    Args:
        study_folder: holds plan.json; events go to its `tensorboard` folder.
        runs_root: the folder of the runs.

    Raises:
        UserError: plan.json is missing or cannot be read.
    """

    def __init__(self, study_folder: Path, runs_root: Path):
        self._study_folder, self._runs_root = Path(study_folder), Path(runs_root)
        self._plan = read_plan(self._study_folder)
        folder = self._study_folder / "tensorboard"
        classes = [plain_name(name) for name in self._plan["classes"]]
        runs = {str(role["run"]) for cell in planned_cells(self._plan) for role in cell["roles"].values()}
        self.names = readable_names(filter(is_run_name, runs))
        self._runs = {run: RunEvents(self._runs_root / run, folder / name, classes) for run, name in self.names.items()}
        for events in self._runs.values():
            events.write_all()
        results = load_study(self._study_folder, self._runs_root)
        self._overview = Overview.of(results.cells)
        names = _apart([cell_name(cell) for cell in results.cells])
        self._cells = {
            (cell.key, cell.seed): EventsFile(folder / CELLS / name)
            for cell, name in zip(results.cells, names, strict=True)
        }
        for cell in results.cells:
            self._write_cell(results, cell)
        done = {(cell.key, cell.seed) for cell in results.cells if cell.status == "done"}
        self._waiting = {name: entry for entry in self._plan["cells"] if (name := _name(entry)) not in done}
        mine = {folder / name / EVENTS_NAME for name in self.names.values()} | {f.path for f in self._cells.values()}
        for stale in {*folder.glob(f"*/{EVENTS_NAME}"), *folder.glob(f"{CELLS}/*/{EVENTS_NAME}")} - mine:
            EventsFile(stale.parent).remove()

    def epoch(self, run_folder_name: str, epoch: int) -> None:
        """Appends what a run has committed up to `epoch` and is not shown yet; runs outside the plan are left out."""
        events = self._runs.get(run_folder_name)
        if events is None:
            return
        events.write(range(epoch + 1))
        for name, entry in list(self._waiting.items()):
            places = _places(entry)
            if any(run == run_folder_name for run, _ in places) and self._are_tested(places):
                one = study_results(self._plan | {"cells": [entry]}, self._study_folder, self._runs_root)
                self._write_cell(one, one.cells[0])
                del self._waiting[name]

    def _are_tested(self, places: Iterable[tuple[str, int]]) -> bool:
        return all(run in self._runs and epoch in self._runs[run].tested for run, epoch in places)

    def _write_cell(self, results: StudyResults, cell: CellResult) -> None:
        runs = {role.run: self._runs[role.run] for role in cell.roles.values() if role.run in self._runs}
        curves = {run: events.validation for run, events in runs.items()}
        wall_time = max((events.last_committed for events in runs.values()), default=0.0)
        events = cell_events(results, cell, curves, self._overview, wall_time)
        self._cells[cell.key, cell.seed].replace(events)


def readable_names(runs: Iterable[str]) -> dict[str, str]:
    """Run folder name -> the name to show: without the id behind the last dash where that stays unique."""
    ordered = sorted(set(runs))
    short = {run: run.rpartition("-")[0] or run for run in ordered}
    counts = Counter(short.values())
    names = _apart([short[run] if counts[short[run]] == 1 else run for run in ordered])
    return dict(zip(ordered, names, strict=True))


def _apart(names: Iterable[str]) -> list[str]:
    """Names of folders, each another one whatever the names are made of; `cells` is taken."""
    found: list[str] = []
    taken = {CELLS}
    for name in map(folder_name, names):
        numbered = (f"{name}~{number}" for number in count(2))
        while name in taken:
            name = next(numbered)
        taken.add(name)
        found.append(name)
    return found


def _name(entry: dict[str, Any]) -> tuple[Key, int]:
    return cell_key(entry), int(entry["seed"])


def _places(entry: dict[str, Any]) -> set[tuple[str, int]]:
    """The runs and epochs that a cell of the plan needs; rungs of the ladder are none."""
    roles = entry["roles"]
    return {(str(r["run"]), int(r["epoch"])) for name, r in roles.items() if not name.startswith(LADDER_ROLE)}

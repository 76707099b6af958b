"""Runs a whole study: plans it, hands its runs to Ray Tune, and writes the report. One driver per results folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from rich.console import Console

from lidartune.config import StudyConfig, as_dict
from lidartune.errors import UserError
from lidartune.report import write_report
from lidartune.report.tensorboard import StudyWriter
from lidartune.runs.store import Store
from lidartune.runs.trajectory import missing_epochs
from lidartune.transfer.data import StudyData, check_scans, open_study_data, what_is_missing
from lidartune.transfer.plan import Excluded, Plan, grid_cells
from lidartune.tuning.cluster import ray_cluster, slots
from lidartune.tuning.drawn import DrawnCells
from lidartune.tuning.manifest import manifest
from lidartune.tuning.schedule import Schedule
from lidartune.tuning.search import CellSource, WholeGrid
from lidartune.tuning.trials import run_trials


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study opened for work: what is to be done, with what, and where it goes."""

    config: StudyConfig
    data: StudyData | None
    plan: Plan
    excluded: list[Excluded]
    results: Path
    store: Store
    schedule: Schedule

    @property
    def folder(self) -> Path:
        return self.results / self.config.name


def open_study(config: StudyConfig, results: Path, data: StudyData | None) -> Study:
    """Plans the runs, a grid's cells at once, a search's as they are drawn; `data` None plans from the YAML alone."""
    plan = Plan(config, data)
    excluded: list[Excluded] = []
    if config.search.sampler == "grid":
        cells, excluded = grid_cells(config.grid)
        for cell in cells:
            plan.add(cell)
    store = Store(results)
    schedule = Schedule(plan, lambda run, epoch: not missing_epochs(store, run, [epoch]))
    return Study(
        config=config, data=data, plan=plan, excluded=excluded, results=results, store=store, schedule=schedule
    )


def run_study(
    config: StudyConfig, *, results: Path, address: str | None, command: list[str], console: Console
) -> int:
    """Carries a study out, or goes on with it, and prints its tables.

    Args:
        results: the results folder; runs are shared by all studies in it.
        address: a Ray cluster to run on; None starts Ray on this machine.
        command: what the user typed, for the manifest.

    Returns:
        the exit status: 0 all done, 2 some cells failed.

    Raises:
        UserError: for anything the user can put right, before anything is trained.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; what is committed stays, and the same command goes on.
    """
    results = results.absolute()
    with _only_driver(results):
        data = open_study_data(config)
        check_scans(data)
        study = open_study(config, results, data)
        _record(study, command)
        if config.search.sampler == "tpe" or study.schedule.anything_open():
            console.print(*_described(study), sep="\n", highlight=False)
            with ray_cluster(config.resources, address):
                source: CellSource = WholeGrid()
                if config.search.sampler == "tpe":
                    source = DrawnCells(
                        config, study.plan, study.schedule, study.store, study.folder, slots=slots(config.resources)
                    )
                run_trials(study, source, console)
        else:
            console.print("All runs of this study are in the store already.", highlight=False)
        _record(study, command)
        StudyWriter(study.folder, results / "runs")
        report = write_report(study.folder, console=console)
    console.print(f"\nreport       {report / 'index.html'}", highlight=False, soft_wrap=True)
    console.print(f"TensorBoard  tensorboard --logdir {study.folder / 'tensorboard'}", highlight=False, soft_wrap=True)
    return 2 if study.schedule.failures else 0


def show_plan(config: StudyConfig, *, results: Path, console: Console) -> None:
    """Prints what the study would do: cells, exclusions, what is in the store, updates. Makes and starts nothing."""
    missing = what_is_missing(config)
    study = open_study(config, results.absolute(), data=open_study_data(config) if missing is None else None)
    console.print(*_described(study), sep="\n", highlight=False)
    if missing:
        console.print(f"  planned from the YAML alone, as if nothing were done: {missing}", highlight=False)


def _described(study: Study) -> list[str]:
    plan, config = study.plan, study.config
    if config.search.sampler == "tpe":
        return [f"study {config.name}: {config.search.trials} cells drawn, each on {len(config.grid.seed)} seeds"]
    epochs = sum(max(work.epochs) for work in plan.works.values())
    left = study.schedule.epochs_left()
    pretraining, alone = plan.pretraining_epochs()
    reasons: dict[str, int] = {}
    for entry in study.excluded:
        reasons[entry.reason] = reasons.get(entry.reason, 0) + 1
    return [
        f"study {config.name}: {len(plan.roles)} cells from {len(plan.works)} runs, "
        f"{epochs} epochs of {plan.updates_per_epoch} updates = {epochs * plan.updates_per_epoch:,} updates; "
        f"{epochs - left} epochs are in the store, {left} are left",
        f"  pretraining: {pretraining} epochs, shared; {alone} if each cell pretrained by itself",
        *(f"  {count} combinations left out: {reason}" for reason, count in reasons.items()),
        *(f"  {note}" for note in (*config.notes, *(study.data.notes if study.data else ()))),
    ]


def _record(study: Study, command: list[str]) -> None:
    """Writes what the study is and how far it got: study.yaml, plan.json, failures.json, manifest.json."""
    folder = study.folder
    _write(folder / "study.yaml", yaml.safe_dump(_plain(as_dict(study.config)), sort_keys=False))
    _write_json(folder / "plan.json", study.plan.as_dict(study.excluded))
    _write_json(folder / "failures.json", {run: asdict(f) for run, f in sorted(study.schedule.failures.items())})
    assert study.data is not None
    _write_json(folder / "manifest.json", manifest(study.config, study.data, command))


def _plain(values: Any) -> Any:
    """Tuples as lists, so that YAML stays plain."""
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    return [_plain(value) for value in values] if isinstance(values, list | tuple) else values


def _write_json(path: Path, values: Any) -> None:
    _write(path, json.dumps(values, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    """Replaces the file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".tmp")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


@contextmanager
def _only_driver(results: Path) -> Iterator[None]:
    """Holds the results folder's lock, so that a second driver is told instead of doing the same work."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        lock = FileLock(results / ".driver.lock", blocking=False)
        lock.acquire()
    except Timeout:
        raise UserError(
            "another study is running in this results folder",
            where=results,
            do="wait for it, or give --results another folder",
        ) from None
    except OSError as error:
        raise UserError(
            "the results folder cannot be written",
            where=results,
            found=error.strerror,
            do="give --results a folder of your own",
        ) from None
    try:
        yield
    finally:
        lock.release()



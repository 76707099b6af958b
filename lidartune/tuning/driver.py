"""Runs a whole study: plans it, hands its runs to Ray Tune, and writes the report. One driver per results folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from lidartune.config import StudyConfig
from lidartune.errors import UserError
from lidartune.report import write_report
from lidartune.report.tensorboard import StudyWriter
from lidartune.transfer.data import check_scans, open_study_data, what_is_missing
from lidartune.tuning.cluster import ray_cluster, slots
from lidartune.tuning.drawn import DrawnCells
from lidartune.tuning.search import CellSource, WholeGrid
from lidartune.tuning.study import describe, open_study, record
from lidartune.tuning.trials import run_trials


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
        record(study, command)
        if config.search.sampler == "tpe" or study.schedule.anything_open():
            console.print(*describe(study), sep="\n", highlight=False)
            with ray_cluster(config.resources, address):
                source: CellSource = WholeGrid()
                if config.search.sampler == "tpe":
                    source = DrawnCells(
                        config, study.plan, study.schedule, study.store, study.folder, slots=slots(config.resources)
                    )
                run_trials(study, source, console)
        else:
            console.print("All runs of this study are in the store already.", highlight=False)
        record(study, command)
        StudyWriter(study.folder, results / "runs")
        report = write_report(study.folder, console=console)
    console.print(f"\nreport       {report / 'index.html'}", highlight=False, soft_wrap=True)
    console.print(f"TensorBoard  tensorboard --logdir {study.folder / 'tensorboard'}", highlight=False, soft_wrap=True)
    return 2 if study.schedule.failures else 0


def show_plan(config: StudyConfig, *, results: Path, console: Console) -> None:
    """Prints what the study would do: cells, exclusions, what is in the store, updates. Makes and starts nothing."""
    missing = what_is_missing(config)
    study = open_study(config, results.absolute(), data=open_study_data(config) if missing is None else None)
    console.print(*describe(study), sep="\n", highlight=False)
    if missing:
        console.print(f"  planned from the YAML alone, as if nothing were done: {missing}", highlight=False)


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



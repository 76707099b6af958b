"""Runs a whole study: plans it, hands its runs to Ray Tune, and writes the report. One driver per results folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock, Timeout
from rich.console import Console

from lidartune.config import StudyConfig
from lidartune.errors import UserError
from lidartune.report import write_report
from lidartune.report.tensorboard import rewrite_events
from lidartune.transfer.data import WORLD_MISSING, check_rings, check_scans, open_study_data, what_is_missing
from lidartune.tuning.cluster import nodes, ray_cluster, slots, trial_needs
from lidartune.tuning.drawn import DrawnCells
from lidartune.tuning.footprint import trial_bytes
from lidartune.tuning.nodes import check_nodes
from lidartune.tuning.schedule import Failure
from lidartune.tuning.search import CellSource, WholeGrid
from lidartune.tuning.study import Study, bring_checkpoints, describe, open_study, record, replaced
from lidartune.tuning.trials import run_trials

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
TENSORBOARD_SHOWS = 40
"""Runs that TensorBoard shows without being asked; of more it shows none."""


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
    results = results.resolve()
    missing = what_is_missing(config)
    if missing == WORLD_MISSING and not console.is_terminal:
        console.print("making the street world, once ...", highlight=False)
    data = open_study_data(config)
    check_scans(data)
    check_rings(data, config.canvas)
    with _only_driver(results, config.name):
        study = open_study(config, results, data)
        if config.search.sampler == "tpe" or study.schedule.anything_open():
            console.print(*describe(study), *replaced(study), sep="\n", highlight=False)
            console.print(f"  {_tensorboard(study)}", highlight=False, soft_wrap=True)
            console.print("starting Ray, which takes about ten seconds ...", highlight=False)
            with ray_cluster(address):
                check_nodes(results)
                needed = trial_bytes(study.specs, config.resources, data)
                at_once = slots(config.resources, needed)
                record(study, command, nodes())
                bring_checkpoints(study)
                source: CellSource = WholeGrid()
                if config.search.sampler == "tpe":
                    source = DrawnCells(study, slots=at_once)
                run_trials(study, source, console, at_once, trial_needs(config.resources, needed))
        else:
            console.print("All runs of this study are in the store already.", highlight=False)
        record(study, command)
        rewrite_events(study.folder, results / "runs")
        report = write_report(study.folder, console=console)
    for line in failed_runs(study.schedule.failures):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"\nreport       {report / 'index.html'}", highlight=False, soft_wrap=True)
    console.print(_tensorboard(study), highlight=False, soft_wrap=True)
    if len(study.plan.works) > TENSORBOARD_SHOWS:
        console.print(
            f"             (of more than {TENSORBOARD_SHOWS} runs it shows none at first: filter them, by seed0 say, "
            "and tick those)",
            highlight=False,
        )
    return 2 if study.schedule.failures else 0


def failed_runs(failures: Mapping[str, Failure], limit: int = 12) -> list[str]:
    """Each failed run with its reason and its log, and how many runs wait for one of them in vain."""
    failed = {run: failure for run, failure in sorted(failures.items()) if failure.kind == "failed"}
    lines = [f"failed  {run}: {f.message}\n        log: {f.log or 'none'}" for run, f in failed.items()]
    if len(lines) > limit:
        lines[limit:] = [f"and {len(lines) - limit} more failed runs, see failures.json"]
    blocked = len(failures) - len(failed)
    return lines + ([f"blocked {blocked} runs that need one of these"] if blocked else [])


def _tensorboard(study: Study) -> str:
    return f"TensorBoard  tensorboard --logdir {study.folder / 'tensorboard'}"


@contextmanager
def _only_driver(results: Path, study: str) -> Iterator[None]:
    """Holds the results folder's lock, so that a second driver is told instead of doing the same work."""
    try:
        for folder in (results, results / "runs", results / study):
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
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
            where=error.filename or results,
            found=error.strerror,
            do="give --results a folder of your own",
        ) from None
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UserError(
            "the results folder cannot be written",
            where=error.filename or results,
            found=os.strerror(error.errno),
            do="make room, or make it writable, and run the same command again: what is committed stays",
        ) from None
    finally:
        lock.release()

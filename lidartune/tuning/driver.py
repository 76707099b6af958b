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
from lidartune.transfer.data import WORLD_MISSING, StudyData, check_rings, check_scans, open_study_data, what_is_missing
from lidartune.tuning.cluster import nodes, ray_cluster, slots, trial_needs
from lidartune.tuning.drawn import DrawnCells
from lidartune.tuning.ended import search_lines
from lidartune.tuning.footprint import trial_bytes
from lidartune.tuning.nodes import check_nodes
from lidartune.tuning.place import Place, open_place
from lidartune.tuning.schedule import Failure
from lidartune.tuning.search import CellSource, WholeGrid, anything_to_train
from lidartune.tuning.study import Study, bring_checkpoints, describe, open_study, record, replaced
from lidartune.tuning.trials import run_trials

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
TENSORBOARD_SHOWS = 40
"""Runs that TensorBoard shows without being asked; of more it shows none."""


def run_study(
    config: StudyConfig, *, results: str | Path, address: str | None, command: list[str], console: Console
) -> int:
    """Carries a study out, or goes on with it, and prints its tables.

    Args:
        results: the results folder, or `s3://bucket/folder`; runs are shared by all studies in it.
        address: a Ray cluster to run on; None starts Ray on this machine.
        command: what the user typed, for the manifest.

    Returns:
        the exit status: 0 all done, 2 some cells failed.

    Raises:
        UserError: for anything the user can put right, before anything is trained.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; what is committed stays, and the same command goes on.
    """
    with open_place(results, config.name) as place:
        data = _open_data(config, console)
        with _only_driver(place.folder, config.name):
            study = open_study(config, place.folder, data, place.store)
            source: CellSource = WholeGrid() if config.search.sampler == "grid" else DrawnCells(study)
            _carry_out(study, source, place, address, command, console)
            place.fetch_runs(study.plan.works)
            record(study, command)
            place.writer()
            if isinstance(source, DrawnCells):
                source.write_file()
            short = config.search.judged is not None and not console.is_terminal
            write_report(study.folder, console=console, only=("judged",) if short and study.plan.roles else ())
            if isinstance(source, DrawnCells):
                lines = search_lines(study, source.points)
                console.print(*lines, sep="\n", highlight=False, markup=False, soft_wrap=True)
    for line in failed_runs(study.schedule.failures):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"\nreport       {study.uri}/report/index.html", highlight=False, soft_wrap=True)
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


def _open_data(config: StudyConfig, console: Console) -> StudyData:
    """The study's datasets, looked at before anything starts."""
    if what_is_missing(config) == WORLD_MISSING and not console.is_terminal:
        console.print("making the street world, once ...", highlight=False)
    data = open_study_data(config)
    check_scans(data)
    check_rings(data, config.canvas)
    return data


def _carry_out(
    study: Study, source: CellSource, place: Place, address: str | None, command: list[str], console: Console
) -> None:
    """Runs what is not in the store yet."""
    if not anything_to_train(study.schedule, source):
        console.print("All runs of this study are in the store already.", highlight=False)
        return
    console.print(*describe(study), *replaced(study), sep="\n", highlight=False, soft_wrap=True)
    console.print(f"  {_tensorboard(study)}", highlight=False, soft_wrap=True)
    begins = f"joining the Ray cluster at {address}" if address else "starting Ray, which takes 10 to 60 seconds"
    console.print(f"{begins} ...", highlight=False)
    with ray_cluster(address):
        check_nodes(study.store)
        needed = trial_bytes(study.specs, study.config.resources, study.data)
        source.slots = slots(study.config.resources, needed)
        place.fetch_runs(study.plan.works)
        record(study, command, nodes())
        bring_checkpoints(study)
        run_trials(study, source, console, source.slots, place.writer, trial_needs(study.config.resources, needed))


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

"""The study's runs as one Tune experiment."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console

from lidartune.config import as_dict
from lidartune.report.tensorboard import StudyWriter
from lidartune.runs.spec import RunSpec
from lidartune.tuning.lost import LOST_WORKER_RETRIES, LostWorkers
from lidartune.tuning.progress import StudyProgress
from lidartune.tuning.search import CellSource, GivenUp, RunSearch
from lidartune.tuning.study import Study
from lidartune.tuning.trainable import run_trial
from lidartune.whole_file import write_whole


def run_trials(
    study: Study,
    source: CellSource,
    console: Console,
    at_once: int,
    make_writer: Callable[[], StudyWriter],
    needs: dict[str, float],
    trainable: Callable[..., None] = run_trial,
) -> None:
    """Runs until the plan's runs are in the store or given up, `at_once` trials at a time. Ray is up already.

    Args:
        make_writer: opens the study's TensorBoard folder for the plan as it is then.
        needs: what Ray sets aside for a trial.
        trainable: what carries out a run; benchmarks/makespan.py has one that sleeps.

    Raises:
        UserError: when no run can go on, because the results folder is full, say.
    """

    def keep_log(run: str, text: str) -> str:
        path = study.folder / "logs" / f"{run}.txt"
        write_whole(path, text)
        return f"{study.uri}/logs/{run}.txt"

    work = tune.with_parameters(trainable, study=json.dumps(as_dict(study.config)), results=study.store.results)
    progress = StudyProgress(
        console, make_writer, lambda: study.schedule.epochs_left() + source.epochs_to_come()
    )
    lost = LostWorkers(console)
    search = RunSearch(study.schedule, source, keep_log, lost.words)
    with tempfile.TemporaryDirectory(prefix="lidartune-") as scratch, progress:
        tune.Tuner(
            tune.with_resources(work, needs),
            tune_config=tune.TuneConfig(
                search_alg=search,
                num_samples=-1,
                scheduler=GivenUp(search),
                max_concurrent_trials=at_once,
                reuse_actors=True,
                trial_name_creator=_run_name,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,  # Tune's own files: of no use once the study is over
                verbose=0,
                callbacks=[progress, lost, _Halt(search)],
                failure_config=tune.FailureConfig(max_failures=LOST_WORKER_RETRIES),
            ),
        ).fit()
    if search.halted:
        raise search.halted


class _Halt(tune.Callback):
    """Ends Tune where no run can go on: what is raised between two of its steps reaches who started it."""

    def __init__(self, search: RunSearch):
        self._search = search

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._search.halted:
            raise self._search.halted

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _run_name(trial: Trial) -> str:
    return RunSpec.from_dict(trial.config["spec"]).folder



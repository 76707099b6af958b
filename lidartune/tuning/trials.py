"""The study's runs as one Tune experiment."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console

from lidartune.config import as_dict
from lidartune.report.tensorboard import StudyWriter
from lidartune.runs.spec import RunSpec
from lidartune.tuning.progress import StudyProgress
from lidartune.tuning.search import CellSource, RunSearch
from lidartune.tuning.study import Study
from lidartune.tuning.trainable import run_trial

LOST_WORKER_RETRIES = 3


def run_trials(
    study: Study, source: CellSource, console: Console, at_once: int, make_writer: Callable[[], StudyWriter]
) -> None:
    """Runs until the plan's runs are in the store or given up, `at_once` trials at a time. Ray is up already.

    `make_writer` opens the study's TensorBoard folder for the plan as it is then.
    """
    config, resources = study.config, study.config.resources

    def keep_log(run: str, text: str) -> str:
        path = study.folder / "logs" / f"{run}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return f"{study.uri}/logs/{run}.txt"

    trainable = tune.with_parameters(run_trial, study=json.dumps(as_dict(config)), results=study.store.results)
    needs = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial}
    progress = StudyProgress(console, make_writer, study.schedule.epochs_left)
    with tempfile.TemporaryDirectory(prefix="lidartune-") as scratch, progress, _sigterm_as_interrupt():
        tune.Tuner(
            tune.with_resources(trainable, needs),
            tune_config=tune.TuneConfig(
                search_alg=RunSearch(study.schedule, source, keep_log),
                num_samples=-1,
                max_concurrent_trials=at_once,
                reuse_actors=True,
                trial_name_creator=_run_name,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,  # Tune's own files: of no use once the study is over
                verbose=0,
                callbacks=[progress],
                failure_config=tune.FailureConfig(max_failures=LOST_WORKER_RETRIES),
            ),
        ).fit()


def _run_name(trial: Trial) -> str:
    return RunSpec.from_dict(trial.config["spec"]).folder


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the study as Ctrl-C does."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)



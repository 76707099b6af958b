"""Workers that are lost while they train: one line for who watches, Ray's own words for the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console

LOST_WORKER_RETRIES = 3


class LostWorkers(Callback):
    """Says of each lost worker what died, and that its run is tried again."""

    def __init__(self, console: Console):
        self._console = console
        self._trials: Sequence[Trial] = ()

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._trials = trials

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        died = what_died(_words(trial))
        self._console.print(f"  {trial}: {died}; it is tried again", highlight=False, soft_wrap=True)

    def words(self, trial_id: str) -> str:
        """All that Ray said of the workers that this trial has lost."""
        return next((_words(trial) for trial in self._trials if trial.trial_id == trial_id), "")

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _words(trial: Trial) -> str:
    return Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""


def what_died(words: str) -> str:
    """The last of the losses that Ray describes, in a few words."""
    last = words.rpartition("Failure # ")[2]
    process = re.search(r"^\tpid: (\d+)", last, re.MULTILINE)
    address = re.search(r"^\tip: (\S+)", last, re.MULTILINE)
    place = f" on {address[1]}" if address else ""
    if "node has died" in last:
        return f"the machine it ran{place or ' on'} was lost"
    if "is unavailable" in last:
        return "its worker cannot be reached any more, or its machine"
    if "raised in its creation task" in last:
        return "its worker process could not start"
    number = f" {process[1]}" if process else ""
    if "running low on memory" in last:
        return f"the memory of its machine was full, and Ray ended its worker process{number}{place}"
    return f"its worker process{number}{place} died"

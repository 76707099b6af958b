"""What a person sees while a study runs: a bar and a line per running trial, or a few lines where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from lidartune.report.tensorboard import StudyWriter

LINES_WITHOUT_TERMINAL = 20
SECONDS_BEFORE_ESTIMATE = 10.0


@dataclass(kw_only=True)
class _Running:
    run: str
    last: int
    began: float = field(default_factory=time.monotonic)
    epoch: int | None = None
    miou: dict[str, float] = field(default_factory=dict)
    scans_per_second: float = 0.0
    began_epoch: int = 0

    def time_left(self) -> str:
        done = (self.epoch or 0) - self.began_epoch
        if done <= 0 or self.epoch is None:
            return "?"
        return duration((time.monotonic() - self.began) / done * (self.last - self.epoch))


class StudyProgress(Callback):
    """Follows the trials: shows them, and writes each committed epoch to TensorBoard.

    Args:
        make_writer: opens the study's TensorBoard folder; again when a run turns up that the plan did not have.
        epochs_left: epochs that are still to be trained; a search adds to them.
    """

    def __init__(self, console: Console, make_writer: Callable[[], StudyWriter], epochs_left: Callable[[], int]):
        self._console = console
        self._make_writer = make_writer
        self._writer = make_writer()
        self._epochs_left = epochs_left
        self._done = 0
        self._began: float | None = None
        self._running: dict[str, _Running] = {}
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._lines, self._next_line = 0, 1
        self._said: set[str] = set()

    def __enter__(self) -> StudyProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running[trial.trial_id] = _Running(run=str(trial), last=max(trial.config["epochs"]))
        self._show()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        running = self._running.get(trial.trial_id)
        for note in result.get("notes", ()):
            self._say_once(str(trial), note)
        if running is None or not result.get("miou"):
            return
        if running.epoch is None:
            running.began, running.began_epoch = time.monotonic(), result["epoch"]
        self._began = self._began or time.monotonic()
        if result["epoch"] > 0:
            self._done += 1
        running.epoch, running.miou = result["epoch"], result["miou"]
        running.scans_per_second = result["scans_per_second"]
        if running.run not in self._writer.names:
            self._writer = self._make_writer()
        self._writer.epoch(running.run, result["epoch"])
        self._show()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.pop(trial.trial_id, None)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _say_once(self, run: str, note: str) -> None:
        """Prints what a run has to tell, unless another has told the same but for the names in it."""
        what = note.rpartition("): ")[2]
        if what not in self._said:
            self._said.add(what)
            self._console.print(f"  {run}: {note}", highlight=False)

    def _show(self) -> None:
        """Redraws the live table; where nobody watches, prints a line for each twentieth of the work."""
        if self._live:
            self._live.update(self._picture())
        elif self._done >= self._next_line and self._lines < LINES_WITHOUT_TERMINAL:
            self._next_line = self._done + max(1, (self._done + self._epochs_left()) // LINES_WITHOUT_TERMINAL)
            self._lines += 1
            self._console.print(self._summary(), highlight=False)

    def _summary(self) -> str:
        seconds = time.monotonic() - self._began if self._began else 0.0
        total = self._done + self._epochs_left()
        text = f"{100 * self._done // max(1, total):3d} %  {self._done} of {total} epochs, {duration(seconds)} so far"
        if seconds < SECONDS_BEFORE_ESTIMATE:
            return text
        return f"{text}, about {duration(seconds / max(1, self._done) * (total - self._done))} left"

    def _picture(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for name in ("running", "epoch", "synthetic", "real", "scans/s", "left"):
            table.add_column(name, justify="left" if name == "running" else "right")
        for trial in self._running.values():
            scores = [f"{100 * trial.miou[d]:.1f}" if d in trial.miou else "" for d in ("synthetic", "real")]
            epoch = "starting" if trial.epoch is None else f"{trial.epoch}/{trial.last}"
            table.add_row(trial.run, epoch, *scores, f"{trial.scans_per_second:.1f}", trial.time_left())
        return Group(table, self._summary())


def duration(seconds: float) -> str:
    """`4 s`, `3 min 20 s`, `5 h 02 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"

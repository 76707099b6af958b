"""What a person sees while a study runs: a bar and a line per running trial, or a few lines where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from lidartune.errors import UserError
from lidartune.processes import duration
from lidartune.report.tensorboard import StudyWriter

LINES_WITHOUT_TERMINAL = 10
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BEFORE_ESTIMATE = 10.0
SECONDS_WITHOUT_ROOM = 60.0
BAR_COLUMNS = 40


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
        self._lines, self._next_line, self._line_at = 0, 1, -SECONDS_BETWEEN_LINES
        self._said: set[str] = set()
        self._no_room_since: float | None = None

    def __enter__(self) -> StudyProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Says once when trials have waited a minute with none running: their machine may be gone for good."""
        if self._running or not any(trial.status == Trial.PENDING for trial in trials):
            self._no_room_since = None
        elif self._no_room_since is None:
            self._no_room_since = time.monotonic()
        elif time.monotonic() - self._no_room_since > SECONDS_WITHOUT_ROOM and "no room" not in self._said:
            self._said.add("no room")
            text = "  no machine has room for a trial; the study waits for one (Ctrl-C ends it, and it can go on later)"
            self._console.print(text, highlight=False)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running[trial.trial_id] = _Running(run=str(trial), last=max(trial.config["epochs"]))
        self._show()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        running = self._running.get(trial.trial_id)
        for note in result.get("notes", ()):
            self._say_once(str(trial), **note)
        if running is None or not result.get("miou"):
            return
        if running.epoch is None:
            running.began, running.began_epoch = time.monotonic(), result["epoch"]
        self._began = self._began or time.monotonic()
        if result["epoch"] > 0:
            self._done += 1
        running.epoch, running.miou = result["epoch"], result["miou"]
        running.scans_per_second = result["scans_per_second"]
        with suppress(OSError, UserError):  # what ends the study is seen elsewhere; its end writes all events anew
            if running.run not in self._writer.names:
                self._writer = self._make_writer()
            self._writer.epoch(running.run, result["epoch"])
        self._show()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.pop(trial.trial_id, None)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.pop(trial.trial_id, None)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _say_once(self, run: str, told: str, about: str) -> None:
        """Prints what a run has to tell, unless another has told the same."""
        if told not in self._said:
            self._said.add(told)
            text = ": ".join(part for part in (run, about, told) if part)
            self._console.print(f"  {text}", highlight=False, soft_wrap=True)

    def _show(self) -> None:
        """Redraws the live table; where nobody watches, prints a line for each tenth of the work, but not too often."""
        if self._live:
            return self._live.update(self._picture())
        now = time.monotonic()
        if (
            self._done >= self._next_line
            and self._lines < LINES_WITHOUT_TERMINAL
            and now - self._line_at >= SECONDS_BETWEEN_LINES
        ):
            self._next_line = self._done + max(1, -(-self._total() // LINES_WITHOUT_TERMINAL))
            self._lines, self._line_at = self._lines + 1, now
            self._console.print(self._summary(), highlight=False)

    def _summary(self) -> str:
        seconds = time.monotonic() - self._began if self._began else 0.0
        total = self._total()
        text = f"{100 * self._done // total:3d} %  {self._done} of {total} epochs, {duration(seconds)} so far"
        if seconds < SECONDS_BEFORE_ESTIMATE:
            return text
        return f"{text}, about {duration(seconds / max(1, self._done) * (total - self._done))} left"

    def _picture(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for name in ("running", "epoch", "synthetic", "real", "scans/s", "left"):
            table.add_column(name, justify="left" if name == "running" else "right", overflow="fold")
        for trial in self._running.values():
            scores = [f"{100 * trial.miou[d]:.1f}" if d in trial.miou else "" for d in ("synthetic", "real")]
            epoch = "starting" if trial.epoch is None else f"{trial.epoch}/{trial.last}"
            table.add_row(trial.run, epoch, *scores, f"{trial.scans_per_second:.1f}", trial.time_left())
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=self._total(), completed=self._done, width=BAR_COLUMNS), self._summary())
        return Group(table, bar)

    def _total(self) -> int:
        """Epochs of this call, done and left; at least 1."""
        return max(1, self._done + self._epochs_left())

"""The schedule as a Tune search algorithm: asked for a trial, it gives the next run whose prerequisites exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from lidartune.errors import UserError
from lidartune.tuning.lost import what_died
from lidartune.tuning.schedule import Failure, Schedule


class CellSource(Protocol):
    """Where cells come from while the study runs; `slots` may be under way at once."""

    slots: int

    def wants_points(self) -> bool:
        """Whether it will add cells that no one has asked for yet."""

    def epochs_to_come(self) -> int:
        """At most how many epochs the cells take that it will add."""

    def draw(self) -> bool:
        """Adds more cells to the plan; False when there will be no more, or none before others are done."""

    def settle(self) -> None:
        """Takes note of the cells that have been finished since the last call."""

    def stops(self, run: str, epoch: int) -> bool:
        """Whether a run is given up after this epoch, which is committed; asked at each one."""


class WholeGrid:
    """All cells are in the plan from the start."""

    slots = 0

    def wants_points(self) -> bool:
        return False

    def epochs_to_come(self) -> int:
        return 0

    def draw(self) -> bool:
        return False

    def settle(self) -> None:
        return

    def stops(self, run: str, epoch: int) -> bool:
        return False


def anything_to_train(schedule: Schedule, source: CellSource) -> bool:
    """Whether some run is to be carried out; where none is, all cells that the source can add have been added."""
    while not schedule.anything_open():
        if not source.draw():
            return False
    return True


class RunSearch(Searcher):
    """Suggests runs, never cells: a trial of Tune is one run with the epochs of it that are wanted.

    It answers None only while something runs; otherwise Tune would ask for ever.

    Args:
        keep_log: writes the log of a failed run and returns its path.
        lost_words: what Ray said of the workers that a trial has lost.

    Attributes:
        halted: why no run can go on, such as a full disk, or an error of this program; Tune is to be stopped then.
    """

    def __init__(
        self,
        schedule: Schedule,
        source: CellSource,
        keep_log: Callable[[str, str], str],
        lost_words: Callable[[str], str] = lambda trial_id: "",
    ):
        super().__init__(metric="epoch", mode="max")
        self.halted: Exception | None = None
        self._keep_log = keep_log
        self._lost_words = lost_words
        self._schedule = schedule
        self._source = source
        self._trials: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self._source.settle()
        job = self._schedule.next()
        while job is None and self._source.draw():
            self._source.settle()  # all of its runs may be there already, so that nothing would run while it is drawn
            job = self._schedule.next()
        if job is None:
            return None if self._schedule.running else Searcher.FINISHED
        self._trials[trial_id] = job.spec.folder
        return {"spec": job.spec.as_dict(), "epochs": list(job.epochs), "untested": list(job.untested)}

    def stops(self, run: str, epoch: int) -> bool:
        """Whether the source of cells gives up a run after this epoch."""
        try:
            return self._source.stops(run, epoch)
        except Exception as reason:  # raised here, it would end Tune with a traceback
            self.halted = self.halted or reason
            return False

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if "kept" in result:
            self._schedule.announce(self._trials[trial_id], result["epoch"], kept=result["kept"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        run = self._trials.pop(trial_id, None)
        if run is None:
            return
        try:
            self._schedule.end(run, self._failure(run, trial_id, result or {}, error))
            self._source.settle()
        except Exception as reason:  # raised here, it would reach nobody, and the run would be forgotten
            self.halted = self.halted or reason

    def _failure(self, run: str, trial_id: str, result: dict[str, Any], error: bool) -> Failure | None:
        if "halts" in result:
            raise UserError(**dict(result["halts"]))
        if run in self._schedule.dropped:
            return None
        if "failure" in result:
            return Failure(kind="failed", message=result["failure"], log=self._keep_log(run, result["log"]))
        if error or "finished" not in result:
            words = self._lost_words(trial_id)
            message = f"its worker was lost more often than it is tried again; at last {what_died(words)}"
            return Failure(kind="failed", message=message, log=self._keep_log(run, words))
        return None

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the one truth, and Tune's own state is never restored."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a study is resumed from its store")

    def __getstate__(self) -> dict[str, Any]:
        return {"_metric": self._metric, "_mode": self._mode}


class GivenUp(FIFOScheduler):
    """Stops the runs that the source of cells gives up, and no others: what others start from is never one of them."""

    def __init__(self, search: RunSearch):
        super().__init__()
        self._search = search

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        stops = "epoch" in result and self._search.stops(str(trial), result["epoch"])
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        return {}

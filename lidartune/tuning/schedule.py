"""Which run goes next: one whose milestone exists, the longest chain first. Knows no Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from lidartune.runs.spec import RunSpec
from lidartune.transfer.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to carry out, until all these epochs of it are in the store."""

    spec: RunSpec
    epochs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run is not there: it failed itself, or the milestone it starts from will never exist."""

    kind: Literal["failed", "blocked"]
    message: str
    log: str | None = None


class Schedule:
    """Hands out the runs of a plan, which may grow meanwhile.

    Args:
        in_store: tells whether (run folder, epoch) is in the store with all that is wanted of it.
        there: what of that is known already.
    """

    def __init__(
        self, plan: Plan, in_store: Callable[[str, int], bool], there: Mapping[tuple[str, int], bool] | None = None
    ):
        self._plan = plan
        self._in_store = in_store
        self._there = dict(there or {})
        self._reached: dict[str, int] = {}
        self._running: set[str] = set()
        self.failures: dict[str, Failure] = {}

    @property
    def running(self) -> int:
        return len(self._running)

    def anything_open(self) -> bool:
        """Whether some run of the plan still lacks an epoch."""
        return bool(self._open_runs())

    def epochs_left(self) -> int:
        """Epochs that are still to be trained, as far as the store and the announcements tell."""
        left = 0
        for run in self._open_runs():
            epochs = self._plan.works[run].epochs
            done = [epoch for epoch in epochs if self.is_there(run, epoch)] + [self._reached.get(run, 0)]
            left += max(0, max(epochs) - max(done))
        return left

    def is_there(self, run: str, epoch: int) -> bool:
        """Whether this milestone exists. The store is asked once; then announcements count, until the trial ends."""
        if (run, epoch) not in self._there:
            self._there[run, epoch] = self._in_store(run, epoch)
        return self._there[run, epoch]

    def next(self) -> Job | None:
        """The ready run with the longest chain behind it, now counted as running; None where none is ready."""
        self._block()
        ready = [run for run in self._open_runs() if run not in self._running and self._startable(run)]
        if not ready:
            return None
        lengths: dict[str, int] = {}
        best = max(ready, key=lambda run: self._chain(run, lengths))
        self._running.add(best)
        work = self._plan.works[best]
        return Job(spec=work.spec, epochs=tuple(sorted(work.epochs)))

    def announce(self, run: str, epoch: int, *, kept: bool = True) -> None:
        """An epoch has been committed; `kept` makes it a milestone from which others may start."""
        self._reached[run] = max(epoch, self._reached.get(run, 0))
        if kept:
            self._there[run, epoch] = True

    def end(self, run: str, failure: Failure | None = None) -> None:
        """The run's trial is over; what it left is read from the store, since a lost worker's word may be lost too."""
        self._running.discard(run)
        self._there = {key: there for key, there in self._there.items() if there or key[0] != run}
        if failure:
            self.failures[run] = failure
            self._block()

    def _open_runs(self) -> list[str]:
        return [
            run
            for run, work in self._plan.works.items()
            if run not in self.failures and not all(self.is_there(run, epoch) for epoch in work.epochs)
        ]

    def _startable(self, run: str) -> bool:
        start = self._plan.works[run].spec.start
        return start is None or self.is_there(start.run, start.epoch)

    def _block(self) -> None:
        """Gives up runs whose milestone will never exist; once more for those that waited for these."""
        for run in self._open_runs():
            start = self._plan.works[run].spec.start
            if start and start.run in self.failures and not self.is_there(start.run, start.epoch):
                cause = self.failures[start.run]
                message = f"needs {start.run}, which failed: {cause.message}"
                if cause.kind == "blocked":
                    message = cause.message
                self.failures[run] = Failure(kind="blocked", message=message, log=cause.log)
                return self._block()

    def _chain(self, run: str, known: dict[str, int]) -> int:
        """Epochs from this run's first to the end of the longest chain that starts from it."""
        if run not in known:
            work = self._plan.works[run]
            known[run] = max(work.epochs)
            for child, other in self._plan.works.items():
                start = other.spec.start
                if start and start.run == run and child not in self.failures:
                    known[run] = max(known[run], start.epoch + self._chain(child, known))
        return known[run]

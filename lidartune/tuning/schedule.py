"""Which run goes next: one whose milestone exists, the longest chain first. Knows no Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from lidartune.runs.spec import RunSpec
from lidartune.transfer.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to carry out, until all these epochs of it are in the store, `untested` ones without their test scores."""

    spec: RunSpec
    epochs: tuple[int, ...]
    untested: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run is not there: it failed itself, or the milestone it starts from will never exist."""

    kind: Literal["failed", "blocked"]
    message: str
    log: str | None = None


class Schedule:
    """Hands out the runs of a plan, which may grow meanwhile.

    Tune asks several times a second, so what an answer needs is kept: which runs are open, which of them are ready, who
    starts from whom, and how long the chains are. It is counted anew when the plan has grown or a run has failed.

    Args:
        in_store: tells whether (run folder, epoch) is in the store with all that is wanted of it.
        epoch_cost: how long an epoch of a run takes, in any unit that is the same for all; default: all the same.
        there: what of the store is known already.
    """

    def __init__(
        self,
        plan: Plan,
        in_store: Callable[[str, int], bool],
        epoch_cost: Callable[[RunSpec], float] = lambda spec: 1.0,
        there: Mapping[tuple[str, int], bool] | None = None,
    ):
        self._plan = plan
        self._in_store = in_store
        self._epoch_cost = epoch_cost
        self._there = dict(there or {})
        self._untested: set[tuple[str, int]] = set()  # what is known to be there, but perhaps without test scores
        self._reached: dict[str, int] = {}
        self._running: dict[str, Job] = {}
        self._cells = 0
        self._open: dict[str, None] = {}
        self._ready: dict[str, None] = {}
        self._children: dict[str, list[str]] = {}
        self._chains: dict[str, float] = {}
        self.failures: dict[str, Failure] = {}
        self.dropped: set[str] = set()
        """Runs that a search has given up: neither done nor failed, and not carried out any further."""

    @property
    def running(self) -> int:
        return len(self._running)

    def anything_open(self) -> bool:
        """Whether some run of the plan still lacks an epoch."""
        self._keep_up()
        return bool(self._open)

    def open_runs(self) -> list[str]:
        """The runs that still lack an epoch, and are neither given up nor failed."""
        self._keep_up()
        return list(self._open)

    def epochs_left(self) -> int:
        """Epochs that are still to be trained, as far as the store and the announcements tell."""
        self._keep_up()
        return sum(self.epochs_left_of(run) for run in self._open)

    def epochs_left_of(self, run: str, until: int | None = None) -> int:
        """Epochs that this run is still to be trained, as far as the store and the announcements tell."""
        epochs = [epoch for epoch in self._plan.works[run].epochs if until is None or epoch <= until]
        return epochs_to_train(epochs, lambda epoch: self.is_there(run, epoch), self._reached.get(run, 0))

    def is_there(self, run: str, epoch: int) -> bool:
        """Whether this milestone exists. The store is asked once; then announcements count, until the trial ends."""
        key = run, epoch
        tested = run not in self._plan.works or epoch in self._plan.works[run].tested
        if tested and key in self._untested:  # wanted with its test scores now
            self._untested.discard(key)
            self._there.pop(key, None)
        if key not in self._there:
            self._there[key] = self._in_store(run, epoch)
        if not tested:
            self._untested.add(key)
        return self._there[key]

    def next(self) -> Job | None:
        """The ready run with the longest chain behind it, now counted as running; None where none is ready."""
        self._keep_up()
        if not self._ready:
            return None
        best = max(self._ready, key=self._chain)
        del self._ready[best]
        work = self._plan.works[best]
        untested = tuple(sorted(work.epochs - work.tested))
        self._running[best] = Job(spec=work.spec, epochs=tuple(sorted(work.epochs)), untested=untested)
        return self._running[best]

    def announce(self, run: str, epoch: int, *, kept: bool = True) -> None:
        """An epoch has been committed; `kept` makes it a milestone from which others may start."""
        self._reached[run] = epoch
        if kept and not self._lacks_scores(run, epoch):
            self._there[run, epoch] = True
            self._make_ready(self._children.get(run, ()))

    def drop(self, runs: Iterable[str]) -> None:
        """Gives runs up: they do not go out any more, and those that run are expected to end soon."""
        for run in runs:
            self.dropped.add(run)
            self._open.pop(run, None)
            self._ready.pop(run, None)
        self._chains = {}

    def end(self, run: str, failure: Failure | None = None) -> None:
        """The run's trial is over; what it left is read from the store, since a lost worker's word may be lost too."""
        self._running.pop(run, None)
        for epoch in self._plan.works[run].epochs:
            if not self._there.get((run, epoch)):
                self._there.pop((run, epoch), None)
        if failure:
            self.failures[run] = failure
            self._look_again()
        elif self._is_open(run):
            self._chains.pop(run, None)
            self._make_ready((run, *self._children.get(run, ())))
        else:
            self._open.pop(run, None)
            self._make_ready(self._children.get(run, ()))

    # -- what is kept between calls ---------------------------------------------------------------------------------

    def _keep_up(self) -> None:
        """Takes note of cells that have been added to the plan."""
        cells = len(self._plan.roles) + len(self._plan.searched)
        if cells != self._cells:
            self._cells = cells
            self._children = {}
            for run, work in self._plan.works.items():
                if work.spec.start:
                    self._children.setdefault(work.spec.start.run, []).append(run)
            self._look_again()

    def _look_again(self) -> None:
        """Lists open and ready runs anew, and gives up those whose milestone will never exist."""
        self._open = {run: None for run in self._plan.works if self._is_open(run)}
        self._chains = {}
        given_up = list(self.failures)
        while given_up:
            parent = given_up.pop()
            for run in self._children.get(parent, ()):
                start = self._plan.works[run].spec.start
                if run in self._open and start and not self.is_there(parent, start.epoch):
                    self.failures[run] = _blocked_by(parent, self.failures[parent])
                    del self._open[run]
                    given_up.append(run)
        self._ready = {}
        self._make_ready(self._open)

    def _make_ready(self, runs: Iterable[str]) -> None:
        """Takes note of those of the runs that could go out now."""
        for run in runs:
            if run in self._open and run not in self._running and self._startable(run):
                self._ready[run] = None

    def _is_open(self, run: str) -> bool:
        if run in self.failures or run in self.dropped:
            return False
        return not all(self.is_there(run, epoch) for epoch in self._plan.works[run].epochs)

    def _lacks_scores(self, run: str, epoch: int) -> bool:
        """Whether the epoch's test scores have been asked for since its trial began, which leaves them out."""
        job = self._running.get(run)
        return job is not None and epoch in job.untested and epoch in self._plan.works[run].tested

    def _startable(self, run: str) -> bool:
        start = self._plan.works[run].spec.start
        return start is None or self.is_there(start.run, start.epoch)

    def _chain(self, run: str) -> float:
        """How long it takes from where this run stands to the end of the longest chain that starts from it."""
        if run not in self._chains:
            work = self._plan.works[run]
            cost = self._epoch_cost(work.spec)
            ends = [cost * self.epochs_left_of(run)]
            for child in self._children.get(run, ()):
                start = self._plan.works[child].spec.start
                if start and child in self._open:
                    before = 0 if self.is_there(run, start.epoch) else self.epochs_left_of(run, start.epoch)
                    ends.append(cost * before + self._chain(child))
            self._chains[run] = max(ends)
        return self._chains[run]


def epochs_to_train(wanted: Iterable[int], is_there: Callable[[int], bool], reached: int = 0) -> int:
    """How many epochs a run trains until it has all that are wanted: towards each from the one before it.

    Where a later one is there already, an earlier one is trained all the same: its weights are not kept on the way.

    Args:
        reached: the epoch where the run stands now.
    """
    total = before = 0
    for epoch in sorted(wanted):
        if not is_there(epoch):
            total += epoch - (reached if before < reached <= epoch else before)
        before = epoch
    return total


def _blocked_by(parent: str, cause: Failure) -> Failure:
    message = cause.message if cause.kind == "blocked" else f"needs {parent}, which failed: {cause.message}"
    return Failure(kind="blocked", message=message, log=cause.log)

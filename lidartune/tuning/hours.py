"""How long a study will take: its own schedule, carried out on a clock instead of on machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from lidartune.transfer.plan import Plan
from lidartune.tuning.left import Left, RunCost
from lidartune.tuning.pace import Pace, kind_of
from lidartune.tuning.schedule import Job, Schedule

BETWEEN_TRIALS_S = 0.5
"""From the last commit of a run to the first timed second of the next on the same slot. `study/smoke.yaml` with three
seeds had 0.27 to 0.38 s on one slot, 0.39 to 0.56 s on two slots of two processors; most of it is the trial's own
opening and closing: trials that only sleep have 0.01 to 0.03 s between them (`python benchmarks/makespan.py`)."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds that a study takes: on so many slots, on one, and on as many as there can be."""

    makespan: float
    work: float
    longest_chain: float

    def bound(self, slots: int) -> float:
        """No order of the runs is faster than this on so many slots."""
        return max(self.work / slots, self.longest_chain)


def forecast(plan: Plan, in_store: Callable[[str, int], bool], pace: Pace, slots: int) -> Forecast:
    """Carries the schedule out on a clock. Every kind of run must be one whose pace is known."""
    on_slots = simulate(Schedule(plan, in_store, pace.epoch_cost), pace_of(pace), slots)
    on_many = simulate(Schedule(plan, in_store, pace.epoch_cost), pace_of(pace), max(1, len(plan.works)))
    return Forecast(makespan=on_slots[0], work=on_slots[1], longest_chain=on_many[0])


def pace_of(pace: Pace) -> Callable[[Job, list[int]], list[float]]:
    """The function that `simulate` asks, by stored timings."""

    def seconds(job: Job, missing: list[int]) -> list[float]:
        known = pace.seconds(job.spec)
        assert known is not None, "only asked where every kind is known"
        took, before = [], 0
        for epoch in job.epochs:
            if epoch in missing:
                took.append((epoch - before) * known.epoch(job.spec) + known.test)
            before = epoch
        begun = len(missing) < len(job.epochs)
        took[0] += BETWEEN_TRIALS_S + (0.0 if begun else known.begin + known.score)
        return took

    return seconds


def seconds_of(pace: Pace, unknown: set[str]) -> RunCost:
    """The function that says how long a run still takes, by stored timings.

    Args:
        unknown: gets the kinds of runs that none is stored of; these count as nothing.
    """

    def cost(left: Left) -> float:
        known = pace.seconds(left.spec)
        if known is None:
            unknown.add(str(kind_of(left.spec)))
            return 0.0
        begins = known.begin + known.score if left.begins else 0.0
        return BETWEEN_TRIALS_S + begins + left.epochs * known.epoch(left.spec) + left.tested * known.test

    return cost


def simulate(
    schedule: Schedule, seconds: Callable[[Job, list[int]], list[float]], slots: int
) -> tuple[float, float]:
    """Makespan and sum of all work of what the schedule hands out, on so many slots.

    Args:
        seconds: how long a job takes from each epoch that it lacks (all but the first: from the one before) to be done.
    """
    clock = work = 0.0
    order = count()
    events: list[tuple[float, int, Job, list[tuple[int, float]]]] = []
    while True:
        while schedule.running < slots and (job := schedule.next()):
            missing = [epoch for epoch in job.epochs if not schedule.is_there(job.spec.folder, epoch)]
            left = list(zip(missing, seconds(job, missing), strict=True))
            work += sum(took for _, took in left)
            heappush(events, (clock + left[0][1], next(order), job, left))
        if not events:
            return clock, work
        clock, _, job, left = heappop(events)
        schedule.announce(job.spec.folder, left[0][0])
        if left[1:]:
            heappush(events, (clock + left[1][1], next(order), job, left[1:]))
        else:
            schedule.end(job.spec.folder)

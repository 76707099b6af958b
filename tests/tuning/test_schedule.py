"""Runs go out when their milestone exists, the longest chain first; what can never start is given up with its cause."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lidartune.errors import UserError
from lidartune.transfer.plan import Cell, Plan
from lidartune.tuning.hours import BETWEEN_TRIALS_S, pace_of
from lidartune.tuning.schedule import Failure, Job, Schedule
from lidartune.tuning.search import RunSearch, WholeGrid
from tests.runs.conftest import TinyStudy, open_tiny, tiny_config

SHORT = Cell(backbone="squeezesegv2", width=64, pretrain_epochs=2, freeze="none", labelled_scans=2, seed=0)
LONG = Cell(backbone="squeezesegv2", width=64, pretrain_epochs=5, freeze="none", labelled_scans=2, seed=0)


@pytest.fixture
def plan(tiny_world: Any) -> Plan:
    return open_tiny(tiny_config(tiny_world), SHORT, LONG).plan


def empty_store(run: str, epoch: int) -> bool:
    return False


def drain(schedule: Schedule, fails: Callable[[str], bool] = lambda run: False) -> list[str]:
    """Carries out everything one by one; returns the order."""
    order = []
    while job := schedule.next():
        run = job.spec.folder
        order.append(run)
        if fails(run):
            schedule.end(run, Failure(kind="failed", message="the loss became nan"))
            continue
        for epoch in job.epochs:
            schedule.announce(run, epoch)
        schedule.end(run)
    return order


def test_every_run_goes_out_once_and_after_its_milestone(plan: Plan) -> None:
    order = drain(Schedule(plan, empty_store))
    assert sorted(order) == sorted(plan.works)
    for run in order:
        start = plan.works[run].spec.start
        assert start is None or order.index(start.run) < order.index(run)


def test_the_longest_chain_goes_first(plan: Plan) -> None:
    job = Schedule(plan, empty_store).next()
    assert job is not None and job.spec.start is None and max(job.epochs) == 6


def test_a_run_starts_when_its_milestone_is_announced_not_when_the_pretraining_ends(plan: Plan) -> None:
    schedule = Schedule(plan, empty_store)
    pretraining = plan.roles[SHORT]["pretrained"].run
    out = {job.spec.folder for job in iter(schedule.next, None)}
    assert pretraining in out and plan.roles[SHORT]["finetuned"].run not in out
    schedule.announce(pretraining, 2)
    now = {job.spec.folder for job in iter(schedule.next, None)}
    assert plan.roles[SHORT]["finetuned"].run in now and plan.roles[LONG]["finetuned"].run not in now


def test_what_is_in_the_store_is_not_run_again(plan: Plan) -> None:
    assert drain(Schedule(plan, lambda run, epoch: True)) == []
    pretraining = plan.roles[SHORT]["pretrained"].run
    order = drain(Schedule(plan, lambda run, epoch: run == pretraining))
    assert pretraining not in order and len(order) == len(plan.works) - 1


def test_a_failed_prerequisite_blocks_what_needs_it_and_nothing_else(plan: Plan) -> None:
    schedule = Schedule(plan, empty_store)
    pretraining = plan.roles[SHORT]["pretrained"].run
    order = drain(schedule, fails=lambda run: run == pretraining)
    blocked = {run for run, work in plan.works.items() if work.spec.start and work.spec.start.run == pretraining}
    assert blocked and not blocked & set(order)
    assert {run for run, f in schedule.failures.items() if f.kind == "blocked"} == blocked
    for run in blocked:
        assert pretraining in schedule.failures[run].message and "nan" in schedule.failures[run].message
    assert set(order) == set(plan.works) - blocked


def test_cells_that_come_later_are_blocked_too(tiny_world: Any) -> None:
    study: TinyStudy = open_tiny(tiny_config(tiny_world), SHORT)
    schedule = Schedule(study.plan, empty_store)
    pretraining = study.plan.roles[SHORT]["pretrained"].run
    drain(schedule, fails=lambda run: run == pretraining)
    study.plan.add(LONG)
    drain(schedule)
    assert schedule.failures[study.plan.roles[LONG]["finetuned"].run].kind == "blocked"


def test_a_milestone_committed_by_a_worker_that_was_lost_still_counts(plan: Plan) -> None:
    pretraining = plan.roles[SHORT]["pretrained"].run
    store: set[tuple[str, int]] = set()
    schedule = Schedule(plan, lambda run, epoch: (run, epoch) in store)
    out = {job.spec.folder for job in iter(schedule.next, None)}
    assert plan.roles[SHORT]["finetuned"].run not in out
    store.add((pretraining, 2))  # committed, but never announced
    schedule.end(pretraining, Failure(kind="failed", message="lost"))
    now = {job.spec.folder for job in iter(schedule.next, None)}
    assert plan.roles[SHORT]["finetuned"].run in now


def test_the_search_never_answers_none_while_nothing_runs(plan: Plan) -> None:
    schedule = Schedule(plan, empty_store)
    search = RunSearch(schedule, WholeGrid(), lambda run, log: log)
    running: list[str] = []
    for number in range(1000):
        suggestion = search.suggest(str(number))
        if suggestion == RunSearch.FINISHED:
            break
        if suggestion is None:
            assert running, "Tune would ask for ever"
            trial = running.pop()
            search.on_trial_complete(trial, result={"epoch": -1, "failure": "no", "log": "trace"})
        else:
            running.append(str(number))
    else:
        pytest.fail("the study never ended")
    assert not running and set(schedule.failures) == set(plan.works)


def test_the_longest_chain_is_counted_in_seconds_where_they_are_known(plan: Plan) -> None:
    job = Schedule(plan, empty_store, lambda spec: 1.0 if spec.domain == "synthetic" else 0.001).next()
    assert job is not None and job.spec.domain == "synthetic"
    job = Schedule(plan, empty_store, lambda spec: 1.0 if spec.domain == "real" else 0.001).next()
    assert job is not None and job.spec.domain == "real"


def test_an_earlier_epoch_that_an_extended_grid_asks_for_is_counted(tiny_world: Any) -> None:
    """The store has what a pretraining of 5 epochs needed; one of 2 is added, whose weights were not kept."""
    stored = open_tiny(tiny_config(tiny_world), LONG).plan
    plan = open_tiny(tiny_config(tiny_world), LONG, SHORT).plan
    pretraining = plan.roles[SHORT]["pretrained"].run
    there = stored.works[pretraining].epochs
    assert there == {5, 6} and plan.works[pretraining].epochs == {2, 3, 5, 6}

    def in_store(run: str, epoch: int) -> bool:
        return epoch in stored.works[run].epochs if run in stored.works else False

    schedule = Schedule(plan, in_store)
    assert schedule.epochs_left_of(pretraining) == 3
    assert schedule.epochs_left() == sum(schedule.epochs_left_of(run) for run in plan.works) >= 3
    schedule.announce(pretraining, 6)  # what is there already is announced when its trial begins
    assert schedule.epochs_left_of(pretraining) == 3
    for epoch, left in ((1, 2), (2, 1), (3, 0)):
        schedule.announce(pretraining, epoch, kept=epoch > 1)
        assert schedule.epochs_left_of(pretraining) == left

    known = SimpleNamespace(epoch=lambda spec: 10.0, test=1.0, begin=5.0, score=3.0)
    pace = SimpleNamespace(seconds=lambda spec: known)
    job = Job(spec=plan.works[pretraining].spec, epochs=(2, 3, 5, 7))
    assert pace_of(pace)(job, [2, 7]) == [2 * 10 + 1 + BETWEEN_TRIALS_S, 2 * 10 + 1]  # type: ignore[arg-type]


def test_an_epoch_whose_scores_are_asked_for_while_its_run_goes_on_without_them_is_run_again(tiny_world: Any) -> None:
    """A search keeps epochs untested; a cell that is judged may want one of them with its test scores."""
    plan = open_tiny(tiny_config(tiny_world), SHORT).plan
    run, store = plan.roles[SHORT]["pretrained"].run, set[tuple[str, int]]()
    plan.works[run].tested.discard(2)

    def in_store(run: str, epoch: int) -> bool:
        return (run, epoch) in store and not (epoch == 2 and 2 in plan.works[run].tested)

    schedule = Schedule(plan, in_store)
    out = {job.spec.folder: job for job in iter(schedule.next, None)}
    assert out[run].untested == (2,)
    plan.add(LONG)
    plan.works[run].tested.add(2)
    assert schedule.epochs_left() > 0  # the store is asked for what is wanted now
    for epoch in out[run].epochs:
        store.add((run, epoch))
        schedule.announce(run, epoch)
    schedule.end(run)
    assert run in {job.spec.folder for job in iter(schedule.next, None)}


def test_the_store_is_asked_once_however_often_tune_asks(plan: Plan) -> None:
    asked: list[tuple[str, int]] = []

    def store(run: str, epoch: int) -> bool:
        asked.append((run, epoch))
        return False

    schedule = Schedule(plan, store)
    while schedule.next():
        pass
    for _ in range(100):
        assert schedule.next() is None
    assert len(asked) == len(set(asked)), "a store on S3 answers in tens of milliseconds"


def test_a_full_disk_halts_the_search_and_a_lost_worker_leaves_its_log(plan: Plan) -> None:
    logs: dict[str, str] = {}
    search = RunSearch(Schedule(plan, empty_store), WholeGrid(), lambda run, log: logs.setdefault(run, log), words)
    lost = search.suggest("lost")
    assert isinstance(lost, dict) and search.suggest("full")
    search.on_trial_complete("lost", error=True)
    (log,) = logs.values()
    assert log == words("lost") and search.halted is None
    search.on_trial_complete("full", {"halts": list(UserError("full", where="disk", do="make room").parts().items())})
    assert str(search.halted) == str(UserError("full", where="disk", do="make room"))


@pytest.mark.parametrize("reason", [OSError(5, "Input/output error"), KeyError("a mistake of ours")], ids=repr)
def test_a_store_that_cannot_be_read_halts_the_search_instead_of_losing_a_run(plan: Plan, reason: Exception) -> None:
    """Tune keeps to itself what is raised there: the study would end without the run, as if all were done."""
    broken = False

    def store(run: str, epoch: int) -> bool:
        if broken:
            raise reason
        return False

    search = RunSearch(Schedule(plan, store), WholeGrid(), lambda run, log: log)
    assert isinstance(search.suggest("trial"), dict)
    broken = True
    search.on_trial_complete("trial", {"epoch": 7, "finished": True})
    assert search.halted is reason


def words(trial_id: str) -> str:
    return f"Failure # 4\nthe worker of {trial_id} died"

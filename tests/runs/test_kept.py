"""A search's epochs are kept without a look at the test scans, and get their test scores when somebody wants them."""

from __future__ import annotations

from pathlib import Path

from lidartune.runs.ledger import EpochDone
from lidartune.runs.store import Store
from lidartune.runs.trajectory import missing_epochs
from tests.runs.conftest import CELL, TinyStudy


def carry_out(study: TinyStudy, results: Path, wanted: list[int], untested: list[int]) -> list[int]:
    done: list[EpochDone] = []
    milestone = study.plan.roles[CELL]["pretrained"]
    study.trajectory(milestone, results).carry_out(wanted, done.append, untested=untested)
    return [entry.epoch for entry in done if entry.kept]


def test_an_untested_milestone_stays_and_is_tested_later_without_training(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    run, store = tiny_study.plan.roles[CELL]["pretrained"].run, Store(tmp_path)
    assert carry_out(tiny_study, tmp_path, [1, 3], [1, 3]) == [1, 3]
    assert store.epochs(run, "test") == [] and store.epochs(run, "state") == [1, 3], "1 is kept, 2 is not"
    assert missing_epochs(store, run, [1, 3], untested=[1, 3]) == [] and missing_epochs(store, run, [1, 3]) == [1, 3]
    weights = [store.read(run, epoch, "state", "weights.safetensors") for epoch in (1, 3)]
    before = sorted(tmp_path.glob("runs/*/*/state/commit.json"))
    times = [path.stat().st_mtime_ns for path in before]

    assert carry_out(tiny_study, tmp_path, [1, 3], []) == [1, 3]
    assert store.epochs(run, "test") == [1, 3]
    assert [path.stat().st_mtime_ns for path in before] == times, "nothing is trained again"
    assert [store.read(run, epoch, "state", "weights.safetensors") for epoch in (1, 3)] == weights


def test_the_next_run_does_not_take_a_kept_milestone_away(tiny_study: TinyStudy, tmp_path: Path) -> None:
    run, store = tiny_study.plan.roles[CELL]["pretrained"].run, Store(tmp_path)
    carry_out(tiny_study, tmp_path, [1], [1])
    carry_out(tiny_study, tmp_path, [3], [])
    assert store.epochs(run, "state") == [1, 3] and store.epochs(run, "test") == [3]


def test_an_untested_epoch_0_is_announced_once(tiny_study: TinyStudy, tmp_path: Path) -> None:
    assert carry_out(tiny_study, tmp_path, [0, 1], [0, 1]) == [0, 1]

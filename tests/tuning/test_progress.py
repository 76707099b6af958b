"""What a person sees while a study runs: few lines off a terminal, a table and a bar at one."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.tune.experiment import Trial
from rich.console import Console

import lidartune.tuning.progress as progress
from lidartune.errors import UserError
from lidartune.tuning.progress import StudyProgress


class NoEvents:
    names = ("run 1", "run 2")

    def epoch(self, run: str, epoch: int) -> None:
        raise OSError(28, "No space left on device") if epoch % 2 else UserError("S3 does not answer")


@dataclass
class FakeTrial:
    trial_id: str
    status: str = Trial.RUNNING
    config: dict[str, Any] = field(default_factory=lambda: {"epochs": [100]})

    def __str__(self) -> str:
        return f"run {self.trial_id}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def follow(console: Console, left: list[int]) -> StudyProgress:
    return StudyProgress(console, lambda: NoEvents(), lambda: left[0])  # type: ignore[arg-type, return-value]


def result(epoch: int, *notes: dict[str, str]) -> dict[str, Any]:
    return {"epoch": epoch, "miou": {"real": 0.5}, "scans_per_second": 4.0, "notes": list(notes)}


@pytest.mark.parametrize("seconds_an_epoch", [0.1, 60.0])
def test_off_a_terminal_a_study_is_few_lines_however_long_it_takes(clock: list[float], seconds_an_epoch: float) -> None:
    printed, left, trial = io.StringIO(), [100], FakeTrial("1")
    watched = follow(Console(file=printed, width=120), left)
    watched.on_trial_start(0, [], trial)  # type: ignore[arg-type]
    for epoch in range(101):
        clock[0] += seconds_an_epoch
        left[0] = 100 - epoch
        watched.on_trial_result(0, [], trial, result(epoch))  # type: ignore[arg-type]
    lines = printed.getvalue().splitlines()
    assert 1 <= len(lines) <= progress.LINES_WITHOUT_TERMINAL
    if seconds_an_epoch > 1:
        assert len(lines) == progress.LINES_WITHOUT_TERMINAL and lines[4].endswith("of 100 epochs, 41 min 00 s so far, "
            "about 59 min 00 s left")  # fmt: skip


def test_what_two_runs_tell_alike_is_said_once(clock: list[float]) -> None:
    printed = io.StringIO()
    watched = follow(Console(file=printed, width=40), [100])
    for name in ("1", "2"):
        notes = {"about": f"starts from {name} (x): y", "told": "all tensors placed: 3"}, {"about": "", "told": "odd"}
        watched.on_trial_result(0, [], FakeTrial(name), result(0, *notes))  # type: ignore[arg-type]
    assert printed.getvalue() == "  run 1: starts from 1 (x): y: all tensors placed: 3\n  run 1: odd\n"


def test_trials_that_find_no_machine_are_said_once(clock: list[float]) -> None:
    printed = io.StringIO()
    watched = follow(Console(file=printed, width=200), [1])
    for _ in range(40):
        watched.on_step_begin(0, [FakeTrial("1", Trial.PENDING)])  # type: ignore[list-item]
        clock[0] += 5
    assert printed.getvalue().count("no machine has room for a trial") == 1 and printed.getvalue().count("\n") == 1


def test_at_a_terminal_there_is_a_line_for_each_running_trial_and_a_bar(clock: list[float]) -> None:
    screen = io.StringIO()
    watched = follow(Console(file=screen, width=120, force_terminal=True, color_system=None), [50])
    for name in ("1", "2"):
        watched.on_trial_start(0, [], FakeTrial(name))  # type: ignore[arg-type]
    for epoch in range(51):
        clock[0] += 1
        watched.on_trial_result(0, [], FakeTrial("1"), result(epoch))  # type: ignore[arg-type]
    console = Console(file=(shown := io.StringIO()), width=120, color_system=None)
    console.print(watched._picture())
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    assert lines[0] == "running epoch synthetic real scans/s left"
    assert lines[1] == "run 1 50/100 50.0 4.0 50 s" and lines[2] == "run 2 starting 0.0 ?"
    assert "━" * 20 in lines[3] and lines[3].endswith("50 % 50 of 100 epochs, 50 s so far, about 50 s left")


def test_on_a_narrow_terminal_names_are_folded_and_nothing_is_cut(clock: list[float]) -> None:
    console = Console(file=(shown := io.StringIO()), width=80, color_system=None)
    watched, trial = follow(console, [50]), FakeTrial("x" * 100)
    watched.on_trial_start(0, [], trial)  # type: ignore[arg-type]
    watched.on_trial_result(0, [], trial, result(50))  # type: ignore[arg-type]
    console.print(watched._picture())
    assert shown.getvalue().count("x") == 100 and "…" not in shown.getvalue() and "50/100" in shown.getvalue()

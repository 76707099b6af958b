"""A worker that is given one trial after the other does not grow."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lidartune.backbones.network import Network
from lidartune.config import as_dict
from lidartune.transfer.plan import grid_cells
from lidartune.tuning import trainable
from tests.runs.conftest import open_tiny, tiny_config

TRIALS, WARM = 20, 6
SLACK_MIB = 24.0


def resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.fixture
def trials(tiny_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Trials as Tune hands them out: each, when called, is carried out in this process and reported as finished."""
    grid = {"width": [64], "pretrain_epochs": [0], "labelled_scans": [2], "seed": list(range(TRIALS))}
    config = tiny_config(tiny_world, grid=grid)
    works = open_tiny(config, *grid_cells(config.grid)[0]).plan.works.values()
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(trainable.tune, "report", reports.append)

    def carry_out(trial: dict[str, Any]) -> None:
        trainable.run_trial(trial, study=json.dumps(as_dict(config)), results=str(tmp_path))
        assert reports[-1].get("finished"), reports[-1]

    def waiting(trial: dict[str, Any]) -> Callable[[], None]:
        return lambda: carry_out(trial)

    return [
        waiting({"spec": work.spec.as_dict(), "epochs": sorted(work.epochs), "untested": []})
        for work in works
        if work.spec.labelled_scans == 2
    ]


@pytest.mark.nightly
def test_memory_stays_over_twenty_trials(trials: list[Callable[[], None]]) -> None:
    assert len(trials) == TRIALS
    there = networks()
    for trial in trials[:WARM]:
        trial()
    before = resident_mib()
    for trial in trials[WARM:]:
        trial()
    assert resident_mib() < before + SLACK_MIB
    assert networks() == there, "no network is left"


def networks() -> int:
    return sum(issubclass(type(thing), Network) for thing in gc.get_objects())


def test_a_gpu_s_memory_is_given_back(trials: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: called.append("empty"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: called.append("reset"))
    trials[0]()
    assert called == ["empty", "reset"]

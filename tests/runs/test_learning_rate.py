"""The whole trace of the learning rate, as the optimiser steps with it, against formulas in plain Python."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lidartune.runs.spec import RunSpec
from lidartune.runs.store import Store
from lidartune.streetworld import WorldFolder
from lidartune.training.at_start import AtStart
from lidartune.training.recipe import GroupLearningRates, Recipe

from .test_start import EPOCH, Pretrained, pretrained_with

PEAK, AN_EPOCH, DECAY, WARM = 0.004, 3, 0.5, 5
FACTORS = (0.1, 1.0, 2.0)
RECIPE: dict[str, Any] = {
    "updates_per_epoch": AN_EPOCH,
    "batch_size": 2,
    "accumulation": 2,
    "optimizer": "adamw",
    "learning_rate": PEAK,
    "decay_per_epoch": DECAY,
    "warmup_updates": WARM,
    "group_learning_rates": {"encoder": FACTORS[0], "head": FACTORS[2]},
}
BEHIND = EPOCH * AN_EPOCH  # updates of the pretraining before its milestone


def stepped(run: Pretrained, spec: RunSpec, *epochs: int) -> list[tuple[float, ...]]:
    """The learning rates of encoder, decoder and head at each step of the optimiser, the run going on epoch by epoch;
    each epoch's row holds those of its last update."""
    trace: list[tuple[float, ...]] = []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        trace.append(tuple(group["lr"] for group in optimizer.param_groups))

    hook = register_optimizer_step_pre_hook(note)
    try:
        for epoch in epochs:
            run.trajectory(spec).carry_out([epoch], lambda done: None)
            row = Store(run.results).read_json(spec.folder, epoch, "metrics", "metrics.json")["train"]
            assert trace[-1] == tuple(row[f"learning_rate_{g}"] for g in ("encoder", "decoder", "head"))
    finally:
        hook.remove()
    return trace


@pytest.fixture(scope="module")
def pretrained(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrained_with(tiny_world, tmp_path_factory.mktemp("pretrained"), RECIPE)


def warm(update: int) -> float:
    return min(1.0, (update + 1) / WARM)


def decay(update: int) -> float:
    return math.pow(math.pow(DECAY, 1 / AN_EPOCH), update)


def half_cosine(update: int, updates: int) -> float:
    return (1 + math.cos(math.pi * update / updates)) / 2


CASES: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
    "restarted": ({}, lambda t: warm(t) * decay(t)),
    "restarted, no warm-up": ({"start": AtStart(warmup=False)}, decay),
    "continued": ({"start": AtStart(learning_rate="continued")}, lambda t: warm(t) * decay(BEHIND + t)),
    "continued, no warm-up": (
        {"start": AtStart(learning_rate="continued", warmup=False)},
        lambda t: decay(BEHIND + t),
    ),
    "scaled, optimiser kept": (
        {"start": AtStart(learning_rate="scaled", learning_rate_factor=0.1, optimizer="kept")},
        lambda t: 0.1 * warm(t) * decay(t),
    ),
    "cosine": ({"schedule": "cosine", "cosine_updates": 9}, lambda t: warm(t) * half_cosine(t, 9)),
    "cosine, continued to its end and beyond": (
        {"schedule": "cosine", "cosine_updates": BEHIND + 5, "start": AtStart(learning_rate="continued", warmup=False)},
        lambda t: half_cosine(BEHIND + t, BEHIND + 5) if t < 5 else 0.0,
    ),
}


def test_from_nothing_through_a_milestone(pretrained: Pretrained, tmp_path: Path) -> None:
    found = stepped(dataclasses.replace(pretrained, results=tmp_path), pretrained.spec, 1, 2, 4)
    assert found == [pytest.approx([PEAK * f * warm(t) * decay(t) for f in FACTORS]) for t in range(4 * AN_EPOCH)]


@pytest.mark.parametrize("name", CASES)
def test_from_a_milestone(pretrained: Pretrained, name: str) -> None:
    recipe, factor = CASES[name]
    found = stepped(pretrained, pretrained.run_with(**recipe), 1, 3)
    wanted = [[PEAK * f * factor(t) for f in FACTORS] for t in range(3 * AN_EPOCH)]
    assert found == [pytest.approx(rates, rel=1e-12, abs=1e-18) for rates in wanted]


def test_the_traces_differ() -> None:
    traces = [tuple(factor(t) for t in range(9)) for _, factor in CASES.values()]
    assert len(set(traces)) == len(CASES)
    assert Recipe(**RECIPE).group_learning_rates == GroupLearningRates(encoder=FACTORS[0], head=FACTORS[2])

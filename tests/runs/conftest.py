"""A tiny study, opened without Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from lidartune.config import StudyConfig, from_dict
from lidartune.runs.ledger import EpochDone
from lidartune.runs.spec import DOMAINS, RunSpec
from lidartune.runs.store import Store
from lidartune.runs.trajectory import Trajectory
from lidartune.streetworld import WorldFolder
from lidartune.training.loader import ScanReader
from lidartune.transfer.data import StudyData, open_study_data
from lidartune.transfer.plan import Cell, Milestone, Plan
from lidartune.tuning.trainable import run_data

CELL = Cell(backbone="squeezesegv2", width=64, pretrain_epochs=2, freeze="none", labelled_scans=2, seed=0)


@dataclass
class TinyStudy:
    config: StudyConfig
    data: StudyData
    plan: Plan

    def trajectory(
        self, milestone: Milestone, results: Path, *, threads: int = 1, checkpoint_minutes: float = 5.0
    ) -> Trajectory:
        return self.trajectory_of(self.plan.works[milestone.run].spec, results, threads, checkpoint_minutes)

    def trajectory_of(
        self, spec: RunSpec, results: Path, threads: int = 1, checkpoint_minutes: float = 5.0
    ) -> Trajectory:
        readers = {d: ScanReader(self.data.domains[d].dataset, memory_bytes=2**28, threads=threads) for d in DOMAINS}
        return Trajectory(
            spec=spec,
            data=run_data(spec, self.data, readers),
            store=Store(results),
            device=torch.device("cpu"),
            checkpoint_minutes=checkpoint_minutes,
        )

    def carry_out(self, milestone: Milestone, results: Path, epochs: list[int]) -> list[EpochDone]:
        done: list[EpochDone] = []
        self.trajectory(milestone, results).carry_out(epochs, done.append)
        return done

    def spec(self, role: str, cell: Cell = CELL) -> RunSpec:
        return self.plan.works[self.plan.roles[cell][role].run].spec


def tiny_config(world: WorldFolder, **changes: Any) -> StudyConfig:
    values: dict[str, Any] = {
        "name": "tiny",
        "domains": {
            domain: {"root": str(root), "taxonomy": taxonomy, "splits": world.splits[domain]}
            for domain, root, taxonomy in (
                ("synthetic", world.synthetic, "synlidar"),
                ("real", world.real, "semantic-kitti"),
            )
        },
        "canvas": {"height": 16},
        "channels": 0.125,
        "finetune_epochs": 1,
        "grid": {"width": [64], "pretrain_epochs": [2], "labelled_scans": [2], "seed": [0]},
        "recipe": {"updates_per_epoch": 3, "batch_size": 1, "learning_rate": 0.05, "batchnorm_momentum": 0.1},
        "scoring": {"validation_scans": 1, "test_scans": 2, "block": 1},
    }
    return from_dict(values | changes)


def open_tiny(config: StudyConfig, *cells: Cell) -> TinyStudy:
    data = open_study_data(config)
    plan = Plan(config, data)
    for cell in cells or (CELL,):
        plan.add(cell)
    return TinyStudy(config, data, plan)


@pytest.fixture(scope="session")
def tiny_study(tiny_world: WorldFolder) -> TinyStudy:
    return open_tiny(tiny_config(tiny_world))


@pytest.fixture(scope="session")
def open_with(tiny_world: WorldFolder) -> Callable[..., TinyStudy]:
    return lambda *cells, **changes: open_tiny(tiny_config(tiny_world, **changes), *cells)

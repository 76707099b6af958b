"""Threads that work ahead hand out results in order, and none is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from lidartune.scans import open_dataset
from lidartune.streetworld import WorldFolder
from lidartune.threads import in_order, thread_pool
from lidartune.training import begin, loop, update
from lidartune.training.loader import ScanReader
from lidartune.training.trouble import TrainingDiverged
from tests.runs.conftest import CELL, open_tiny, tiny_config


def test_results_come_in_order_and_only_so_many_are_begun() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    def items() -> Iterator[int]:
        yield from range(50)

    with thread_pool(3) as pool:
        found = in_order(pool, work, items(), 4)
        assert next(found) == 0
        time.sleep(0.05)
        assert len(begun) == 5
        assert list(found) == [item * item for item in range(1, 50)]


def test_what_has_not_begun_when_the_user_stops_never_does() -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.02)

    with pytest.raises(KeyError), thread_pool(1) as pool:
        for _ in in_order(pool, work, range(100), 20):
            raise KeyError
    count = len(begun)
    assert count <= 3
    time.sleep(0.1)
    assert len(begun) == count


def test_a_diverged_epoch_leaves_no_thread_reading(tiny_world: WorldFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = {"updates_per_epoch": 3, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
    study = open_tiny(tiny_config(tiny_world, recipe=recipe))
    spec = study.plan.works[study.plan.roles[CELL]["pretrained"].run].spec
    dataset = open_dataset(tiny_world.real, "semantic-kitti")
    reader, device = ScanReader(dataset, memory_bytes=0, threads=2), torch.device("cpu")
    state = begin.fresh_state(spec, dataset.scans(), reader, device)
    before = threading.active_count()
    monkeypatch.setattr(update, "loss_terms", lambda *_: {"nll": torch.tensor(float("nan"))})
    with pytest.raises(TrainingDiverged) as raised:
        loop.train_epoch(spec, state, dataset.scans(), reader, device)
    assert threading.active_count() == before, raised.traceback  # which holds what train_epoch held

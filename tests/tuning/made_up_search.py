"""A search without Ray and without training: runs are carried out by writing the scores that a formula gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lidartune.config import StudyConfig
from lidartune.runs.spec import RunSpec
from lidartune.runs.store import Store
from lidartune.scans.classes import NUM_CLASSES
from lidartune.streetworld import WorldFolder
from lidartune.transfer.data import open_study_data
from lidartune.tuning.drawn import DrawnCells
from lidartune.tuning.search import GivenUp, RunSearch
from lidartune.tuning.study import Study, open_study
from tests.runs.conftest import tiny_config

Worth = Callable[[RunSpec, int], float]


class Killed(Exception):
    """The driver is gone, between any two things that it does."""


def search_config(world: WorldFolder, *, grid: dict[str, Any] | None = None, **search: Any) -> StudyConfig:
    axes = {"width": [64], "pretrain_epochs": [0, 1, 2], "freeze": ["none"], "labelled_scans": [2], "seed": [0]}
    values = {
        "sampler": "tpe",
        "trials": 8,
        "space": {"finetuning": {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}},
        "judged": {"seeds": [7, 8, 9]},
    }
    return tiny_config(world, grid=axes | (grid or {}), search=values | search, finetune_epochs=4)


def learning_rate_matters(spec: RunSpec, epoch: int) -> float:
    """Best at 0.02, and better the longer it goes on."""
    return float(np.exp(-abs(np.log(spec.recipe.learning_rate / 0.02))) * epoch / (epoch + 1))


def open_search(config: StudyConfig, results: Path) -> tuple[Study, DrawnCells]:
    study = open_study(config, results, open_study_data(config))
    return study, DrawnCells(study)


class FakeTrials:
    """Carries out what a search suggests, an epoch of each running trial in turn.

    Attributes:
        order: runs in the order in which they were begun.
        stopped: runs that were ended before their last epoch.
        trained: (run, epoch) that were written, one entry a time.
        tested: (run, epoch) that were scored on test scans.
        rounds: how long it has taken, where every epoch, epoch 0 too, and every end of a trial takes one round.
    """

    def __init__(self, study: Study, source: DrawnCells, *, slots: int, worth: Worth, after: int | None = None):
        self.study, self.source, self.worth, self.left = study, source, worth, after
        source.slots = slots
        self.search = RunSearch(study.schedule, source, lambda run, log: log)
        self.gives_up = GivenUp(self.search)
        self.order: list[str] = []
        self.stopped: list[str] = []
        self.trained: list[tuple[str, int]] = []
        self.tested: set[tuple[str, int]] = set()
        self.rounds = 0

    def carry_out(self) -> None:
        running: dict[str, Iterator[dict[str, Any]]] = {}
        runs: dict[str, str] = {}
        for number in range(10_000):
            while len(running) < self.source.slots:
                suggested = self.search.suggest(f"{number}-{len(runs)}")
                if not isinstance(suggested, dict):
                    break
                trial = f"{number}-{len(runs)}"
                runs[trial] = RunSpec.from_dict(suggested["spec"]).folder
                self.order.append(runs[trial])
                running[trial] = self._train(suggested)
            if not running:
                assert suggested == RunSearch.FINISHED
                return
            self.rounds += 1
            for trial in list(running):
                self._step(trial, runs[trial], running)
        raise AssertionError("the study never ended")

    def _step(self, trial: str, run: str, running: dict[str, Iterator[dict[str, Any]]]) -> None:
        result = next(running[trial], None)
        if result is None:
            del running[trial]
            self.search.on_trial_complete(trial, {"epoch": 0, "finished": True})
        elif self.gives_up.on_trial_result(None, _Trial(run), result) == GivenUp.STOP:
            del running[trial]
            self.stopped.append(run)
            self.search.on_trial_complete(trial, result)
        else:
            self.search.on_trial_result(trial, result)

    def _train(self, suggested: dict[str, Any]) -> Iterator[dict[str, Any]]:
        spec, store = RunSpec.from_dict(suggested["spec"]), self.study.store
        for epoch in range(max(suggested["epochs"]) + 1):
            wanted = epoch in suggested["epochs"]
            if not store.has(spec.folder, epoch, "metrics"):
                self._moment()
                write_epoch(store, spec.folder, epoch, self.worth(spec, epoch))
                self.trained.append((spec.folder, epoch))
            if wanted and epoch not in suggested["untested"]:
                self.tested.add((spec.folder, epoch))
                store.commit(spec.folder, epoch, "test", {})
            if wanted:
                store.commit(spec.folder, epoch, "kept", {})
                store.commit(spec.folder, epoch, "state", {})
            yield {"epoch": epoch, "kept": wanted}

    def _moment(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class _Trial:
    def __init__(self, run: str):
        self.run = run

    def __str__(self) -> str:
        return self.run


def write_epoch(store: Store, run: str, epoch: int, miou: float) -> None:
    """Commits an epoch whose real validation score is `miou`, to a millionth."""
    matrix = np.zeros((NUM_CLASSES, NUM_CLASSES), dtype=int)
    matrix[1, 1] = round(miou * 1_000_000)
    matrix[1, 0] = 1_000_000 - matrix[1, 1]
    row = {"epoch": epoch, "updates": epoch, "validation": {"real": {"points": matrix.tolist()}}}
    store.commit(run, epoch, "metrics", {"metrics.json": json.dumps(row).encode()})


def carry_out(config: StudyConfig, results: Path, *, slots: int = 1) -> FakeTrials:
    trials = FakeTrials(*open_search(config, results), slots=slots, worth=learning_rate_matters)
    trials.carry_out()
    return trials


def drawn(results: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((results / "tiny" / "search.json").read_text())
    return records

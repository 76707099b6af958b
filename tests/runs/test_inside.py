"""Stopped inside an epoch, a run goes on from there and ends with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from lidartune.runs.store import Store
from lidartune.streetworld import WorldFolder
from lidartune.training.loader import ScanReader
from lidartune.transfer.plan import Milestone

from .conftest import TinyStudy, open_tiny, tiny_config
from .killed import CELL
from .test_trajectory import Killed, results_of

BASE: dict[str, Any] = {"updates_per_epoch": 4, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": BASE,
    "all": BASE
    | {
        "optimizer": "adamw",
        "learning_rate": 0.002,
        "dropout": 0.2,
        "augmentation": {"rotate": True, "drop": 0.2},
        "sampling": "sequences",
        "loss": {"lovasz": 1.0},
        "clip_gradient_norm": 1.0,
        "accumulation": 2,
        "ema": {"decay": 0.9, "use": "milestones"},
        "precise_batchnorm": 2,
    },
}
GRID: dict[str, Any] = {"width": [32], "pretrain_epochs": [2], "labelled_scans": [2], "seed": [0]}
EPOCHS = 2


def open_study(world: WorldFolder, recipe: dict[str, Any]) -> TinyStudy:
    """The smallest network on the smallest canvas."""
    return open_tiny(tiny_config(world, recipe=recipe, grid=GRID, channels=0.03), CELL)


class Straight:
    """A study, its pretraining, and what that leaves when nothing stops it."""

    def __init__(self, study: TinyStudy, results: Path):
        self.study, self.results = study, results
        self.milestone: Milestone = study.plan.roles[CELL]["pretrained"]
        study.trajectory(self.milestone, results).carry_out([EPOCHS], lambda done: None)
        self.found = self.of(results)

    def of(self, results: Path) -> dict[str, bytes]:
        store, run = Store(results), self.milestone.run
        found = results_of(results, run, EPOCHS)
        for epoch in range(1, EPOCHS):
            found[("metrics", epoch)] = store.read(run, epoch, "metrics", "metrics.json")  # type: ignore[index]
        for name in ("ema.safetensors", "scored.safetensors"):
            if self.study.spec("pretrained", CELL).recipe.ema:
                found[name] = store.read(run, EPOCHS, "state", name)
        return found

    def go_on(self, results: Path, *, threads: int = 1, minutes: float = 0) -> dict[str, bytes]:
        trajectory = self.study.trajectory(self.milestone, results, threads=threads, checkpoint_minutes=minutes)
        trajectory.carry_out([EPOCHS], lambda done: None)
        return self.of(results)


@pytest.fixture(scope="module", params=list(RECIPES))
def straight(
    request: pytest.FixtureRequest, tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory
) -> Straight:
    study = open_study(tiny_world, RECIPES[request.param])
    return Straight(study, tmp_path_factory.mktemp("straight"))


@pytest.fixture(scope="module")
def all_of_it(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Straight:
    study = open_study(tiny_world, RECIPES["all"])
    return Straight(study, tmp_path_factory.mktemp("straight"))


def stopped_after(monkeypatch: pytest.MonkeyPatch, draws: int) -> Callable[[], int]:
    """Training streams break after so many scans in all; tells how many were handed out."""
    stream, handed = ScanReader.training_stream, 0

    def broken(self: ScanReader, scans: Any, sensor: Any, alter: Any = None) -> Iterator[Any]:
        nonlocal handed
        for scan in stream(self, scans, sensor, alter):
            if alter is not None or len(scans) > len(SCANS):  # not those that count classes
                if handed == draws:
                    raise Killed
                handed += 1
            yield scan

    monkeypatch.setattr(ScanReader, "training_stream", broken)
    return lambda: handed


SCANS = range(4)


def inside(store: Store, run: str) -> dict[int, list[int]]:
    return {epoch: found for epoch in range(EPOCHS + 2) if (found := store.insides(run, epoch))}


@pytest.mark.parametrize(("updates", "threads"), [(1, 0), (3, 2), (4, 2), (6, 0)])
def test_stopped_at_an_update_it_goes_on_from_there_to_the_same_bits(
    straight: Straight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: int, threads: int
) -> None:
    run = straight.milestone.run
    with monkeypatch.context() as patch:
        stopped_after(patch, 2 * updates)
        with pytest.raises(Killed):
            straight.go_on(tmp_path, threads=threads)
    epoch, done = updates // 4 + 1, updates % 4
    if epoch <= EPOCHS and done > 1:
        assert inside(Store(tmp_path), run) == {epoch: [done]}, "the last one alone is kept"
    with monkeypatch.context() as patch:
        handed = stopped_after(patch, 999)
        assert straight.go_on(tmp_path, threads=2 - threads) == straight.found
    assert handed() <= 2 * (4 * EPOCHS - updates) + 4, "what was done is not done again"
    assert inside(Store(tmp_path), run) == {}, "what is done needs no inside"
    assert not list(tmp_path.glob("runs/*/*/inside-*"))


def test_a_checkpoint_after_every_update_changes_nothing(all_of_it: Straight, tmp_path: Path) -> None:
    assert all_of_it.go_on(tmp_path) == all_of_it.found


def cut_at_update(straight: Straight, results: Path, monkeypatch: pytest.MonkeyPatch, updates: int) -> None:
    with monkeypatch.context() as patch:
        stopped_after(patch, 2 * updates)
        with pytest.raises(Killed):
            straight.go_on(results)


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "ema.safetensors"])
def test_one_ulp_in_what_was_kept_inside_an_epoch_would_be_seen(
    straight: Straight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "ema.safetensors" and name not in straight.found:
        pytest.skip("a recipe without an average")
    cut_at_update(straight, tmp_path, monkeypatch, 7)
    store, run = Store(tmp_path), straight.milestone.run
    files = store.read_inside(run, 2, 3)
    tensors = load_tensors(files[name])
    wide = [n for n in sorted(tensors) if tensors[n].dtype == np.float32 and tensors[n].ndim > 1]
    for chosen in wide[:1] if name.startswith("weights") else wide:  # of one momentum or mean it can be rounded away
        flat = tensors[chosen].reshape(-1)
        flat[:1] = np.nextafter(flat[:1], np.float32(np.inf))
    store.discard_inside(run, 2)
    store.commit_inside(run, 2, 3, files | {name: save_tensors(tensors)})
    assert straight.go_on(tmp_path) != straight.found


def test_what_is_damaged_is_passed_over_and_the_epoch_begins_anew(
    all_of_it: Straight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_at_update(all_of_it, tmp_path, monkeypatch, 7)
    for path in tmp_path.glob("runs/*/*/inside-*/weights-*"):
        path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\x80?")
    assert all_of_it.go_on(tmp_path) == all_of_it.found


def test_an_epoch_is_kept_inside_when_it_is_time_and_not_before(
    all_of_it: Straight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, kept = [0.0], []
    commit = Store.commit_inside

    def noted(self: Store, run: str, epoch: int, updates: int, files: dict[str, bytes]) -> None:
        kept.append((epoch, updates))
        commit(self, run, epoch, updates, files)

    def ticking() -> float:
        clock[0] += 50.0
        return clock[0]

    monkeypatch.setattr(Store, "commit_inside", noted)
    assert all_of_it.go_on(tmp_path / "never", minutes=5.0) == all_of_it.found and kept == []
    monkeypatch.setattr("lidartune.runs.trajectory.time.monotonic", ticking)
    all_of_it.go_on(tmp_path / "now", minutes=1.5)
    assert kept == [(1, 2), (2, 2)]


# -- through a milestone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_25_epochs_through_a_milestone_at_10_are_25_at_once(
    tiny_world: WorldFolder, tmp_path: Path, recipe: str
) -> None:
    short = RECIPES[recipe] | {"updates_per_epoch": 1, "batch_size": 1, "accumulation": 1, "warmup_updates": 12}
    study = open_study(tiny_world, short)
    milestone = study.plan.roles[CELL]["pretrained"]
    study.carry_out(milestone, tmp_path / "at once", [25])
    study.carry_out(milestone, tmp_path / "through", [10])
    study.carry_out(milestone, tmp_path / "through", [25])
    once, through = (results_of(tmp_path / name, milestone.run, 25) for name in ("at once", "through"))
    assert once == through
    rows = [Store(tmp_path / n).read(milestone.run, 17, "metrics", "metrics.json") for n in ("at once", "through")]
    assert rows[0] == rows[1]
    assert Store(tmp_path / "through").epochs(milestone.run, "state") == [10, 25]

"""Joint runs: stopped anywhere they go on to the same bits, teacher and all; labels that are not to be read are not."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec, Start
from lidartune.runs.store import Store
from lidartune.scans import write_labels
from lidartune.streetworld import WorldFolder
from lidartune.training import loop
from lidartune.training.joint import Joint, Teacher

from .conftest import open_tiny, tiny_config
from .killed import CELL
from .test_inside import GRID
from .test_trajectory import Killed, results_of

RECIPE: dict[str, Any] = {"updates_per_epoch": 3, "batch_size": 3, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
ALL = {
    "augmentation": {"rotate": True, "drop": 0.2},
    "accumulation": 2,
    "dropout": 0.2,
    "ema": {"decay": 0.9, "use": "milestones"},
    "loss": {"lovasz": 1.0},
}
TEACHER = Teacher(decay=0.5, threshold=0.1)
ARMS: dict[str, tuple[Joint, dict[str, Any]]] = {
    "self_training": (Joint(teacher=TEACHER), {}),
    "lasermix": (Joint(mixing="lasermix", teacher=TEACHER), ALL),
    "labelled": (Joint(labels="real", mixing="polarmix", share=0.4), {}),
}
EPOCHS = 2


class Study:
    """A study's pretraining, and a joint run that starts from its milestone at 1."""

    def __init__(self, world: WorldFolder, results: Path, joint: Joint, recipe: dict[str, Any]):
        self.tiny = open_tiny(tiny_config(world, recipe=RECIPE | recipe, grid=GRID, channels=0.03), CELL)
        self.results, milestone = results, self.tiny.plan.roles[CELL]["pretrained"]
        self.tiny.trajectory(milestone, results).carry_out([1], lambda done: None)
        other = self.tiny.data.other_fingerprint("real", labelled=joint.labels == "real")
        start = Start(run=milestone.run, epoch=1)
        self.spec: RunSpec = dataclasses.replace(
            self.tiny.spec("pretrained", CELL), start=start, joint=joint, other=other
        )

    def carry_out(self, results: Path, epochs: list[int], *, threads: int = 1, minutes: float = 0) -> None:
        self._with_the_milestone(results)
        self.tiny.trajectory_of(self.spec, results, threads, minutes).carry_out(epochs, lambda done: None)

    def _with_the_milestone(self, results: Path) -> None:
        assert self.spec.start is not None
        place = results / "runs" / self.spec.start.run
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(self.results / "runs" / self.spec.start.run)

    def of(self, results: Path) -> dict[Any, bytes]:
        store, run = Store(results), self.spec.folder
        found: dict[Any, bytes] = results_of(results, run, EPOCHS)  # type: ignore[assignment]
        for epoch in range(1, EPOCHS):
            found["metrics", epoch] = store.read(run, epoch, "metrics", "metrics.json")
        if self.spec.joint and self.spec.joint.teacher:
            found["teacher"] = store.read(run, EPOCHS, "state", "teacher.safetensors")
        return found


@pytest.fixture(scope="module", params=list(ARMS))
def study(request: pytest.FixtureRequest, tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tiny_world, tmp_path_factory.mktemp("pretraining"), *ARMS[request.param])


@pytest.fixture(scope="module")
def straight(study: Study, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, bytes]:
    """What it leaves when nothing stops it."""
    results = tmp_path_factory.mktemp("straight")
    study.carry_out(results, [EPOCHS], minutes=5)
    return study.of(results)


def cut_after(monkeypatch: pytest.MonkeyPatch, study: Study, results: Path, updates: int, threads: int = 1) -> None:
    lesson, taught = loop.lesson, 0

    def stops(*arguments: Any) -> Any:
        nonlocal taught
        if taught == updates:
            raise Killed
        taught += 1
        return lesson(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "lesson", stops)
        with pytest.raises(Killed):
            study.carry_out(results, [EPOCHS], threads=threads)


@pytest.mark.parametrize(("updates", "threads"), [(2, 0), (3, 2), (4, 1)])
def test_stopped_inside_an_epoch_or_between_two_it_goes_on_to_the_same_bits(
    study: Study,
    straight: dict[Any, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    updates: int,
    threads: int,
) -> None:
    cut_after(monkeypatch, study, tmp_path, updates, threads)
    epoch, done = divmod(updates, 3)
    if done:
        assert Store(tmp_path).insides(study.spec.folder, epoch + 1) == [done]
    study.carry_out(tmp_path, [EPOCHS], threads=2 - threads)
    assert study.of(tmp_path) == straight


def test_through_a_milestone_it_ends_with_the_same_bits(
    study: Study, straight: dict[Any, bytes], tmp_path: Path
) -> None:
    study.carry_out(tmp_path, [1])
    study.carry_out(tmp_path, [EPOCHS])
    assert study.of(tmp_path) == straight
    assert Store(tmp_path).epochs(study.spec.folder, "state") == [1, EPOCHS]


def test_one_ulp_of_the_teacher_kept_inside_an_epoch_would_be_seen(
    study: Study, straight: dict[Any, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "teacher" not in straight:
        pytest.skip("an arm without a teacher")
    cut_after(monkeypatch, study, tmp_path, 5)
    store, run = Store(tmp_path), study.spec.folder
    files = store.read_inside(run, 2, 2)
    tensors = load_tensors(files["teacher.safetensors"])
    for name, tensor in tensors.items():
        if tensor.dtype == np.float32 and tensor.ndim > 1:
            tensors[name] = np.nextafter(tensor, np.float32(np.inf))
    store.discard_inside(run, 2)
    store.commit_inside(run, 2, 2, files | {"teacher.safetensors": save_tensors(tensors)})
    study.carry_out(tmp_path, [EPOCHS])
    assert study.of(tmp_path)["teacher"] != straight["teacher"]


def test_epoch_0_is_the_milestone_and_its_name_says_what_it_is(study: Study, tmp_path: Path) -> None:
    study.carry_out(tmp_path, [0])
    store, run = Store(tmp_path), study.spec.folder
    assert study.spec.start is not None and study.spec.joint is not None
    assert f"-1ep-synthetic-{study.spec.joint.word}-" in run
    first = store.read_json(run, 0, "metrics", "metrics.json")["validation"]
    milestone = store.read_json(study.spec.start.run, 1, "metrics", "metrics.json")["validation"]
    assert first == milestone


# -- labels that are not to be read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lasermix", "labelled"])
def test_wrecked_labels_change_nothing_where_the_run_is_to_see_none(
    tiny_world: WorldFolder, tmp_path: Path, name: str
) -> None:
    study = Study(copied(tiny_world, tmp_path / "world"), tmp_path / "pretraining", *ARMS[name])
    study.carry_out(tmp_path / "before", [EPOCHS], minutes=5)
    before = study.of(tmp_path / "before")
    for number, scan in enumerate(study.tiny.data.domains["real"].train):
        assert scan.labels is not None
        if number % 2:
            scan.labels.write_bytes(b"no labels")
        else:
            write_labels(scan.labels, np.full(len(scan.read()[0]) + 1, 40))
    if name == "labelled":
        with pytest.raises(UserError):
            study.carry_out(tmp_path / "after", [EPOCHS])
        return
    study.carry_out(tmp_path / "after", [EPOCHS], minutes=5)
    assert study.of(tmp_path / "after") == before


def copied(world: WorldFolder, to: Path) -> WorldFolder:
    shutil.copytree(world.path, to)
    return dataclasses.replace(world, path=to)

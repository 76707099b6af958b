"""Scans without their labels: the files are never opened, and what they say changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.runs.spec import UNLABELLED, RunSpec
from lidartune.scans import open_dataset, write_labels
from lidartune.streetworld import WorldFolder, write_world
from lidartune.training.loader import ScanReader
from lidartune.training.unlabelled import unlabelled
from lidartune.tuning.trainable import run_data
from tests.conftest import TINY_WORLD
from tests.runs.conftest import TinyStudy, open_tiny, tiny_config

SENSOR = Sensor(16, 64, 3.0, -25.0)


def shifted(draw: int, points: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points + np.float32(draw), truth


@pytest.mark.parametrize("alter", [None, shifted], ids=["as they are", "altered"])
@pytest.mark.parametrize("threads", [1, 2])
def test_no_label_file_is_opened_and_the_points_are_those_of_the_labelled_scans(
    tiny_world: WorldFolder, monkeypatch: pytest.MonkeyPatch, alter: Callable[..., object] | None, threads: int
) -> None:
    dataset = open_dataset(tiny_world.real, "semantic-kitti")
    scans = dataset.scans()
    reader = ScanReader(dataset, memory_bytes=1 << 30, threads=threads)
    labelled = list(reader.training_stream(scans, SENSOR, alter))  # type: ignore[arg-type]
    opened: list[Path] = []
    monkeypatch.setattr("lidartune.scans.files.read_labels", lambda path: opened.append(path))
    bare = list(reader.unlabelled_stream(scans, SENSOR, alter))  # type: ignore[arg-type]
    assert not opened and any(scan.truth.any() for scan in labelled)
    for one, other in zip(bare, labelled, strict=True):
        assert np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)
        assert one.truth.shape == other.truth.shape and not one.truth.any() and not one.truth_image.any()


def test_scans_that_name_no_labels_cannot_be_read_with_them(tiny_world: WorldFolder) -> None:
    dataset = open_dataset(tiny_world.real, "semantic-kitti")
    reader = ScanReader(dataset, memory_bytes=1 << 30)
    with pytest.raises(UserError, match="without a label file"):
        next(reader.training_stream(unlabelled(dataset.scans()), SENSOR))


# -- a run that sees the other domain ---------------------------------------------------------------------------------


def seeing(study: TinyStudy, *, labelled: bool) -> RunSpec:
    spec = study.spec("pretrained")
    return dataclasses.replace(spec, other=study.data.other_fingerprint("real", labelled=labelled))


def readers(study: TinyStudy) -> dict[str, ScanReader]:
    return {d: ScanReader(data.dataset, memory_bytes=1 << 28) for d, data in study.data.domains.items()}


def test_a_run_gets_the_other_domain_s_scans_as_its_spec_says(tiny_world: WorldFolder) -> None:
    study = open_tiny(tiny_config(tiny_world))
    alone = run_data(study.spec("pretrained"), study.data, readers(study))  # type: ignore[arg-type]
    bare = run_data(seeing(study, labelled=False), study.data, readers(study))  # type: ignore[arg-type]
    both = run_data(seeing(study, labelled=True), study.data, readers(study))  # type: ignore[arg-type]
    assert alone.other == ()
    assert tuple(both.other) == tuple(study.data.domains["real"].train)
    assert bare.other and all(scan.labels is None for scan in bare.other)
    assert [scan.points for scan in bare.other] == [scan.points for scan in both.other]


def test_wrecked_labels_are_another_dataset_for_a_run_that_reads_them_and_the_same_for_one_that_does_not(
    tmp_path: Path,
) -> None:
    world = write_world(TINY_WORLD, tmp_path / "world", processes=1, progress=False)
    study = open_tiny(tiny_config(world))
    specs = {labelled: seeing(study, labelled=labelled) for labelled in (False, True)}
    assert specs[False].other.startswith(UNLABELLED) and specs[False].id != specs[True].id
    for scan in study.data.domains["real"].train:
        assert scan.labels is not None
        write_labels(scan.labels, np.full(len(scan.read()[0]), 40))
    again = open_tiny(tiny_config(world))
    assert run_data(specs[False], again.data, readers(again)).other  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not the one that the study was planned with"):
        run_data(specs[True], again.data, readers(again))  # type: ignore[arg-type]


def test_other_points_are_another_dataset(tiny_world: WorldFolder) -> None:
    study = open_tiny(tiny_config(tiny_world))
    spec = dataclasses.replace(study.spec("pretrained"), other=UNLABELLED + "0" * 64)
    with pytest.raises(UserError, match="not the one that the study was planned with"):
        run_data(spec, study.data, readers(study))  # type: ignore[arg-type]


def test_streams_with_and_without_labels_share_no_memory(tiny_world: WorldFolder) -> None:
    dataset = open_dataset(tiny_world.real, "semantic-kitti")
    reader = ScanReader(dataset, memory_bytes=1 << 30)

    def truths(stream: object) -> int:
        return sum(int(scan.truth.any()) for scan in stream)  # type: ignore[attr-defined]

    scans = dataset.scans()
    assert truths(reader.unlabelled_stream(scans, SENSOR)) == 0
    assert truths(reader.training_stream(scans, SENSOR)) == len(scans)
    assert truths(reader.unlabelled_stream(scans, SENSOR)) == 0

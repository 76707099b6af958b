"""Scan files: what is read, what is written, and what a broken file is answered with."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.errors import UserError
from lidartune.scans import read_labels, read_points, read_scan, write_labels, write_points


def test_points_are_little_endian_float32_quadruples(tmp_path: Path) -> None:
    path = tmp_path / "000000.bin"
    path.write_bytes(struct.pack("<8f", 1, 2, 3, 0.5, -1, float("nan"), 0, 1))
    points = read_points(str(path))
    assert points.dtype == np.float32 and points.shape == (2, 4)
    np.testing.assert_array_equal(points, np.array([[1, 2, 3, 0.5], [-1, np.nan, 0, 1]], np.float32))


def test_labels_are_the_low_half(tmp_path: Path) -> None:
    path = tmp_path / "000000.label"
    path.write_bytes(struct.pack("<3I", 10, 252 | 7 << 16, 0xFFFFFFFF))
    labels = read_labels(path)
    assert labels.dtype == np.uint32 and labels.tolist() == [10, 252, 0xFFFF]


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), max_size=20), st.booleans())
@settings(max_examples=50, deadline=None)
def test_labels_come_back(
    tmp_path_factory: pytest.TempPathFactory, ids: list[tuple[int, int]], instances: bool
) -> None:
    path = tmp_path_factory.mktemp("labels") / "sub" / "a.label"
    semantic, instance = np.array(ids, np.int64).reshape(-1, 2).T
    write_labels(path, semantic, instance if instances else None)
    assert read_labels(path).tolist() == semantic.tolist()
    assert (np.fromfile(path, "<u4") >> 16).tolist() == (instance.tolist() if instances else [0] * len(ids))


def test_points_come_back_bit_by_bit(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    points[3] = [np.nan, np.inf, -0.0, 1e-45]
    write_points(tmp_path / "a" / "b.bin", np.asfortranarray(points))
    assert read_points(tmp_path / "a" / "b.bin").tobytes() == points.tobytes()


def test_an_empty_scan_has_no_points(tmp_path: Path) -> None:
    write_points(tmp_path / "a.bin", np.zeros((0, 4)))
    write_labels(tmp_path / "a.label", np.zeros(0, np.uint32))
    points, labels = read_scan(tmp_path / "a.bin", tmp_path / "a.label")
    assert points.shape == (0, 4) and labels.shape == (0,)


@given(st.binary(max_size=70))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_points_or_a_message(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "000000.bin"
    path.write_bytes(data)
    if len(data) % 16 == 0:
        assert read_points(path).shape == (len(data) // 16, 4)
    else:
        with pytest.raises(UserError, match=rf"(?s)000000.bin.*{len(data)} bytes.*16 bytes a point"):
            read_points(path)
    if len(data) % 4:
        with pytest.raises(UserError, match="multiple of 4"):
            read_labels(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)no such file of points.*nothing.bin"):
        read_points(tmp_path / "nothing.bin")
    with pytest.raises(UserError, match=r"(?s)no such file of labels.*nothing.label"):
        read_labels(tmp_path / "nothing.label")
    with pytest.raises(UserError, match=r"(?s)no file of points.*a directory"):
        read_points(tmp_path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")  # opening it would wait for a writer
    (tmp_path / "loop.bin").symlink_to("loop.bin")
    (tmp_path / "dangling.bin").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"(?s)no file of points.*pipe.bin.*pipe or socket"):
        read_points(tmp_path / "pipe.bin")
    with pytest.raises(UserError, match=r"(?s)cannot be read.*loop.bin.*symbolic links"):
        read_points(tmp_path / "loop.bin")
    with pytest.raises(UserError, match=r"(?s)no such file of labels.*dangling.bin"):
        read_labels(tmp_path / "dangling.bin")


def test_a_file_that_no_memory_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    write_points(tmp_path / "a.bin", np.zeros((5, 4)))
    monkeypatch.setattr(np, "fromfile", full)
    with pytest.raises(UserError, match=r"(?s)cannot be read.*a.bin.*memory.*next:"):
        read_points(tmp_path / "a.bin")


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_points(tmp_path / "a.bin", np.zeros((5, 4)))
    write_labels(tmp_path / "a.label", np.zeros(5, np.uint32))
    whole = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda path, dtype: whole(path, dtype)[:4])
    for read, path in ((read_points, tmp_path / "a.bin"), (read_labels, tmp_path / "a.label")):
        with pytest.raises(UserError, match=rf"(?s)changed while it was read.*{path.name}.*next:"):
            read(path)


def test_labels_that_are_too_few_are_refused_with_both_counts(tmp_path: Path) -> None:
    write_points(tmp_path / "a.bin", np.zeros((5, 4)))
    write_labels(tmp_path / "a.label", np.zeros(3, np.uint32))
    with pytest.raises(UserError, match=r"(?s)a\.label.*3 labels.*5, the points of .*a\.bin"):
        read_scan(tmp_path / "a.bin", tmp_path / "a.label")


def test_what_does_not_fit_a_file_is_not_written(tmp_path: Path) -> None:
    for ids in (np.array([65536]), np.array([-1]), np.array([1.5]), np.zeros((2, 2), int)):
        with pytest.raises(ValueError, match="semantic ids"):
            write_labels(tmp_path / "a.label", ids)
    with pytest.raises(ValueError, match="1 instance ids for 2"):
        write_labels(tmp_path / "a.label", np.array([1, 2]), np.array([1]))
    with pytest.raises(ValueError, match="points must be"):
        write_points(tmp_path / "a.bin", np.zeros((3, 3)))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_a_message_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, labels = tmp_path / "a.bin", tmp_path / "a.label"
    write_points(points, np.ones((2, 4)))
    write_labels(labels, np.ones(2, int))
    for path, write in ((points, write_points), (labels, write_labels)):
        below = path / "b" / path.name  # a file is no folder
        with pytest.raises(UserError, match=rf"(?s)cannot be written.*{path.name}/b/{path.name}.*next:"):
            write(below, np.zeros((3, 4)) if write is write_points else np.zeros(3, int))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"(?s)cannot be written.*a\.bin.*No space left"):
        write_points(points, np.zeros((3, 4)))
    with pytest.raises(UserError, match=r"(?s)cannot be written.*a\.label.*No space left"):
        write_labels(labels, np.zeros(3, int))
    assert read_points(points).tolist() == [[1] * 4] * 2 and read_labels(labels).tolist() == [1, 1]
    assert sorted(tmp_path.iterdir()) == [points, labels]

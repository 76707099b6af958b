"""Datasets on disk: both layouts, what is found, and what is missing."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lidartune.errors import UserError
from lidartune.scans import fingerprint, load_taxonomy, open_dataset, write_labels, write_points

SHARED = Path(os.environ.get("LIDARTUNE_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


def write_scan(sequence: Path, name: str, count: int = 3, labels: int | None = 3, raw: int = 10) -> None:
    write_points(sequence / "velodyne" / f"{name}.bin", np.full((count, 4), 1.0))
    if labels is not None:
        write_labels(sequence / "labels" / f"{name}.label", np.full(labels, raw))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for sequence, names in (("08", ["000001", "000000"]), ("00", ["000010", "000002"]), ("12", ["000000"])):
        for name in names:
            write_scan(tmp_path / "sequences" / sequence, name)
    return tmp_path


def test_scans_come_by_sequence_and_name(root: Path) -> None:
    scans = open_dataset(root, "semantic-kitti").scans(["8", 0, "08"])
    assert [(s.sequence, s.name) for s in scans] == [
        ("00", "000002"), ("00", "000010"), ("08", "000000"), ("08", "000001")]  # fmt: skip
    assert scans[0].points == root / "sequences/00/velodyne/000002.bin"
    assert scans[0].labels == root / "sequences/00/labels/000002.label"


def test_the_layout_without_a_sequences_level_is_the_same(root: Path) -> None:
    nested, flat = open_dataset(root, "semantic-kitti"), open_dataset(root / "sequences", "semantic-kitti")
    assert [s.points for s in nested.scans()] == [s.points for s in flat.scans()]
    assert list(nested.sequences) == [0, 8, 12]
    assert fingerprint(nested.scans()) == fingerprint(flat.scans())


def test_other_files_and_folders_are_passed_over(root: Path) -> None:
    (root / "sequences" / "notes").mkdir()
    (root / "sequences" / "99.txt").write_text("")
    (root / "sequences/00/velodyne/._000002.bin").write_bytes(b"x")
    (root / "sequences/00/velodyne/readme.txt").write_bytes(b"x")
    dataset = open_dataset(root, "semantic-kitti")
    assert list(dataset.sequences) == [0, 8, 12] and len(dataset.scans([0])) == 2


def test_reading_gives_points_and_common_classes(root: Path) -> None:
    dataset = open_dataset(root, load_taxonomy("semantic-kitti"))
    scan = dataset.scans([0])[0]
    points, classes = dataset.read(scan)
    assert points.shape == (3, 4) and classes.dtype == np.uint8 and classes.tolist() == [1, 1, 1]
    raw = scan.read()[1]
    assert raw is not None and raw.tolist() == [10, 10, 10]
    assert pickle.loads(pickle.dumps(dataset)).read(scan)[1].tolist() == [1, 1, 1]


def test_scans_without_labels_can_be_listed_and_asked_not_to_be(root: Path) -> None:
    (root / "sequences/08/labels/000001.label").unlink()
    dataset = open_dataset(root, "semantic-kitti")
    scan = dataset.scans([8])[1]
    assert scan.labels is None and scan.read()[1] is None
    with pytest.raises(UserError, match=r"(?s)labels/000001\.label.*1 of 4 scans"):
        dataset.scans([0, 8], labelled=True)
    with pytest.raises(UserError, match=r"(?s)without a label file.*labels/000001\.label"):
        dataset.read(scan)
    assert len(dataset.scans([0], labelled=True)) == 2


def test_a_missing_sequence_is_named_beside_those_that_are_there(root: Path) -> None:
    for wanted in (5, "05", "x", -1):
        with pytest.raises(UserError, match=rf"(?s)no such sequence.*00, 08, 12.*sequence {wanted}"):
            open_dataset(root, "semantic-kitti").scans([0, wanted])


def test_a_sequence_without_scans_is_named(root: Path) -> None:
    (root / "sequences" / "03" / "velodyne").mkdir(parents=True)
    (root / "sequences" / "04").mkdir()
    dataset = open_dataset(root, "semantic-kitti")
    with pytest.raises(UserError, match=r"(?s)without scans.*03.*no \.bin file"):
        dataset.scans([3])
    with pytest.raises(UserError, match=r"(?s)without scans.*04.*no velodyne folder"):
        dataset.scans([4])


def test_a_folder_that_is_no_dataset_is_answered_with_the_layout(root: Path) -> None:
    (root.parent / "empty").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=r"(?s)no sequences.*nothing.*DIR/00/velodyne"):
        open_dataset(root.parent / "empty", "semantic-kitti")
    with pytest.raises(UserError, match="no such dataset folder"):
        open_dataset(root / "nowhere", "semantic-kitti")
    with pytest.raises(UserError, match=r"(?s)this is one sequence: give the folder above it, .*sequences"):
        open_dataset(root / "sequences" / "00", "semantic-kitti")
    with pytest.raises(UserError, match=f"give {root}, which holds sequences"):
        open_dataset(root.parent, "semantic-kitti")


def test_numbers_without_zeros_in_front_are_in_time_order(tmp_path: Path) -> None:
    for name in ("10", "2", "1", "x", "03"):
        write_scan(tmp_path / "00", name)
    scans = open_dataset(tmp_path, "semantic-kitti").scans(labelled=True)
    assert [scan.name for scan in scans] == ["1", "2", "03", "10", "x"]
    assert [scan.labels.stem for scan in scans if scan.labels] == ["1", "2", "03", "10", "x"]
    write_scan(tmp_path / "00", "003")
    with pytest.raises(UserError, match=r"(?s)two scans with one number.*00/velodyne.*003.bin and 03.bin.*next:"):
        open_dataset(tmp_path, "semantic-kitti").scans()


def test_sequences_beside_a_sequences_level_are_refused(root: Path) -> None:
    (root / "2011").mkdir()  # holds no scans: no sequence
    assert list(open_dataset(root, "semantic-kitti").sequences) == [0, 8, 12]
    write_scan(root / "01", "000000")
    with pytest.raises(UserError, match=rf"(?s)under its `sequences` folder.*01 beside.*next:.*name {root}/sequences"):
        open_dataset(root, "semantic-kitti")
    assert list(open_dataset(root / "sequences", "semantic-kitti").sequences) == [0, 8, 12]


def test_a_sequence_number_of_thousands_of_digits_is_not_there(root: Path) -> None:
    for wanted in ("9" * 5000, 10**5000, "x" * 5000, 10**50):
        with pytest.raises(UserError, match="no such sequence") as caught:
            open_dataset(root, "semantic-kitti").scans([wanted])
        assert len(str(caught.value)) < 1000
    assert len(open_dataset(root, "semantic-kitti").scans([np.int64(8)])) == 2  # type: ignore[list-item]


def test_two_folders_for_one_sequence_are_refused(root: Path) -> None:
    (root / "sequences" / "8").mkdir()
    with pytest.raises(UserError, match=r"(?s)two folders.*08 and 8"):
        open_dataset(root, "semantic-kitti")


def test_broken_scans_are_named_when_they_are_read(root: Path) -> None:
    sequence = root / "sequences" / "00"
    write_scan(sequence, "000002", labels=2)
    write_scan(sequence, "000010", raw=12)
    dataset = open_dataset(root, "semantic-kitti")
    with pytest.raises(UserError, match=r"(?s)000002\.label.*2 labels"):
        dataset.read(dataset.scans([0])[0])
    with pytest.raises(UserError, match=r"(?s)000010\.label.*id 12 \(3 points\)"):
        dataset.read(dataset.scans([0])[1])
    (sequence / "velodyne" / "000002.bin").write_bytes(b"0" * 17)
    with pytest.raises(UserError, match=r"(?s)000002\.bin.*17 bytes"):
        dataset.scans([0])[0].read()


def test_the_fingerprint_follows_split_sizes_and_the_contents_of_some_scans(root: Path) -> None:
    dataset = open_dataset(root, "semantic-kitti")
    first = fingerprint(dataset.scans([0]))
    assert first == fingerprint(dataset.scans([0])) != fingerprint(dataset.scans([0, 8]))
    write_scan(root / "sequences" / "00", "000002", count=4)
    longer = fingerprint(dataset.scans([0]))
    (root / "sequences/00/labels/000002.label").unlink()
    assert len({first, longer, fingerprint(dataset.scans([0]))}) == 3
    scans = dataset.scans([0])
    bare = fingerprint(scans)
    write_points(scans[0].points, np.full((4, 4), 2.0))  # as long as before
    moved = fingerprint(scans)
    assert scans[1].labels is not None
    write_labels(scans[1].labels, np.full(3, 11))
    assert len({bare, moved, fingerprint(scans)}) == 3
    (root / "sequences/00/velodyne/000002.bin").unlink()
    with pytest.raises(UserError, match=r"000002\.bin"):
        fingerprint(scans)


def test_the_fingerprint_reads_sixteen_scans_spread_over_all(tmp_path: Path) -> None:
    for i in range(32):
        write_scan(tmp_path / "00", f"{i:06d}")
    scans = open_dataset(tmp_path, "semantic-kitti").scans()
    first, changed = fingerprint(scans), []
    for scan in scans:
        write_points(scan.points, np.full((3, 4), 2.0))
        if fingerprint(scans) != first:
            changed.append(scan.name)
        write_points(scan.points, np.full((3, 4), 1.0))
    assert changed == [f"{i:06d}" for i in range(0, 32, 2)]


def test_real_scans_have_known_classes() -> None:
    if not (SHARED / "semantic-kitti-mini").is_dir():
        pytest.skip("no real scans beside the checkout (LIDARTUNE_SHARED_DATA)")
    dataset = open_dataset(SHARED / "semantic-kitti-mini", "semantic-kitti")
    scans = dataset.scans(labelled=True)
    assert [len(dataset.read(s)[0]) for s in scans] == [124_668, 124_605, 124_478]
    counts = np.bincount(dataset.read(scans[0])[1], minlength=20)
    assert counts[9] == counts.max() and len(counts) == 20


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything, so what may not be read is tested as nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A dataset that everybody may read: pytest's own folders are for their owner alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for sequence in ("00", "08"):
        write_scan(folder / "root" / "sequences" / sequence, "000000")
    yield folder / "root"
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("locked", "mode"),
    [
        ("", 0o000),
        ("", 0o444),
        ("sequences", 0o000),
        ("sequences", 0o444),
        ("sequences/00", 0o000),
        ("sequences/00/velodyne", 0o000),
        ("sequences/00/labels", 0o000),
        ("sequences/00/velodyne", 0o444),
        ("sequences/00/velodyne/000000.bin", 0o000),
        ("sequences/00/labels/000000.label", 0o000),
    ],
)
def test_what_may_not_be_read_is_named(open_root: Path, locked: str, mode: int) -> None:
    taxonomy = load_taxonomy("semantic-kitti")
    with nobody():
        assert len(open_dataset(open_root, taxonomy).read(open_dataset(open_root, taxonomy).scans()[0])[0]) == 3
    (open_root / locked).chmod(mode)
    try:
        with nobody(), pytest.raises(UserError) as caught:
            dataset = open_dataset(open_root, taxonomy)
            fingerprint(dataset.scans())
            dataset.read(dataset.scans()[0])
    finally:
        (open_root / locked).chmod(0o755)
    assert str(open_root / locked) in str(caught.value) and "next:" in str(caught.value)


def test_the_advice_passes_over_folders_that_may_not_be_looked_into(open_root: Path) -> None:
    taxonomy = load_taxonomy("semantic-kitti")
    (open_root.parent / "locked" / "sequences" / "00").mkdir(parents=True)
    (open_root.parent / "locked").chmod(0o000)
    with nobody(), pytest.raises(UserError, match=f"give {open_root}, which holds sequences"):
        open_dataset(open_root.parent, taxonomy)


def test_names_that_are_no_utf8_are_read_and_printed(root: Path) -> None:
    velodyne = root / "sequences" / "00" / "velodyne"
    before = fingerprint(open_dataset(root, "semantic-kitti").scans())
    os.rename(velodyne / "000002.bin", os.fsencode(velodyne) + b"/\xff.bin")
    dataset = open_dataset(root, "semantic-kitti")
    assert fingerprint(dataset.scans()) != before
    with pytest.raises(UserError) as caught:
        dataset.scans(labelled=True)
    str(caught.value).encode()


def test_a_home_that_nobody_has_is_no_dataset() -> None:
    with pytest.raises(UserError, match=r"(?s)no such dataset folder.*~nobody-at-all/data.*next:"):
        open_dataset("~nobody-at-all/data", "semantic-kitti")


def test_synlidars_own_layout_is_read_with_and_without_a_sequences_level(tmp_path: Path) -> None:
    """The full set has none, some copies of the subset have one."""
    for sequence in ("00", "12"):
        write_scan(tmp_path / "full" / sequence, "000000", raw=2)
        write_scan(tmp_path / "sub" / "sequences" / sequence, "000000", raw=2)
    (tmp_path / "full" / "annotations.yaml").write_text("")
    full, sub = (open_dataset(tmp_path / name, "synlidar") for name in ("full", "sub"))
    assert list(full.sequences) == list(sub.sequences) == [0, 12]
    assert fingerprint(full.scans()) == fingerprint(sub.scans())
    assert full.read(full.scans(["12"])[0])[1].tolist() == [4, 4, 4]
    (tmp_path / "full" / "sequences").mkdir()  # empty: passed over
    assert list(open_dataset(tmp_path / "full", "synlidar").sequences) == [0, 12]

"""Worlds on disk: layout, whole or not there, the same bytes from any number of processes, reuse."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lidartune.errors import UserError
from lidartune.scans import load_taxonomy, open_dataset
from lidartune.streetworld import WorldFolder, WorldSpec, ensure_world, write, write_world
from lidartune.streetworld.kinds import COMMON_CLASSES, SEMANTICKITTI_IDS, SYNLIDAR_IDS
from lidartune.streetworld.sensor import Scan

TINY = WorldSpec(
    beams=8,
    columns=128,
    scans_per_sequence=2,
    synthetic_train=1,
    synthetic_validation=1,
    synthetic_test=1,
    real_train=1,
    real_validation=1,
    real_test=1,
)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three points instead of a street, for tests of how worlds come to lie on disk."""

    def three_points(spec: WorldSpec, domain: str, number: int) -> Iterator[Scan]:
        rng = np.random.default_rng([spec.seed, len(domain), number])
        for _ in range(spec.scans_per_sequence):
            points = rng.random((3, 4), dtype=np.float32)
            yield Scan(points, np.full(3, 2, np.uint8), np.ones(3, np.uint32))

    monkeypatch.setattr(write, "make_sequence", three_points)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> WorldFolder:
    return write_world(TINY, tmp_path_factory.mktemp("world") / "tiny", processes=1, progress=False)


def test_layout_is_that_of_the_datasets(world: WorldFolder) -> None:
    names = set(digest(world.path))
    expected = {"world.json"}
    for part, ending in (("velodyne", "bin"), ("labels", "label")):
        for number in range(3):
            for scan in range(2):
                expected.add(f"synthetic/{number:02d}/{part}/{scan:06d}.{ending}")
                expected.add(f"real/sequences/{number:02d}/{part}/{scan:06d}.{ending}")
    assert names == expected
    assert world.splits["real"] == {"train": [0], "validation": [1], "test": [2]}


def test_world_json_records_what_it_is(world: WorldFolder) -> None:
    description = json.loads((world.path / "world.json").read_text())
    assert description["spec"] == {**TINY.__dict__} and description["digest"] == TINY.digest
    assert description["splits"] == world.splits and description["world_version"] == write.WORLD_VERSION


@pytest.mark.parametrize(
    ("domain", "ids", "name"), [("synthetic", SYNLIDAR_IDS, "synlidar"), ("real", SEMANTICKITTI_IDS, "semantic-kitti")]
)
def test_scans_read_as_the_dataset_they_look_like(world: WorldFolder, domain: str, ids: np.ndarray, name: str) -> None:
    taxonomy = load_taxonomy(name)
    scans = open_dataset(getattr(world, domain), taxonomy).scans([0, 1, 2])
    assert len(scans) == 6
    for scan in scans:
        points, labels = scan.read()
        assert points.dtype == np.float32 and np.isfinite(points).all() and len(points) > 500
        assert labels is not None and set(np.unique(labels)) <= set(ids)
        assert ((points[:, 3] >= 0) & (points[:, 3] <= 0.99)).all()
        assert (taxonomy.to_common(labels) > 0).mean() > 0.9
        stored = np.fromfile(scan.labels, "<u4")
        assert (stored >> 16).any() == (domain == "real"), "only SemanticKITTI has instances"


def test_kinds_agree_with_the_taxonomies() -> None:
    assert np.array_equal(load_taxonomy("synlidar").to_common(SYNLIDAR_IDS), COMMON_CLASSES)
    assert np.array_equal(load_taxonomy("semantic-kitti").to_common(SEMANTICKITTI_IDS), COMMON_CLASSES)


def test_no_two_sequences_are_alike(world: WorldFolder) -> None:
    scans = [scan for domain in (world.synthetic, world.real) for scan in domain.rglob("000000.bin")]
    assert len(scans) == 6 and len({scan.read_bytes() for scan in scans}) == 6


def test_bytes_do_not_depend_on_the_number_of_processes(world: WorldFolder, tmp_path: Path) -> None:
    other = write_world(TINY, tmp_path / "other", processes=2, progress=False)
    assert digest(other.path) == digest(world.path)


def test_another_seed_gives_another_world(world: WorldFolder, tmp_path: Path) -> None:
    spec = WorldSpec(**{**TINY.__dict__, "seed": 1})
    other = write_world(spec, tmp_path / "other", processes=1, progress=False)
    ours, theirs = digest(world.path), digest(other.path)
    assert ours.keys() == theirs.keys() and not set(ours.values()) & set(theirs.values())


def test_without_a_gap_the_domains_are_still_other_streets() -> None:
    spec = WorldSpec(**{**TINY.__dict__, "geometry_gap": 0.0, "sensor_gap": 0.0})
    synthetic, real = (next(write.make_sequence(spec, domain, 0)).points for domain in ("synthetic", "real"))
    assert not np.array_equal(synthetic, real)


def test_a_sequence_does_not_depend_on_how_many_there_are(world: WorldFolder, tmp_path: Path) -> None:
    spec = WorldSpec(**{**TINY.__dict__, "synthetic_train": 2})
    other = write_world(spec, tmp_path / "other", processes=1, progress=False)
    ours, theirs = digest(world.path / "synthetic"), digest(other.path / "synthetic")
    assert {name: theirs[name] for name in ours} == ours


@pytest.mark.usefixtures("quick")
def test_the_cache_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = ensure_world(TINY, processes=1, progress=False)
    assert first.path == tmp_path / "lidartune" / "worlds" / TINY.digest
    before = digest(first.path)

    def never(*_: object) -> None:
        raise AssertionError("the world was made again")

    monkeypatch.setattr(write, "write_sequence", never)
    assert ensure_world(TINY, processes=1, progress=False) == first
    assert write_world(TINY, first.path, processes=1, progress=False) == first
    assert digest(first.path) == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "damage",
    [
        lambda made: next(made.real.rglob("*.label")).unlink(),
        lambda made: next(made.synthetic.rglob("*.bin")).write_bytes(b"short"),
        lambda made: (made.path / "world.json").write_text("{}"),
    ],
    ids=["missing file", "cut file", "no description"],
)
def test_a_damaged_world_in_the_cache_is_made_anew(tmp_path: Path, damage: Callable[[WorldFolder], None]) -> None:
    made = ensure_world(TINY, tmp_path, processes=1, progress=False)
    before = digest(made.path)
    damage(made)
    again = ensure_world(TINY, tmp_path, processes=1, progress=False)
    assert digest(again.path) == before
    assert [p.name for p in tmp_path.iterdir()] == [TINY.digest]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.usefixtures("quick")
def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise error

    with pytest.raises(error):
        write_world(TINY, tmp_path / "world", processes=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_what_a_killed_maker_left_is_no_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write.shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing up

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_world(TINY, tmp_path, processes=1, progress=stop)
    monkeypatch.undo()
    left = list(tmp_path.iterdir())
    assert len(left) == 1 and not (tmp_path / TINY.digest).exists()
    assert write.read_world(left[0]) is None
    made = ensure_world(TINY, tmp_path, processes=1, progress=False)
    assert made.path == tmp_path / TINY.digest and write.read_world(made.path) == made


@pytest.mark.usefixtures("quick")
def test_of_two_makers_the_first_wins(tmp_path: Path) -> None:
    folder = tmp_path / "world"

    def other_maker_is_done_first(done: int, total: int) -> None:
        if done == total and not folder.exists():
            write_world(TINY, folder, processes=1, progress=False)
            (folder / "mark").touch()

    found = write_world(TINY, folder, processes=1, progress=other_maker_is_done_first)
    assert found.path == folder and (folder / "mark").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["world"]


def test_a_folder_in_use_is_left_alone(world: WorldFolder, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="in use"):
        write_world(TINY, tmp_path, processes=1, progress=False)
    with pytest.raises(UserError, match="another world"):
        write_world(WorldSpec(), world.path, processes=1, progress=False)
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.usefixtures("quick")
def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    made = write_world(TINY, tmp_path, processes=1, progress=False)
    assert made.path == tmp_path and write.read_world(tmp_path) == made


@pytest.mark.usefixtures("quick")
def test_progress_counts_streets(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_world(TINY, tmp_path / "world", processes=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 6) for n in range(1, 7)]


@pytest.mark.usefixtures("quick")
def test_old_left_overs_are_swept_and_young_ones_are_not(tmp_path: Path) -> None:
    old, young = tmp_path / ".other.1-a.tmp", tmp_path / ".other.2-b.tmp"
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    ensure_world(TINY, tmp_path, processes=1, progress=False)
    assert not old.exists() and young.exists()


def test_a_dead_maker_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deadly:
        """Ends the process that unpickles it, as a kill would."""

        def __reduce__(self) -> tuple[object, tuple[int]]:
            return os._exit, (1,)

        def __call__(self, *_: object) -> None: ...

    monkeypatch.setattr(write, "_write_street", Deadly())
    with pytest.raises(UserError, match="died") as error:
        write_world(TINY, tmp_path / "world", processes=2, progress=False)
    assert "use one process" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        write_world(TINY, tmp_path / "file" / "world", processes=1, progress=False)


def test_the_same_spec_gives_the_world_that_is_written_down(tmp_path: Path) -> None:
    """When this goes red, the same spec gives another world: raise WORLD_VERSION, so that no cached one is reused."""
    world = write_world(TINY, tmp_path / "world", processes=1, progress=False)
    found = {}
    for domain, root, taxonomy in (("synthetic", world.synthetic, "synlidar"), ("real", world.real, "semantic-kitti")):
        data = open_dataset(root, taxonomy)
        points, classes = data.read(data.scans()[0])
        found[domain] = (len(points), float(np.abs(points[:, :3]).sum()), int(classes.sum()))
    golden = {"synthetic": (989, 15459.2, 11117), "real": (921, 13637.5, 9410)}
    for domain, (count, distance, classes) in golden.items():
        assert found[domain][0] == pytest.approx(count, rel=0.02), found
        assert found[domain][1] == pytest.approx(distance, rel=0.02), found
        assert found[domain][2] == pytest.approx(classes, rel=0.03), found

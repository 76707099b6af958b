"""10,000 broken inputs: each is read or refused with our error, which names the file and what to do next."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lidartune.canvas import Sensor, project
from lidartune.scans import fingerprint, load_taxonomy, open_dataset, read_points, read_scan
from lidartune.scans.classes import UNKNOWN
from lidartune.scans.taxonomy import Taxonomy
from tests.accidents import BOMB, MERGE_BOMB, attempt, mutated, mutated_yaml, put

POINT_FILES, LABEL_FILES, TAXONOMIES, FOLDERS = 3600, 3600, 2500, 300
SENSOR = Sensor(8, 32, 3.0, -25.0)
SOMETIMES_RIGHT = 0.02  # of the inputs, at least: else only the first check of a reader is tested


def test_point_files(tmp_path: Path) -> None:
    rng, path, right = random.Random(1), tmp_path / "000000.bin", 0
    cloud = np.random.default_rng(0).normal(0, 10, (12, 4)).astype("<f4")
    cloud[3, :3], cloud[7, :3] = 0, 3e38  # no direction, and no float32 range
    whole = cloud.tobytes()
    for _ in range(POINT_FILES):
        data = mutated(whole, rng)
        put(path, data)
        points = attempt(partial(read_points, path), path, data=data)
        assert (points is not None) == (len(data) % 16 == 0)
        if points is None:
            continue
        right += 1
        assert points.tobytes() == data
        canvas = attempt(partial(project, points, SENSOR), path, data=data)
        assert canvas is not None
        with np.errstate(over="ignore", invalid="ignore"):
            distance = np.sqrt(np.square(points[:, :3].astype(np.float64)).sum(axis=1)).astype(np.float32)
        usable = np.isfinite(points).all(axis=1) & np.isfinite(distance) & (distance > 0)
        assert ((canvas.row >= 0) == usable).all() and ((canvas.column >= 0) == usable).all()
        assert usable[canvas.index[canvas.mask]].all() and np.isfinite(canvas.image).all()
    assert right > SOMETIMES_RIGHT * POINT_FILES


def test_label_files(tmp_path: Path) -> None:
    rng, right = random.Random(2), 0
    points, labels = tmp_path / "000000.bin", tmp_path / "000000.label"
    taxonomy = load_taxonomy("semantic-kitti")
    points.write_bytes(bytes(16 * 40))
    whole = np.random.default_rng(0).choice(list(taxonomy.labels), 40).astype("<u4").tobytes()
    for _ in range(LABEL_FILES):
        data = mutated(whole, rng)
        put(labels, data)
        read = attempt(partial(read_scan, points, labels), labels, data=data)
        assert (read is not None) == (len(data) == len(whole))
        if read is None:
            continue
        ids = read[1]
        assert ids.tolist() == [i & 0xFFFF for (i,) in struct.iter_unpack("<I", data)]
        classes = attempt(partial(taxonomy.to_common, ids, where=labels), labels, data=data)
        assert (classes is not None) == all(i in taxonomy.learning_map for i in ids.tolist())
        if classes is not None:
            right += 1
            assert classes.tolist() == [taxonomy.learning_map[i] for i in ids.tolist()]
    assert right > SOMETIMES_RIGHT * LABEL_FILES


SMALL = b"""# a taxonomy of two classes
name: "small"
labels: {0: "none", 10: "car", 252: "moving-car", 40: "road", 1: "one", 2: "two"}
color_map: {0: [0, 0, 0], 10: [245, 150, 100]}
content: {0: 0.25, 10: 5.0e-1, 252: 1e-08}
learning_map:
  0: 0
  10: 1
  252: 1
  40: 2
  1: 1
  2: 2
learning_map_inv: {0: 0, 1: 1, 2: 2}
learning_ignore: {0: true, 1: false}
split: {train: [0, 1], valid: [08]}
"""


def check_taxonomy(taxonomy: Taxonomy) -> None:
    """What everybody relies on."""
    count = taxonomy.num_classes
    assert 2 <= count <= 255 and sorted(taxonomy.learning_map_inv) == list(range(count))
    assert len(taxonomy.names) == len(set(taxonomy.names)) == count and taxonomy.colors.shape == (count, 3)
    assert taxonomy.ignore[0] == 0 and len(taxonomy.ignore) < count
    used = set(taxonomy.learning_map.values())
    assert set(np.unique(taxonomy.lookup).tolist()) == used | {UNKNOWN} and max(used) < count
    back = taxonomy.to_common(taxonomy.to_raw(np.arange(count)))
    assert all(back[c] == c if c in used else back[c] in taxonomy.ignore for c in range(count))
    content = taxonomy.class_content()
    assert content is None or (content.shape == (count,) and np.isfinite(content).all())


def test_taxonomies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng, path, right = random.Random(3), tmp_path / "mine.yaml", 0
    bridge = tmp_path / "bridge.yaml"
    bridge.write_text("{labels: {0: a}, learning_map: {0: 0, 1: 2, 2: 1}, learning_map_inv: {0: 0, 1: 2, 2: 1}}")
    for turn in range(TAXONOMIES):
        data = mutated_yaml(SMALL, rng)
        put(path, data)
        name = {0: f"{path}+{bridge}", 1: f"{bridge}+{path}"}.get(turn % 8, str(path))
        taxonomy = attempt(partial(load_taxonomy, name), path, bridge, data=data)
        if taxonomy is not None:
            right += 1
            check_taxonomy(taxonomy)
    assert right > SOMETIMES_RIGHT * TAXONOMIES
    assert sorted(tmp_path.iterdir()) == [bridge, path], "a taxonomy ran code"


@pytest.mark.parametrize("key", ["labels", "learning_map", "learning_map_inv", "content", "color_map", "split"])
@pytest.mark.parametrize("nasty", ["*a29", "{10: *a29}", "{*a29: 10}", "*m29", "[*a29]", "{train: *a29}"])
def test_alias_bombs_end(tmp_path: Path, key: str, nasty: str) -> None:
    path = tmp_path / "bomb.yaml"
    lines = [*SMALL.decode().split("\n"), "learning_map: {0: 0, 10: 1, 252: 1, 40: 2, 1: 1, 2: 2}"]
    kept = [line for line in lines if line.endswith("}") and not line.startswith(f"{key}:")]
    for bomb in (BOMB, MERGE_BOMB):
        path.write_text("\n".join([bomb, *kept, f"{key}: {nasty}"]))
        assert attempt(partial(load_taxonomy, path), path, data=nasty) is None


@pytest.mark.parametrize("nested", ["[" * 600, "{a: " * 9999, "- " * 9999, "? " * 9999, "[" * 400 + "]" * 400])
def test_deep_nesting_ends(tmp_path: Path, nested: str) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(f"labels: {nested}" if nested[0] in "[{" else nested)
    assert attempt(partial(load_taxonomy, path), path, data=nested) is None


def folder_accidents(root: Path, rng: random.Random) -> None:
    """One to three things that go wrong with a folder of scans."""
    for _ in range(rng.randint(1, 3)):
        places = sorted(path for path in root.rglob("*") if not path.is_symlink())
        if not places:
            return
        path = rng.choice(places)
        accident = rng.randrange(9)
        if accident in (0, 1, 2, 3, 4):
            _remove(path)
        if accident == 1:
            path.mkdir()
        elif accident == 2:
            path.symlink_to(path.name)  # a loop
        elif accident == 3:
            path.symlink_to("nowhere")
        elif accident == 4:
            os.mkfifo(path)
        elif accident == 5:
            name = rng.choice(["8", "08", "٣", "-1", "x", ".bin", "0" * 200, "00.bin", "1e3"])
            with contextlib.suppress(OSError):  # there is one already
                path.rename(path.with_name(name))
        elif accident == 6 and path.is_file():
            path.write_bytes(path.read_bytes()[: rng.randrange(100)])
        elif accident == 7:
            os.rename(path, os.path.join(os.fsencode(path.parent), b"\xff\xfe.bin"))
        elif accident == 8 and path.is_dir():
            _remove(path)
            path.write_bytes(b"")


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def test_folders(tmp_path: Path) -> None:
    rng, right, taxonomy = random.Random(4), 0, load_taxonomy("semantic-kitti")
    for turn in range(FOLDERS):
        root = tmp_path / f"{turn}"
        for folder in ("sequences/00", "sequences/08"):
            for kind, name, size in (("velodyne", "000000.bin", 32), ("labels", "000000.label", 8)):
                (root / folder / kind).mkdir(parents=True)
                (root / folder / kind / name).write_bytes(bytes(size))
        folder_accidents(root, rng)
        dataset = attempt(partial(open_dataset, root, taxonomy), root)
        scans = None if dataset is None else attempt(dataset.scans, root)
        if dataset is None or scans is None:
            continue
        attempt(partial(dataset.scans, labelled=True), root)
        attempt(partial(fingerprint, scans), root)
        right += sum(attempt(partial(dataset.read, scan), root) is not None for scan in scans)
    assert right > FOLDERS * SOMETIMES_RIGHT

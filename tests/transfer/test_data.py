"""A study's scans: the splits a folder is given where none are stated, and the numbers of labelled scans."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lidartune.config import from_dict
from lidartune.errors import UserError
from lidartune.scans import open_dataset, read_points, write_labels, write_points
from lidartune.streetworld import WorldFolder
from lidartune.transfer.data import _derived_splits, check_rings, labelled_counts, open_study_data

SPLITS = {"train": [0, 1], "validation": [2], "test": [3]}


def semantic_kitti(root: Path, labelled: str, unlabelled: str = "", without_scans: str = "") -> Path:
    """A folder as it is after unpacking: calibration and poses of all sequences, points and labels of some."""
    for number in (labelled + " " + unlabelled).split():
        write_points(root / "sequences" / number / "velodyne" / "000000.bin", np.ones((3, 4)))
    for number in labelled.split():
        write_labels(root / "sequences" / number / "labels" / "000000.label", np.full(3, 10))
    for number in without_scans.split():
        (root / "sequences" / number).mkdir(parents=True)
        (root / "sequences" / number / "calib.txt").write_text("")
    return root


def test_sequences_of_which_only_the_calibration_is_there_are_left_out_of_derived_splits(tmp_path: Path) -> None:
    root = semantic_kitti(tmp_path, "00 01 02 08", unlabelled="11 12", without_scans="03 13 14 99")
    (root / "sequences/14/velodyne").mkdir()
    splits, notes = _derived_splits("real", open_dataset(root, "semantic-kitti"))
    assert (splits.train, splits.validation, splits.test) == (("00", "01"), ("02",), ("08",))
    assert "sequence 02 held out" in notes[0]


def test_a_folder_without_labels_is_answered_with_what_it_has(tmp_path: Path) -> None:
    root = semantic_kitti(tmp_path, "08", unlabelled="00", without_scans="01")
    with pytest.raises(UserError, match=r"(?s)names no splits.*labelled sequences 08\n.*next:"):
        _derived_splits("real", open_dataset(root, "semantic-kitti"))


@pytest.mark.parametrize("stated", [["all", "100%", 50], [50, "all"], [50]])
def test_whatever_means_all_scans_is_all(stated: list[int | str]) -> None:
    assert set(labelled_counts(stated, 50).values()) == {"all"}


def test_labelled_scans_are_numbers_where_they_are_not_all() -> None:
    assert labelled_counts(["1%", "10%", 5, 49, "all"], 50) == {"1%": 1, "10%": 5, 5: 5, 49: 49, "all": "all"}


def test_rows_by_ring_are_tried_before_anything_is_trained(tiny_world: WorldFolder, tmp_path: Path) -> None:
    root = tmp_path / "real"
    shutil.copytree(tiny_world.real, root)
    config = from_dict(
        {
            "name": "rings",
            "domains": {
                "synthetic": {"root": str(tiny_world.synthetic), "taxonomy": "synlidar", "splits": SPLITS},
                "real": {"root": str(root), "taxonomy": "semantic-kitti", "splits": SPLITS},
            },
            "canvas": {"height": 16, "rows": "ring"},
        }
    )
    data = open_study_data(config)
    check_rings(data, config.canvas)
    scan = data.domains["real"].train[0]
    write_points(scan.points, np.random.default_rng(0).permutation(read_points(scan.points)))
    check_rings(data, replace(config.canvas, rows="elevation"))
    with pytest.raises(UserError, match=rf"(?s){scan.points}.*canvas.rows=elevation"):
        check_rings(data, config.canvas)

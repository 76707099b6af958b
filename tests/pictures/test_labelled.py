"""What is known of one scan, and what is wrong with its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lidartune.errors import UserError
from lidartune.pictures.labelled import LabelledScan, label_path, read_labelled_scan, title_of
from lidartune.scans import load_taxonomy, write_labels, write_points
from lidartune.scoring import ConfusionMatrix

KITTI = load_taxonomy("semantic-kitti")
POINTS = np.array([[3, 0, 0, 0.1], [0, 4, 0, 0.2], [-5, 0, 0, 0.3], [0, -6, 1, 0.4]], dtype=np.float32)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Four points: car, road, road, unlabelled; predicted as car, road, sidewalk, car."""
    write_points(tmp_path / "08" / "velodyne" / "000002.bin", POINTS)
    write_labels(tmp_path / "08" / "labels" / "000002.label", np.array([10, 40, 40, 0]))
    write_labels(tmp_path / "08" / "predictions" / "000002.label", np.array([10, 40, 48, 10]))
    return tmp_path / "08"


def read(files: Path, labels: str | None = "labels", prediction: str | None = "predictions") -> LabelledScan:
    paths = [None if folder is None else files / folder / "000002.label" for folder in (labels, prediction)]
    points = files / "velodyne" / "000002.bin"
    return read_labelled_scan(points, taxonomy=KITTI, labels=paths[0], prediction=paths[1])


def test_figures_of_one_scan(files: Path) -> None:
    scan = read(files)
    assert scan.title == "sequence 08, scan 000002"
    assert scan.score_line() == "accuracy 66.7 %, mIoU 75.0 % over 2 classes"
    assert [(s.text, s.detail) for s in scan.class_swatches()] == [
        ("car", "truth 25.0 %   predicted 50.0 %   IoU 100.0 %"),
        ("road", "truth 50.0 %   predicted 25.0 %   IoU 50.0 %"),
        ("sidewalk", "truth 0 %   predicted 25.0 %"),
        ("ignored", "truth 25.0 %   predicted 0 %"),
    ]


def test_the_score_is_that_of_the_tables(scan: LabelledScan) -> None:
    assert scan.prediction is not None and scan.truth is not None
    confusion = ConfusionMatrix(20)
    confusion.add(scan.prediction, scan.truth)
    line = scan.score_line()
    assert line is not None
    assert f"accuracy {100 * confusion.accuracy():.1f} %" in line and f"mIoU {100 * confusion.miou():.1f} %" in line


def test_labels_or_a_prediction_alone_have_no_score(files: Path) -> None:
    for scan in (read(files, prediction=None), read(files, labels=None)):
        assert scan.score_line() is None and scan.outcomes is None
    assert [(s.text, s.detail) for s in read(files, prediction=None).class_swatches()][0] == ("car", "25.0 %")


def test_a_scan_without_a_labelled_point_has_no_score(files: Path) -> None:
    write_labels(files / "labels" / "000002.label", np.zeros(4, dtype=int))
    assert read(files).score_line() == "no labelled point, so no score"


def test_another_scans_prediction_is_refused(files: Path) -> None:
    write_labels(files / "predictions" / "000002.label", np.array([10, 40]))
    with pytest.raises(UserError, match=r"prediction file belongs to another scan[\s\S]*found: +2 ids[\s\S]*4, the"):
        read(files)


def test_unknown_ids_name_the_file(files: Path) -> None:
    write_labels(files / "predictions" / "000002.label", np.array([10, 40, 7, 7]))
    with pytest.raises(UserError, match=r"does not know[\s\S]*predictions/000002.label[\s\S]*id 7 \(2 points\)"):
        read(files)


def test_a_scan_without_points_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.bin").touch()
    with pytest.raises(UserError, match="no points"):
        read_labelled_scan(tmp_path / "empty.bin")


def test_titles_and_places_of_labels() -> None:
    assert title_of(Path("a/sequences/03/velodyne/000123.bin")) == "sequence 03, scan 000123"
    assert title_of(Path("a/some scan.bin")) == "some scan.bin"
    assert label_path(Path("/d/03/velodyne/000123.bin")) == Path("/d/03/labels/000123.label")

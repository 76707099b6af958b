"""`lidartune show`, as a user sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from lidartune.cli.show import show
from lidartune.errors import UserError
from lidartune.pictures.bands import OUTCOME_COLORS
from lidartune.pictures.labelled import LabelledScan, label_path
from lidartune.scans import CLASS_COLORS, load_taxonomy, read_labels, read_points, write_labels
from lidartune.scoring import ConfusionMatrix
from lidartune.scoring.predict import predict_points
from lidartune.scoring.trained import load_trained
from lidartune.streetworld import WorldFolder
from tests.runs.conftest import CELL, open_tiny, tiny_config

from .conftest import ROAD

Show = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Runs the command in an empty folder on a canvas of the tiny world's size; its output and its error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        size = ("--width", "256", "--height", "16")
        return CliRunner().invoke(show, [str(a) for a in (*arguments, *size)], catch_exceptions=True)

    return call


@pytest.fixture
def prediction(scan: LabelledScan, tmp_path: Path) -> Path:
    """The scan's prediction in raw ids, as `lidartune predict` writes it."""
    assert scan.prediction is not None and scan.taxonomy is not None
    path = tmp_path / "predictions" / "000000.label"
    write_labels(path, scan.taxonomy.to_raw(scan.prediction))
    return path


def amounts(path: str) -> dict[tuple[int, ...], int]:
    """Colour -> how many pixels of a picture have it."""
    counted = Image.open(path).convert("RGB").getcolors(1 << 24)
    assert counted is not None
    return {color: count for count, color in counted if isinstance(color, tuple)}


def message(result: Result) -> str:
    assert isinstance(result.exception, UserError), result.exception or result.output
    return str(result.exception)


def test_a_scan_alone_gives_range_and_remission_and_says_where_the_classes_are(run: Show, scan_path: Path) -> None:
    result = run(scan_path, "-o", "image.png")
    assert result.exit_code == 0, result.exception
    assert "picture  image.png" in result.output
    assert f"labels are in {label_path(scan_path)}: name their taxonomy" in result.output
    found = amounts("image.png")
    assert tuple(CLASS_COLORS[ROAD]) not in found
    assert Image.open("image.png").size[1] < 400, "two bands"


def test_with_a_taxonomy_the_classes_are_drawn(run: Show, scan_path: Path, scan: LabelledScan) -> None:
    result = run(scan_path, "-o", "image.png", "--taxonomy", "semantic-kitti")
    assert result.exit_code == 0 and "mIoU" not in result.output
    assert scan.truth is not None
    found = amounts("image.png")
    assert found[tuple(CLASS_COLORS[ROAD])] > 64 * 0.2 * (scan.truth == ROAD).sum()
    assert tuple(OUTCOME_COLORS[2]) not in found


def test_no_labels_leaves_them_out(run: Show, scan_path: Path) -> None:
    result = run(scan_path, "-o", "image.png", "--taxonomy", "semantic-kitti", "--no-labels")
    assert result.exit_code == 0 and "labels" not in result.output
    assert tuple(CLASS_COLORS[ROAD]) not in amounts("image.png")


def test_a_prediction_is_scored_and_its_errors_are_drawn(
    run: Show, scan_path: Path, prediction: Path, scan: LabelledScan
) -> None:
    result = run(scan_path, "-o", "image.png", "--taxonomy", "semantic-kitti", "--prediction", prediction)
    assert result.exit_code == 0, result.exception
    assert scan.confusion is not None
    figures = f"accuracy {100 * scan.confusion.accuracy():.1f} %, mIoU {100 * scan.confusion.miou():.1f} %"
    assert figures in result.output
    found = amounts("image.png")
    assert found[tuple(OUTCOME_COLORS[1])] > found[tuple(OUTCOME_COLORS[2])] > 1000


def test_labels_elsewhere(run: Show, scan_path: Path, prediction: Path) -> None:
    result = run(scan_path, "-o", "image.png", "--taxonomy", "semantic-kitti", "--labels", prediction)
    assert result.exit_code == 0 and tuple(CLASS_COLORS[ROAD]) in amounts("image.png")


def test_a_scan_without_labels_is_shown_without(run: Show, scan_path: Path, tmp_path: Path) -> None:
    (tmp_path / "bare.bin").write_bytes(scan_path.read_bytes())
    result = run(tmp_path / "bare.bin", "-o", "image.png", "--taxonomy", "semantic-kitti")
    assert result.exit_code == 0 and "no labels at" in result.output and Path("image.png").exists()


def test_a_page_alone_or_both(run: Show, scan_path: Path) -> None:
    result = run(scan_path, "--html", "pages/page.html", "--taxonomy", "semantic-kitti")
    assert result.exit_code == 0 and "page     pages/page.html" in result.output
    assert "<title>sequence" in Path("pages/page.html").read_text()
    assert run(scan_path, "--html", "page.html", "-o", "image.png").exit_code == 0
    assert Path("page.html").exists() and Path("image.png").exists()


def show_it(*arguments: object) -> Result:
    return CliRunner().invoke(show, [str(a) for a in arguments])


def filled(result: Result) -> float:
    return float(re.findall(r"([\d.]+) % filled", result.output)[0])


def test_a_canvas_of_another_size(scan_path: Path, tmp_path: Path) -> None:
    size = ["--width", "300", "--height", "20", "--fov-up", "10", "--fov-down", "-30"]
    result = show_it(scan_path, "-o", tmp_path / "image.png", *size)
    assert "20 x 300 pixels" in result.output and "+10 to -30 degrees" in result.output
    assert "canvas " not in result.output, "all of it was given"


def test_a_scan_stored_ring_by_ring_gets_its_own_rings_and_rays(scan_path: Path, tmp_path: Path) -> None:
    result = show_it(scan_path, "-o", tmp_path / "image.png")
    size = re.findall(r"canvas   the scan's own 16 rings and (2\d\d) rays a turn\n", result.output)
    assert size and f"16 x {size[0]} pixels" in result.output and filled(result) > 60
    result = show_it(scan_path, "-o", tmp_path / "image.png", "--width", "128")
    assert "16 x 128 pixels" in result.output and "with --width as given" in result.output
    unordered = read_points(scan_path)
    np.random.default_rng(0).shuffle(unordered)
    unordered.tofile(tmp_path / "unordered.bin")
    result = show_it(tmp_path / "unordered.bin", "-o", tmp_path / "image.png")
    assert "64 x 2048 pixels" in result.output and "+3 to -25 degrees" in result.output
    assert re.search(r"hint     less than 10 % of the pixels are filled: try ", result.output)
    assert "hint" not in show_it(tmp_path / "unordered.bin", "--html", tmp_path / "page.html").output


def test_scans_of_an_hdl_64_keep_the_usual_canvas_so_that_pictures_compare(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "semantic-kitti-mini" / "sequences" / "08" / "velodyne" / "000002.bin"
    result = show_it(path, "-o", tmp_path / "image.png")
    assert "64 x 2048 pixels" in result.output and "+3 to -25 degrees" in result.output
    assert "canvas " not in result.output and "hint" not in result.output and "warning" not in result.output


@pytest.mark.parametrize("size", [("--width", 16385), ("--width", 0), ("--height", 513), ("--height", -1)])
def test_a_canvas_beyond_reason_is_refused(scan_path: Path, tmp_path: Path, size: tuple[str, int]) -> None:
    result = show_it(scan_path, "-o", tmp_path / "image.png", *size)
    assert result.exit_code != 0 and f"Invalid value for '{size[0]}'" in result.output
    assert not (tmp_path / "image.png").exists()


def test_a_file_of_labels_is_no_scan(run: Show, scan_path: Path) -> None:
    text = message(run(label_path(scan_path), "-o", "image.png"))
    assert "file of labels, not of points" in text and str(label_path(scan_path)) in text
    assert not Path("image.png").exists()


def test_a_picture_that_shows_few_of_the_points_says_so(run: Show, scan_path: Path, tmp_path: Path) -> None:
    assert "warning" not in run(scan_path, "-o", "image.png").output
    ids = np.fromfile(label_path(scan_path), "<f4")
    ids[: len(ids) // 4 * 4].tofile(tmp_path / "labels.bin")
    result = run("labels.bin", "-o", "image.png")
    assert re.search(r"warning  only \d+ of [\d,]+ points are in the picture", result.output)


def test_errors_of_the_canvas_name_the_options(scan_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "image.png"
    text = message(show_it(scan_path, "-o", target, "--rows", "ring", "--height", "15"))
    assert "where:  --rows ring" in text and "16 rings" in text and "next:   add --height 16" in text
    assert "where:  --fov-up, --fov-down" in message(show_it(scan_path, "-o", target, "--fov-up", "nan"))
    assert show_it(scan_path, "-o", target, "--rows", "ring").exit_code == 0


def test_rows_by_ring_hide_fewer_points(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "semantic-kitti-mini" / "sequences" / "08" / "velodyne" / "000002.bin"
    arguments = [str(path), "-o", str(tmp_path / "image.png")]
    shown = {
        rows: re.findall(r"([\d.]+) % of them shown", CliRunner().invoke(show, [*arguments, "--rows", rows]).output)
        for rows in ("elevation", "ring")
    }
    assert float(shown["ring"][0]) > float(shown["elevation"][0]) + 5


def test_a_run_predicts_on_the_spot(tiny_world: WorldFolder, scan_path: Path, tmp_path: Path) -> None:
    study = open_tiny(tiny_config(tiny_world))
    milestone = study.plan.roles[CELL]["pretrained"]
    study.carry_out(milestone, tmp_path / "results", [1, 2])
    run = tmp_path / "results" / "runs" / milestone.run
    arguments = [str(scan_path), "-o", str(tmp_path / "image.png"), "--run", str(run)]

    network = load_trained(str(run), 1, torch.device("cpu"))
    confusion = ConfusionMatrix(20)
    truth = load_taxonomy("semantic-kitti").to_common(read_labels(label_path(scan_path)))
    confusion.add(predict_points(network, read_points(scan_path)), truth)

    result = CliRunner().invoke(show, [*arguments, "--epoch", "1", "--taxonomy", "semantic-kitti"])
    assert result.exit_code == 0, result.exception
    assert f"accuracy {100 * confusion.accuracy():.1f} %, mIoU {100 * confusion.miou():.1f} %" in result.output
    assert "16 x 64 pixels" in result.output, "the canvas is the run's where none is named"

    unscored = CliRunner().invoke(show, arguments)
    assert unscored.exit_code == 0 and "accuracy" not in unscored.output, "the run's classes, no labels without a map"
    assert "name their taxonomy" in unscored.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to write is named"),
        (("-o", "image.jpg"), "another ending"),
        (("--html", "page.png"), "another ending"),
        (("-o", "i.png", "--labels", "x.label"), "ids without a taxonomy mean nothing"),
        (("-o", "i.png", "--prediction", "x.label"), "semantic-kitti"),
        (("-o", "i.png", "--labels", "x.label", "--no-labels"), "cannot go together"),
        (("-o", "i.png", "--prediction", "x", "--run", "y"), "cannot go together"),
        (("-o", "i.png", "--epoch", "3"), "--run"),
        (("-o", "i.png", "--taxonomy", "kitti"), "did you mean"),
        (("-o", "i.png", "--taxonomy", "semantic-kitti", "--labels", "none.label"), "none.label"),
        (("-o", "i.png", "--taxonomy", "semantic-kitti", "--prediction", "none.label"), "none.label"),
        (("-o", "i.png", "--run", "results/runs/none-123"), "no such run"),
        (("-o", "i.png", "--fov-up", "-40"), "field of view"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(
    run: Show, scan_path: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = set(tmp_path.iterdir())
    assert said in message(run(scan_path, *arguments))
    assert set(tmp_path.iterdir()) == before


def test_a_missing_or_broken_scan(run: Show, tmp_path: Path) -> None:
    assert "there is no such file of points" in message(run("nothing.bin", "-o", "image.png"))
    (tmp_path / "broken.bin").write_bytes(b"123")
    assert "no whole file of points" in message(run("broken.bin", "-o", "image.png"))
    assert "directory" in message(run(tmp_path, "-o", "image.png"))
    assert not (tmp_path / "image.png").exists()


def test_a_prediction_of_another_scan(run: Show, scan_path: Path, prediction: Path) -> None:
    write_labels(prediction, np.array([40, 40]))
    text = message(run(scan_path, "-o", "image.png", "--taxonomy", "semantic-kitti", "--prediction", prediction))
    assert "belongs to another scan" in text and str(prediction) in text and not Path("image.png").exists()


def test_ids_of_another_dataset(run: Show, scan_path: Path) -> None:
    text = message(run(scan_path, "-o", "image.png", "--taxonomy", "synlidar"))
    assert "does not know" in text and str(label_path(scan_path)) in text


def test_what_was_there_stays_when_nothing_can_be_written(run: Show, scan_path: Path, tmp_path: Path) -> None:
    (tmp_path / "image.png").mkdir()
    assert "image.png" in message(run(scan_path, "-o", "image.png"))
    assert [p.name for p in tmp_path.iterdir()] == ["image.png"]


def test_a_scan_of_nothing_but_nan_is_shown_empty(run: Show, tmp_path: Path) -> None:
    np.full((5, 4), np.nan, dtype="<f4").tofile(tmp_path / "nan.bin")
    result = run("nan.bin", "-o", "image.png", "--html", "page.html")
    assert result.exit_code == 0, result.exception
    assert "0 % of them shown" in result.output


def test_real_scans_in_their_own_classes(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "semantic-kitti-mini" / "sequences" / "08" / "velodyne" / "000002.bin"
    arguments = [str(path), "-o", str(tmp_path / "image.png"), "--html", str(tmp_path / "page.html")]
    for taxonomy in ("semantic-kitti", "semantic-kitti-moving"):
        result = CliRunner().invoke(show, [*arguments, "--taxonomy", taxonomy])
        assert result.exit_code == 0, result.exception
        assert "124,478 points, 79" in result.output
        width, height = Image.open(tmp_path / "image.png").size
        assert 1400 <= width <= 2112 and height < 1080
        found = amounts(str(tmp_path / "image.png"))
        known = load_taxonomy(taxonomy)
        assert found[tuple(known.colors[known.names.index("road")].tolist())] > 2 * 20_000
    assert (tmp_path / "page.html").stat().st_size < 4e6

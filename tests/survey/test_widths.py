"""Canvas widths against brute force, the advice that follows from known figures, and the figure."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lidartune.canvas import Sensor, neighbour_vote, project
from lidartune.errors import UserError
from lidartune.scans import Dataset, open_dataset, write_labels, write_points
from lidartune.scoring import ConfusionMatrix
from lidartune.streetworld import WorldFolder
from lidartune.survey.width_advice import verdicts
from lidartune.survey.width_drawing import width_data
from lidartune.survey.widths import WidthFigures, draw_widths, measure_widths, widths_advice, widths_table

WIDTHS = [64, 128, 256, 512]


def real(tiny_world: WorldFolder) -> Dataset:
    return open_dataset(tiny_world.real, "semantic-kitti")


def synthetic(tiny_world: WorldFolder) -> Dataset:
    return open_dataset(tiny_world.synthetic, "synlidar")


def measured(dataset: Dataset, widths: list[int] = WIDTHS, processes: int = 1) -> list[WidthFigures]:
    return measure_widths(
        dataset, dataset.scans(), height=16, fov_up_deg=3.0, fov_down_deg=-25.0, widths=widths, processes=processes,
        progress=False,
    )  # fmt: skip


def pixel_of(point: np.ndarray, width: int) -> tuple[int, int] | None:
    """A point's pixel on 16 rows by the formulas of the projection, in plain numpy."""
    x, y, z, remission = point.astype(np.float64)
    distance = np.sqrt(x * x + y * y + z * z)
    if not (np.isfinite([x, y, z, remission]).all() and distance > 0):
        return None
    column = int(0.5 * (1 - np.arctan2(y, x) / np.pi) * width) % width
    row = int(np.floor((3.0 - np.degrees(np.arcsin(z / distance))) / 28.0 * 16))
    return min(max(row, 0), 15), column


@pytest.mark.parametrize("width", [64, 150])
def test_counts_are_those_of_a_loop_over_all_points(tiny_world: WorldFolder, width: int) -> None:
    dataset = synthetic(tiny_world)
    points = usable = shown = hidden_behind_another = 0
    for scan in dataset.scans():
        cloud, classes = dataset.read(scan)
        nearest: dict[tuple[int, int], int] = {}
        pixels = [pixel_of(point, width) for point in cloud]
        ranges = np.linalg.norm(cloud[:, :3].astype(np.float64), axis=1).astype(np.float32)
        for i, pixel in enumerate(pixels):
            if pixel is not None and (pixel not in nearest or ranges[i] < ranges[nearest[pixel]]):
                nearest[pixel] = i
        points += len(cloud)
        usable += sum(pixel is not None for pixel in pixels)
        shown += len(nearest)
        hidden_behind_another += sum(p is not None and classes[nearest[p]] != classes[i] for i, p in enumerate(pixels))
    (found,) = measured(dataset, [width])
    assert (found.scans, found.points, found.usable, found.shown) == (8, points, usable, shown)
    assert found.other_class == hidden_behind_another > 0
    assert (found.hidden, found.lost, found.pixels) == (usable - shown, points - shown, 8 * 16 * width)
    assert found.fill == shown / (8 * 16 * width)


def test_the_ceiling_is_the_true_pixels_through_the_vote(tiny_world: WorldFolder) -> None:
    dataset = real(tiny_world)
    expected = ConfusionMatrix(20)
    for scan in dataset.scans():
        cloud, classes = dataset.read(scan)
        canvas = project(cloud, Sensor(16, 128, 3.0, -25.0))
        image = np.zeros((16, 128), np.uint8)
        for row, column in np.argwhere(canvas.mask):
            image[row, column] = classes[canvas.index[row, column]]
        expected.add(neighbour_vote(canvas, cloud, image), classes)
    (found,) = measured(dataset, [128])
    assert (found.ceiling.matrix == expected.matrix).all()
    assert 0.5 < found.ceiling.miou() < 1


def test_a_planted_scan_is_counted_point_by_point(tmp_path: Path) -> None:
    """Road behind a car, road behind road, a point alone, one that is not finite, one at the origin."""
    cloud = [[5, 0, -1, 0.1], [10, 0, -2, 0.1], [5, 9, -1, 0.1], [10, 18, -2, 0.1], [-7, 3, -1, 0.1], [np.nan, 1, 1, 0]]
    write_points(tmp_path / "00/velodyne/000000.bin", np.array([*cloud, [0, 0, 0, 0.5]], np.float32))
    write_labels(tmp_path / "00/labels/000000.label", np.array([10, 40, 40, 40, 70, 40, 40]))
    (found,) = measured(open_dataset(tmp_path, "semantic-kitti"), [64])
    assert (found.points, found.usable, found.shown, found.hidden, found.lost) == (7, 5, 3, 2, 4)
    assert found.other_class == 1
    assert found.as_dict()["other_class_share"] == 1 / 7


def test_two_processes_and_another_order_give_the_same(tiny_world: WorldFolder) -> None:
    dataset = real(tiny_world)
    once, again = measured(dataset), measured(dataset, [512, 64, 128, 256, 64], processes=2)
    assert [f.width for f in again] == WIDTHS
    assert [f.as_dict() for f in once] == [f.as_dict() for f in again]
    assert all((a.ceiling.matrix == b.ceiling.matrix).all() for a, b in zip(once, again, strict=True))


def test_what_cannot_be_measured_is_a_message(tiny_world: WorldFolder) -> None:
    with pytest.raises(UserError, match="no canvas widths"):
        measured(real(tiny_world), [])
    with pytest.raises(UserError, match="width must be a positive"):
        measured(real(tiny_world), [0])
    with pytest.raises(UserError, match=r"(?s)does not know.*\.label"):
        measured(open_dataset(tiny_world.real, "synlidar"))


def test_a_width_beyond_the_sensors_columns_only_adds_empty_pixels(tiny_world: WorldFolder) -> None:
    figures = measured(synthetic(tiny_world))  # 256 columns
    assert verdicts(figures)[-1] == "too wide" and verdicts(figures)[-2] == "suits"
    assert figures[3].fill < 0.52 * figures[2].fill
    text = "\n".join(widths_advice({"streets": figures}))
    assert "streets: 256 suits" in text
    assert "streets: 512 is too wide: of the pixels that 512 adds to 256, 0." in text
    assert "64 and 128 are too narrow" in text


def made_up(width: int, shown: int, ceiling: float) -> WidthFigures:
    """100 scans of 100 points on one row; a ceiling given in per cent of right points of one class."""
    matrix = ConfusionMatrix(3)
    right = round(100 * ceiling)
    matrix.matrix[1, 1], matrix.matrix[1, 2] = right, 10_000 - right
    return WidthFigures(
        width=width, height=1, scans=100, points=10_000, usable=10_000, shown=shown, other_class=500, ceiling=matrix
    )


def test_verdicts_follow_from_fill_and_ceilings() -> None:
    kinds = ["too narrow", "suits", "wider than needed", "too wide"]
    rising = [made_up(10, 900, 80), made_up(20, 1800, 99), made_up(40, 3000, 99.4), made_up(80, 3100, 99.9)]
    assert verdicts(rising) == kinds
    assert verdicts([made_up(10, 900, 80), made_up(20, 1800, 90), made_up(40, 3000, 99)]) == [kinds[0], *kinds[:2]]
    assert verdicts([made_up(10, 900, 80), made_up(20, 1000, 90)]) == ["suits", "too wide"]
    nothing = made_up(10, 900, 80)
    nothing.ceiling.matrix[:] = 0
    assert verdicts([nothing]) == ["n/a"] and verdicts([]) == []
    assert "no labelled points" in widths_advice({"bare": [nothing]})[0]


def test_advice_answers_whether_a_width_is_too_big_for_a_domain() -> None:
    """One scanner with 20 columns, one with 80: no width serves both, and the reasons are said."""
    coarse = [made_up(10, 1000, 80), made_up(20, 1950, 95), made_up(40, 2000, 94)]
    fine = [made_up(10, 900, 60), made_up(20, 1800, 80), made_up(40, 3400, 95)]
    lines = widths_advice({"coarse": coarse, "fine": fine})
    text = "\n".join(lines)
    assert "coarse: 20 suits" in text and "95.0 %" in text
    assert "coarse: 40 is too wide: of the pixels that 40 adds to 20, 2.5 % show a further point" in text
    assert "fine: 40 suits: the ceiling still rises" in text
    assert "fine: 10 and 20 are too narrow: -35.0 and -15.0 mIoU points of ceiling against 40" in text
    pairs = "10: 100.0 % and 90.0 %; 20: 97.5 % and 90.0 %; 40: 50.0 % and 85.0 %"
    assert f"coarse and fine are not filled alike at {pairs}" in text
    assert "no width serves both: 20 is the widest that is too wide for neither, and too narrow for fine" in text
    alike = widths_advice({"a": fine, "b": fine})
    assert any("take 40, the narrowest that serves both" in line for line in alike)
    assert any("filled alike (10: 90.0 % and 90.0 %" in line for line in alike)
    assert "name several widths" in widths_advice({"a": fine[:1]})[0]


def test_holes_tell_two_domains_apart_by_the_share_of_empty_pixels() -> None:
    text = "\n".join(widths_advice({"a": [made_up(100, 9660, 90)], "b": [made_up(100, 7900, 90)]}))
    assert "not filled alike at 100: 96.6 % and 79.0 %" in text
    text = "\n".join(widths_advice({"a": [made_up(100, 900, 90)], "b": [made_up(100, 600, 90)]}))
    assert "filled alike (100: 9.0 % and 6.0 %)" in text  # 91 and 94 % are empty


def test_the_sensors_own_width_is_asked_for() -> None:
    figures = [made_up(20, 1900, 80), made_up(40, 3600, 90)]
    assert "a: the sensor has 1,024 rays a turn: measure 1024 too." in widths_advice({"a": figures}, {"a": 1024})
    assert "a: the sensor has 1,041 rays a turn: measure 1056 too." in widths_advice({"a": figures}, {"a": 1041})
    for rays in (36, 40, 45, None):
        assert not any("rays a turn" in line for line in widths_advice({"a": figures}, {"a": rays}))


def test_the_table_has_a_row_for_each_domain_and_width(tiny_world: WorldFolder) -> None:
    named = {"synthetic": measured(synthetic(tiny_world)), "real": measured(real(tiny_world))}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(widths_table(named))
    lines = [line for line in console.export_text().splitlines() if line.rstrip().endswith(("narrow", "suits", "wide"))]
    assert len(lines) == 8
    f = named["real"][0]
    cells = re.split("  +", lines[4].strip())
    shares = [f.fill, f.shown / f.points, f.lost / f.points, f.other_class / f.points, f.ceiling.miou()]
    assert cells == ["real", "64", *(f"{100 * v:.1f} %" for v in (*shares, f.ceiling.accuracy())), "too narrow"]


def test_the_figure_is_drawn_from_plain_data(tiny_world: WorldFolder, tmp_path: Path) -> None:
    named = {"synthetic": measured(synthetic(tiny_world)), "real": measured(real(tiny_world))}
    data = width_data(named)
    assert list(data["width"]) == WIDTHS * 2 and list(data["domain"].unique()) == ["synthetic", "real"]
    assert data["ceiling"][1] == named["synthetic"][1].ceiling.miou()
    assert list(data["suits"]) == [word == "suits" for figures in named.values() for word in verdicts(figures)]
    draw_widths(named, tmp_path / "a.svg")
    draw_widths(named, tmp_path / "b.svg")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    for words in ("synthetic", "real", "width that suits", "points behind another class [%]", "canvas width [pixels]"):
        assert f">{words}<" in text, words
    draw_widths(named, tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(UserError, match="SVG or a PNG"):
        draw_widths(named, tmp_path / "a.jpg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "b.svg", "new"]


def test_real_scans_keep_the_published_shares(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "semantic-kitti-mini", "semantic-kitti")
    figures = measure_widths(
        dataset, dataset.scans(), height=64, fov_up_deg=3.0, fov_down_deg=-25.0, widths=[512, 1024, 2048], processes=1,
        progress=False,
    )  # fmt: skip
    assert [f.shown / f.points for f in figures] == pytest.approx([0.21, 0.41, 0.79], abs=0.01)
    assert verdicts(figures) == ["too narrow", "too narrow", "suits"]

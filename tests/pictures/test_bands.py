"""What colours say: scales of numbers, classes, right and wrong; and who can tell them apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidartune.canvas import Canvas, project
from lidartune.pictures import bands
from lidartune.pictures.labelled import LabelledScan
from lidartune.pictures.scales import LEVELS, Scale, height_scale, range_scale, remission_scale
from lidartune.scans import CLASS_COLORS

from .color_vision import VISIONS, difference, lightness
from .conftest import SENSOR


@pytest.fixture(scope="module")
def canvas(scan: LabelledScan) -> Canvas:
    return project(scan.points, SENSOR)


def test_ranges_of_a_street_go_from_2_to_80_m_so_that_pictures_compare() -> None:
    scale = range_scale(np.geomspace(2.5, 79.0, 500))
    assert (scale.low, scale.high, scale.ticks) == (2.0, 80.0, (2.0, 5.0, 10.0, 20.0, 40.0, 80.0))


def test_a_sensor_that_sees_further_or_nearer_gets_a_wider_scale() -> None:
    assert range_scale(np.geomspace(0.6, 220.0, 500)).ticks == (0.5, 1, 2, 5, 10, 20, 40, 80, 150, 300)
    few = np.append(np.full(999, 10.0), 500.0)
    assert range_scale(few).high == 80.0, "one stray point does not squeeze all others together"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        (np.linspace(0, 1, 101), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (np.linspace(0, 0.41, 101), (0.0, 0.1, 0.2, 0.3, 0.4)),
        (np.linspace(0, 255, 256), (0.0, 50.0, 100.0, 150.0, 200.0, 250.0)),
        (np.full(10, 3.0), (0.0, 1.0, 2.0, 3.0)),
        (np.zeros(10), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (np.zeros(0), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ],
)
def test_remissions_of_any_unit_get_round_numbers(values: np.ndarray, ticks: tuple[float, ...]) -> None:
    scale = remission_scale(values)
    assert scale.ticks == ticks


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=30))
def test_every_number_has_a_colour_and_more_is_never_less(numbers: list[float]) -> None:
    values = np.sort(np.array(numbers, dtype=np.float64))
    scales = [remission_scale(values), height_scale(values), range_scale(np.abs(values))]
    for scale in scales:
        assert scale.low < scale.high and np.all(np.diff(scale.ticks) > 0)
        levels = scale.levels(values).astype(int)
        assert np.all(np.diff(levels) >= 0) and (not levels.size or 0 <= levels.min() <= levels.max() < LEVELS)


@pytest.mark.parametrize("scale", [range_scale(np.ones(1)), remission_scale(np.ones(1)), height_scale(np.ones(1))])
def test_lightness_alone_says_how_much_it_is(scale: Scale) -> None:
    steps = np.diff([lightness(color) for color in scale.table])
    assert np.all(steps > 0) or np.all(steps < 0)
    assert np.abs(steps).max() < 3 * np.abs(steps).mean(), "no step looks like an edge that is not there"


@pytest.mark.parametrize("vision", VISIONS)
def test_empty_pixels_look_like_no_value(vision: str) -> None:
    for scale in (range_scale(np.ones(1)), remission_scale(np.ones(1))):
        closest = min(difference(bands.EMPTY, color, vision) for color in scale.table)
        assert closest > (5 if vision == "no colours" else 10)


@pytest.mark.parametrize("vision", VISIONS)
def test_right_wrong_ignored_and_empty_are_told_apart_by_everybody(vision: str) -> None:
    colors = [*bands.OUTCOME_COLORS.tolist(), bands.EMPTY]
    least = min(difference(first, second, vision) for first, second in combinations(colors, 2))
    assert least > (10 if vision == "no colours" else 20)


def test_near_is_brighter_than_far(canvas: Canvas) -> None:
    band = bands.range_band(canvas)
    shown = canvas.image[0][canvas.mask]
    light = np.array([lightness(color) for color in band.pixels[canvas.mask]])
    assert light[shown < np.quantile(shown, 0.2)].min() > light[shown > np.quantile(shown, 0.8)].max()


def test_empty_pixels_are_empty_in_every_band(canvas: Canvas, scan: LabelledScan) -> None:
    assert scan.truth is not None and scan.prediction is not None and not canvas.mask.all()
    truth, prediction = (bands.on_canvas(c, canvas) for c in (scan.truth, scan.prediction))
    drawn = [
        bands.range_band(canvas),
        bands.remission_band(canvas),
        bands.class_band("classes", truth, canvas.mask, CLASS_COLORS),
        bands.error_band(prediction, truth, canvas.mask),
    ]
    for band in drawn:
        assert np.array_equal((band.pixels == bands.EMPTY).all(-1), ~canvas.mask), band.title


def test_a_pixel_shows_the_class_of_its_point(canvas: Canvas, scan: LabelledScan) -> None:
    assert scan.truth is not None
    band = bands.class_band("classes", bands.on_canvas(scan.truth, canvas), canvas.mask, CLASS_COLORS)
    for row, column in np.argwhere(canvas.mask)[::37]:
        point = canvas.index[row, column]
        assert band.pixels[row, column].tolist() == CLASS_COLORS[scan.truth[point]].tolist()


def test_errors_follow_the_rule_of_the_scores() -> None:
    truth = np.array([0, 0, 4, 4, 4, 7], dtype=np.uint8)
    prediction = np.array([0, 4, 4, 5, 0, 7], dtype=np.uint8)
    found = [bands.OUTCOMES[o] for o in bands.outcome(prediction, truth)]
    assert found == ["ignored", "ignored", "right", "wrong", "wrong", "right"]
    found = [bands.OUTCOMES[o] for o in bands.outcome(prediction, truth, ignore=(0, 7))]
    assert found[-1] == "ignored"


def test_the_key_of_the_errors_counts_them() -> None:
    truth = np.array([[0, 4, 4, 4, 4, 9]])
    band = bands.error_band(np.array([[4, 4, 4, 4, 5, 0]]), truth, np.array([[True] * 5 + [False]]))
    assert not isinstance(band.key, Scale)
    assert [(s.text, s.detail) for s in band.key] == [
        ("right", "75.0 %"), ("wrong", "25.0 %"), ("ignored", "20.0 % of all"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "total", "text"), [(0, 10, "0 %"), (1, 10, "10.0 %"), (1, 10**6, "< 0.1 %"), (0, 0, "n/a")]
)
def test_shares(count: int, total: int, text: str) -> None:
    assert bands.share(count, total) == text

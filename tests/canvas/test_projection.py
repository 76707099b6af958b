"""Projection against its definition, and what a user's odd scans and settings give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from lidartune.canvas import Sensor, project
from lidartune.errors import UserError
from lidartune.scans import read_points

from .brute import assert_pixels_equal, brute_canvas, brute_pixels
from .clouds import clouds, real_scan, sensors, street

HDL64 = Sensor(64, 512, 3.0, -25.0)


def point(azimuth_deg: float, elevation_deg: float, range_m: float = 10.0) -> list[float]:
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    flat = range_m * np.cos(elevation)
    return [flat * np.cos(azimuth), flat * np.sin(azimuth), range_m * np.sin(elevation), 0.5]


def check_against_definition(points: np.ndarray, sensor: Sensor) -> None:
    canvas = project(points, sensor)
    assert_pixels_equal(canvas, points, sensor)
    image, index = brute_canvas(points, brute_pixels(points, sensor)[0], canvas.row, canvas.column, sensor)
    np.testing.assert_array_equal(canvas.index, index)
    np.testing.assert_array_equal(canvas.mask, index >= 0)
    np.testing.assert_array_equal(canvas.image, image)
    dtypes = [a.dtype for a in (canvas.image, canvas.mask, canvas.index, canvas.row, canvas.column)]
    assert dtypes == [np.float32, np.bool_, np.int32, np.int32, np.int32]


@given(clouds(), sensors())
@settings(max_examples=300, deadline=None)
def test_equals_the_definition_on_odd_points(points: np.ndarray, sensor: Sensor) -> None:
    check_against_definition(points, sensor)


@pytest.mark.parametrize("fov_deg", [(-5, -40), (60, 10), (90, -90), (-89.5, -90), (0.25, 0)])
@pytest.mark.parametrize(("height", "width"), [(16, 64), (1, 7), (9, 1), (1, 1)])
def test_equals_the_definition_all_round(fov_deg: tuple[float, float], height: int, width: int) -> None:
    directions = np.random.default_rng(0).normal(size=(700, 4)) * 9
    check_against_definition(directions.astype(np.float32), Sensor(height, width, *fov_deg))


@pytest.mark.parametrize("width", [512, 2048])
def test_equals_the_definition_on_a_street(width: int) -> None:
    check_against_definition(street(20_000), Sensor(64, width, 3.0, -25.0))


def test_equals_the_definition_on_a_real_scan() -> None:
    points = read_points(real_scan())
    check_against_definition(points, Sensor(64, 2048, 3.0, -25.0))
    assert 0.70 < project(points, Sensor(64, 2048, 3.0, -25.0)).mask.sum() / len(points) < 0.85


def test_pixels_of_known_directions() -> None:
    sensor = Sensor(4, 8, 20.0, -20.0)
    points = np.array([point(a, e) for a, e in [(170, 15), (1, 5), (-1, -5), (-170, -15), (91, 5)]], np.float32)
    canvas = project(points, sensor)
    assert canvas.row.tolist() == [0, 1, 2, 3, 1]
    assert canvas.column.tolist() == [0, 3, 4, 7, 1]


def test_the_eight_directions_on_column_edges_are_exact() -> None:
    points = np.array([(-1, 0, 0, 0), (-1, 1, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0), (1, 0, 0, 0), (1, -1, 0, 0),
                       (0, -1, 0, 0), (-1, -1, 0, 0), (-1, -0.0, 0, 0)], np.float32)  # fmt: skip
    for scale in (1.0, 0.3, 77.7):
        columns = project(points * np.float32(scale), Sensor(4, 2048, 3.0, -25.0)).column
        assert columns.tolist() == [0, 256, 512, 768, 1024, 1280, 1536, 1792, 0]


def test_elevations_on_row_edges_are_exact() -> None:
    points = np.array([(0, 0, 1, 0), (1, 0, 1, 0), (1, 0, 0, 0), (0, -1, -1, 0), (0, 0, -1, 0)], np.float32)
    for scale in (1.0, 0.3, 77.7):
        rows = project(points * np.float32(scale), Sensor(4, 8, 90.0, -90.0)).row
        assert rows.tolist() == [0, 1, 2, 3, 3]


def test_a_sensor_that_only_looks_down_is_not_mirrored() -> None:
    canvas = project(np.array([point(10, -11.5), point(10, -18.5)], np.float32), Sensor(10, 8, -10.0, -20.0))
    assert canvas.row.tolist() == [1, 8]


def test_rows_are_clamped() -> None:
    canvas = project(np.array([point(10, 80), point(10, -80)], np.float32), HDL64)
    assert canvas.row.tolist() == [0, 63]


def test_nearest_wins_ties_go_to_the_first_and_point_0_is_kept() -> None:
    canvas = project(np.array([point(10, 0, 5), point(10, 0, 9), point(10, 0, 5)], np.float32), HDL64)
    assert canvas.index[canvas.mask].tolist() == [0]
    assert canvas.row[0] == canvas.row[1] >= 0
    nearer_last = project(np.array([point(10, 0, 9), point(10, 0, 5)], np.float32), HDL64)
    assert nearer_last.index[nearer_last.mask].tolist() == [1]
    assert nearer_last.image[0][nearer_last.mask] == pytest.approx([5.0])


def test_unusable_points_land_nowhere() -> None:
    nan, inf = np.nan, np.inf
    rows = [[0, 0, 0, 1], [nan, 1, 1, 0], [1, inf, 1, 0], [1, 1, -inf, 0], [1, 1, 0, nan], [1, 1, 0, inf]]
    canvas = project(np.array([*rows, point(10, 0)], np.float32), HDL64)
    assert canvas.row[:-1].tolist() == canvas.column[:-1].tolist() == [-1] * 6
    assert canvas.index[canvas.mask].tolist() == [6]
    assert np.isfinite(canvas.image).all()
    assert (canvas.image[:, ~canvas.mask] == -1).all()


def test_no_points_give_an_empty_canvas() -> None:
    canvas = project(np.zeros((0, 4), np.float32), HDL64)
    assert not canvas.mask.any() and len(canvas.row) == 0 and (canvas.index == -1).all()


def test_shifting_by_whole_columns_rolls_the_image() -> None:
    points = street(3000)
    turned = points.copy()
    turned[:, 0], turned[:, 1] = -points[:, 1], points[:, 0]  # 90 degrees to the left, exactly
    first, second = project(points, HDL64), project(turned, HDL64)
    np.testing.assert_array_equal(np.roll(first.index, -128, axis=1), second.index)


def test_strided_float64_points_are_the_same_points() -> None:
    points = street(500)
    wide = np.zeros((500, 8))
    wide[:, ::2] = points
    np.testing.assert_array_equal(project(wide[:, ::2], HDL64).image, project(points, HDL64).image)


@pytest.mark.parametrize("shape", [(4,), (3, 3), (2, 5), (1, 2, 4)])
def test_points_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="points must be"):
        project(np.zeros(shape, np.float32), HDL64)


@pytest.mark.parametrize(
    ("sensor", "said"),
    [
        ((0, 512, 3, -25), "height"),
        ((64, -1, 3, -25), "width"),
        ((64, 512.0, 3, -25), "width"),
        ((True, 512, 3, -25), "height"),
        ((64, 512, -25, 3), "field of view"),
        ((64, 512, 3, 3), "field of view"),
        ((64, 512, 100, -25), "field of view"),
        ((64, 512, float("nan"), -25), "field of view"),
        ((64, 512, "3", -25), "field of view"),
        ((1 << 13, 1 << 13, 3, -25), "too many pixels"),
    ],
)
def test_impossible_sensors_are_refused(sensor: tuple, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Sensor(*sensor)

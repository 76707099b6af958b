"""The neighbour vote against its definition, case by case and on random scans."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.canvas import Sensor, neighbour_vote, neighbours, project, vote
from lidartune.errors import UserError
from lidartune.scans import read_points

from .brute import brute_neighbours, brute_pixels, brute_vote
from .clouds import clouds, real_scan, sensors, street

SENSOR = Sensor(4, 16, 20.0, -20.0)


def ring(ranges: dict[tuple[int, int], float], sensor: Sensor = SENSOR) -> np.ndarray:
    """One point at the middle of each named pixel (row, column), at the range given."""
    points = []
    for (row, column), distance in ranges.items():
        azimuth = math.pi * (1 - 2 * (column + 0.5) / sensor.width)
        span = sensor.fov_up_deg - sensor.fov_down_deg
        elevation = math.radians(sensor.fov_up_deg - span * (row + 0.5) / sensor.height)
        flat = distance * math.cos(elevation)
        points.append([flat * math.cos(azimuth), flat * math.sin(azimuth), distance * math.sin(elevation), 0.1])
    return np.array(points, np.float32)


def classes(votes: dict[tuple[int, int], int]) -> np.ndarray:
    image = np.zeros((SENSOR.height, SENSOR.width), np.uint8)
    for pixel, c in votes.items():
        image[pixel] = c
    return image


@given(clouds(), sensors(), st.sampled_from([1, 3, 5, 7]), st.data())
@settings(max_examples=150, deadline=None)
def test_equals_the_definition(points: np.ndarray, sensor: Sensor, window: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, min(window**2, 9)))
    sigma, cutoff = data.draw(st.sampled_from([0.5, 1.0, 3.0])), data.draw(st.sampled_from([1e-9, 0.5, 1.0, math.inf]))
    seed = data.draw(st.integers(0, 99))
    image = np.random.default_rng(seed).integers(0, 4, (sensor.height, sensor.width)).astype(np.uint8)
    canvas = project(points, sensor)
    found = neighbours(canvas, points, k=k, window=window, sigma=sigma, cutoff_m=cutoff)
    expected = brute_neighbours(canvas, brute_pixels(points, sensor)[0], k, window, sigma, cutoff)
    np.testing.assert_array_equal(found, expected)
    by_definition = brute_vote(expected, canvas, image)
    np.testing.assert_array_equal(vote(found, canvas, image), by_definition)
    together = neighbour_vote(canvas, points, image, k=k, window=window, sigma=sigma, cutoff_m=cutoff)
    np.testing.assert_array_equal(together, by_definition)


def check_a_scan(points: np.ndarray, sensor: Sensor) -> None:
    canvas = project(points, sensor)
    found = neighbours(canvas, points)
    some = np.random.default_rng(1).choice(len(points), 1500, replace=False)
    partial = type(canvas)(canvas.image, canvas.mask, canvas.index, canvas.row[some], canvas.column[some])
    expected = brute_neighbours(partial, brute_pixels(points[some], sensor)[0], 5, 5, 1.0, 1.0)
    np.testing.assert_array_equal(found[some], expected)
    image = np.random.default_rng(2).integers(0, 20, canvas.index.shape).astype(np.uint8)
    np.testing.assert_array_equal(vote(found, canvas, image)[some], brute_vote(expected, partial, image))


def test_equals_the_definition_on_a_street() -> None:
    check_a_scan(street(20_000), Sensor(64, 512, 3.0, -25.0))


def test_equals_the_definition_on_a_real_scan() -> None:
    check_a_scan(read_points(real_scan()), Sensor(64, 1024, 3.0, -25.0))


def test_azimuth_wraps_and_rows_do_not() -> None:
    points = ring({(0, 0): 10.0, (0, 15): 10.0, (0, 14): 10.0, (3, 0): 10.0})
    found = neighbours(project(points, SENSOR), points)
    assert set(found[0].tolist()) == {0, 15, 14, -1}
    assert set(found[3].tolist()) == {3 * 16, -1}


def test_empty_pixels_are_no_neighbours() -> None:
    points = ring({(1, 5): 0.4})  # within the cutoff of range 0 and of -1
    assert neighbours(project(points, SENSOR), points).tolist() == [[16 + 5, -1, -1, -1, -1]]


def test_the_cutoff_is_on_the_weighted_difference() -> None:
    points = ring({(1, 5): 10.0, (1, 6): 11.05, (1, 3): 11.05})
    found = neighbours(project(points, SENSOR), points)[0]
    assert set(found.tolist()) == {21, 22, -1}  # 1.05 m: 0.95 weighed beside the point, 1.03 two columns off


def test_a_hidden_point_asks_by_its_own_range() -> None:
    points = np.concatenate([ring({(1, 5): 5.0, (1, 6): 20.0, (1, 7): 20.0, (2, 6): 5.0}), ring({(1, 5): 20.0})])
    image = classes({(1, 5): 1, (1, 6): 2, (1, 7): 2, (2, 6): 1})
    assert neighbour_vote(project(points, SENSOR), points, image).tolist() == [1, 2, 2, 1, 2]


def test_ties_go_to_the_lowest_class() -> None:
    points = ring({(1, 5): 10.0, (1, 6): 10.0})
    assert neighbour_vote(project(points, SENSOR), points, classes({(1, 5): 7, (1, 6): 3})).tolist() == [3, 3]


def test_ignored_pixels_do_not_vote() -> None:
    points = ring({(1, 4): 10.0, (1, 5): 10.0, (1, 6): 10.0})
    assert neighbour_vote(project(points, SENSOR), points, classes({(1, 6): 9})).tolist() == [9, 9, 9]


def test_nobody_votes_gives_the_own_pixels_class() -> None:
    points = ring({(1, 5): 10.0})
    canvas = project(points, SENSOR)
    assert vote(np.full((1, 5), -1, np.int32), canvas, classes({(1, 5): 6})).tolist() == [6]
    assert vote(np.full((1, 5), -1, np.int32), canvas, classes({})).tolist() == [0]


def test_unusable_points_get_0() -> None:
    points = np.concatenate([ring({(1, 5): 10.0}), np.array([[np.nan, 1, 1, 0], [0, 0, 0, 0]], np.float32)])
    image = np.full((4, 16), 8, np.uint8)
    assert neighbour_vote(project(points, SENSOR), points, image).tolist() == [8, 0, 0]


def test_a_clean_image_gives_every_point_its_class() -> None:
    points = street(5000)
    image = np.full((64, 512), 255, np.uint8)
    assert (neighbour_vote(project(points, Sensor(64, 512, 3.0, -25.0)), points, image) == 255).all()


def test_own_pixels_may_be_given_as_an_array_and_classes_as_any_integers() -> None:
    points = street(3000)
    canvas = project(points, Sensor(64, 512, 3.0, -25.0))
    image = np.random.default_rng(0).integers(0, 20, (64, 512))
    found = neighbours(canvas, points)
    own = canvas.row.astype(np.int64) * 512 + canvas.column
    np.testing.assert_array_equal(vote(found, own, image), vote(found, canvas, image.astype(np.uint8)))


@pytest.mark.parametrize(
    "setting",
    [{"k": 0}, {"k": 26}, {"window": 4}, {"window": 0}, {"window": 33}, {"sigma": 0}, {"cutoff_m": 0}, {"k": 2.5},
     {"sigma": math.nan}, {"cutoff_m": math.nan}, {"cutoff_m": -1}],
)  # fmt: skip
def test_settings_without_sense_are_refused(setting: dict) -> None:
    points = ring({(1, 5): 10.0})
    with pytest.raises(UserError, match="the vote"):
        neighbours(project(points, SENSOR), points, **setting)


def test_what_does_not_fit_together_is_refused() -> None:
    points = street(100)
    canvas = project(points, SENSOR)
    with pytest.raises(ValueError, match="99 points"):
        neighbours(canvas, points[1:])
    with pytest.raises(ValueError, match="class image"):
        neighbour_vote(canvas, points, np.zeros((4, 8), np.uint8))
    with pytest.raises(ValueError, match="0..255"):
        neighbour_vote(canvas, points, np.full((4, 16), 256))
    with pytest.raises(ValueError, match="with 16 pixels"):
        vote(neighbours(canvas, points), canvas, np.zeros((1, 16), np.uint8))

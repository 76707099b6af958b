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

from .brute import bonnetal_vote, brute_neighbours, brute_pixels, brute_vote
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


def patches(draw: st.DrawFn, sensor: Sensor) -> np.ndarray:
    """Classes (H, W) in stripes, from none to all of them drawn anew: some windows hold one class, others many."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape = sensor.height, sensor.width
    stripes = np.broadcast_to(np.arange(sensor.width) // draw(st.integers(1, 16)) % 3, shape)
    drawn = rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 1.0]))
    return np.where(drawn, rng.integers(0, 4, shape), stripes + draw(st.integers(0, 1))).astype(np.uint8)


@st.composite
def votes(draw: st.DrawFn) -> dict:
    """The settings of a vote: windows wider than the canvas, more neighbours than it holds, no cutoff."""
    window = draw(st.sampled_from([1, 3, 5, 7]))
    return {
        "k": draw(st.integers(1, min(window**2, 13))),
        "window": window,
        "sigma": draw(st.sampled_from([0.5, 1.0, 3.0])),
        "cutoff_m": draw(st.sampled_from([1e-9, 0.5, 1.0, math.inf])),
    }


@given(clouds(), sensors(), votes(), st.sampled_from([1, 2, 3]), st.data())
@settings(max_examples=150, deadline=None)
def test_equals_the_definition(
    points: np.ndarray, sensor: Sensor, setting: dict, threads: int, data: st.DataObject
) -> None:
    image = patches(data.draw, sensor)
    canvas = project(points, sensor)
    found = neighbours(canvas, points, threads=threads, **setting)
    expected = brute_neighbours(canvas, brute_pixels(points, sensor)[0], **setting)
    np.testing.assert_array_equal(found, expected)
    by_definition = brute_vote(expected, canvas, image)
    np.testing.assert_array_equal(vote(found, canvas, image, threads=threads), by_definition)
    np.testing.assert_array_equal(neighbour_vote(canvas, points, image, threads=threads, **setting), by_definition)


@given(clouds(odd=False), sensors(), votes(), st.sampled_from([1, 2]), st.data())
@settings(max_examples=100, deadline=None)
def test_equals_lidar_bonnetal_where_asked(
    points: np.ndarray, sensor: Sensor, setting: dict, threads: int, data: st.DataObject
) -> None:
    points = points[np.any(points[:, :3] != 0, axis=1)]
    setting["cutoff_m"] = min(setting["cutoff_m"], 1e9)  # without one the order of empty pixels is open
    image = patches(data.draw, sensor)
    canvas = project(points, sensor)
    expected = bonnetal_vote(canvas, brute_pixels(points, sensor)[0], image, **setting)
    given_classes = neighbour_vote(canvas, points, image, rule="bonnetal", threads=threads, **setting)
    np.testing.assert_array_equal(given_classes, expected)
    found = neighbours(canvas, points, rule="bonnetal", **setting)
    np.testing.assert_array_equal(vote(found, canvas, image, rule="bonnetal", threads=threads), expected)


def check_a_scan(points: np.ndarray, sensor: Sensor) -> None:
    canvas = project(points, sensor)
    found = neighbours(canvas, points)
    some = np.random.default_rng(1).choice(len(points), 1500, replace=False)
    partial = type(canvas)(canvas.image, canvas.mask, canvas.index, canvas.row[some], canvas.column[some])
    expected = brute_neighbours(partial, brute_pixels(points[some], sensor)[0], 5, 5, 1.0, 1.0)
    np.testing.assert_array_equal(found[some], expected)
    image = np.random.default_rng(2).integers(0, 20, canvas.index.shape).astype(np.uint8)
    np.testing.assert_array_equal(vote(found, canvas, image)[some], brute_vote(expected, partial, image))


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("window", [7, 11])
def test_a_canvas_narrower_than_the_window_is_gone_round_many_times(width: int, window: int) -> None:
    points = (np.random.default_rng(0).normal(size=(60, 4)) * 5).astype(np.float32)
    sensor = Sensor(3, width, 60.0, -60.0)
    canvas = project(points, sensor)
    found = neighbours(canvas, points, k=30, window=window, cutoff_m=4.0)
    expected = brute_neighbours(canvas, brute_pixels(points, sensor)[0], 30, window, 1.0, 4.0)
    np.testing.assert_array_equal(found, expected)
    image = np.random.default_rng(1).integers(0, 4, (3, width)).astype(np.uint8)
    voted = neighbour_vote(canvas, points, image, k=30, window=window, cutoff_m=4.0)
    np.testing.assert_array_equal(voted, brute_vote(expected, canvas, image))


def test_equals_the_definition_on_a_street() -> None:
    check_a_scan(street(20_000), Sensor(64, 512, 3.0, -25.0))


def test_equals_the_definition_on_a_real_scan() -> None:
    check_a_scan(read_points(real_scan()), Sensor(64, 1024, 3.0, -25.0))


@pytest.mark.parametrize("rule", ["lidartune", "bonnetal"])
@pytest.mark.parametrize("cutoff_m", [1.0, math.inf])
def test_threads_change_nothing(rule: str, cutoff_m: float) -> None:
    points = street(20_001)
    canvas = project(points, Sensor(64, 512, 3.0, -25.0))
    image = np.where(np.random.default_rng(0).random((64, 512)) < 0.1, 5, np.arange(512) // 60).astype(np.uint8)
    found = [neighbours(canvas, points, cutoff_m=cutoff_m, rule=rule, threads=n) for n in (1, 2, 7)]
    voted = [vote(found[0], canvas, image, rule=rule, threads=n) for n in (1, 2, 7)]
    voted += [neighbour_vote(canvas, points, image, cutoff_m=cutoff_m, rule=rule, threads=n) for n in (1, 2, 7)]
    assert all(np.array_equal(found[0], other) for other in found)
    assert all(np.array_equal(voted[0], other) for other in voted)


def test_equals_lidar_bonnetal_on_a_street_and_says_other_things_at_the_seam() -> None:
    points, sensor = street(20_000), Sensor(64, 512, 3.0, -25.0)
    canvas = project(points, sensor)
    image = np.random.default_rng(0).integers(0, 20, (64, 512)).astype(np.uint8)
    theirs = neighbour_vote(canvas, points, image, rule="bonnetal")
    expected = bonnetal_vote(canvas, brute_pixels(points, sensor)[0], image, 5, 5, 1.0, 1.0)
    np.testing.assert_array_equal(theirs, expected)
    different = theirs != neighbour_vote(canvas, points, image)
    at_seam = (canvas.column < 2) | (canvas.column >= 510)
    nobody = vote(neighbours(canvas, points), canvas, (image > 0).astype(np.uint8)) == 0
    assert different[at_seam].mean() > 0.1
    assert not different[~at_seam & ~nobody].any()


def test_lidar_bonnetals_three_defects() -> None:
    seam = ring({(1, 0): 10.0, (1, 15): 10.0, (1, 14): 10.0})
    image = classes({(1, 0): 3, (1, 15): 7, (1, 14): 7})
    assert neighbour_vote(project(seam, SENSOR), seam, image).tolist() == [7, 7, 7]
    assert neighbour_vote(project(seam, SENSOR), seam, image, rule="bonnetal").tolist() == [3, 7, 7]
    near = ring({(0, 5): 0.9, (0, 6): 1.8, (0, 7): 1.8})  # the border's 0 m are nearer to it than its neighbours
    image = classes({(0, 5): 3, (0, 6): 7, (0, 7): 7})
    assert neighbour_vote(project(near, SENSOR), near, image)[0] == 7
    assert neighbour_vote(project(near, SENSOR), near, image, rule="bonnetal")[0] == 3
    alone = ring({(1, 5): 10.0})
    assert neighbour_vote(project(alone, SENSOR), alone, classes({})).tolist() == [0]
    assert neighbour_vote(project(alone, SENSOR), alone, classes({}), rule="bonnetal").tolist() == [1]


def test_without_a_cutoff_lidar_bonnetal_lets_empty_pixels_vote() -> None:
    alone = ring({(1, 5): 10.0})
    image = np.full((4, 16), 8, np.uint8)
    image[1, 5] = 3
    canvas = project(alone, SENSOR)
    assert neighbour_vote(canvas, alone, image, window=3, cutoff_m=math.inf).tolist() == [3]
    assert neighbour_vote(canvas, alone, image, window=3, cutoff_m=math.inf, rule="bonnetal").tolist() == [8]


def test_one_class_and_empty_pixels_of_others_is_settled() -> None:
    points = ring({(1, 5): 10.0, (1, 6): 30.0})
    image = np.full((4, 16), 9, np.uint8)
    image[1, 5:7] = 4
    assert neighbour_vote(project(points, SENSOR), points, image).tolist() == [4, 4]


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ((2, 5), [(0, 4), (0, 5), (0, 6)]),
        ((1, 5), [(3, 4), (3, 5), (3, 6)]),
        ((1, 5), [(0, 3), (1, 3), (2, 3)]),
        ((1, 5), [(0, 7), (1, 7), (2, 7)]),
        ((1, 0), [(0, 14), (1, 14), (2, 14)]),
        ((1, 15), [(0, 1), (1, 1), (2, 1)]),
    ],
)
def test_another_class_at_the_edge_of_the_window_is_heard(own: tuple, others: list[tuple]) -> None:
    points = ring({pixel: 10.0 for pixel in [own, *others]})
    image = classes({own: 4, **{pixel: 9 for pixel in others}})
    assert neighbour_vote(project(points, SENSOR), points, image)[0] == 9


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


def test_what_lies_just_at_the_cutoff_is_near() -> None:
    points = np.array([[10, 0, 0, 0], [0, 11, 0, 0]], np.float32)  # side by side on four columns, 1 m apart
    found = neighbours(project(points, Sensor(1, 4, 20.0, -20.0)), points, k=2, window=3, sigma=0.01, cutoff_m=1.0)
    assert found.tolist() == [[2, 1], [1, 2]]


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


def test_an_unknown_rule_and_no_threads_are_refused() -> None:
    points = ring({(1, 5): 10.0})
    canvas = project(points, SENSOR)
    with pytest.raises(UserError, match="did you mean 'bonnetal'"):
        neighbour_vote(canvas, points, classes({}), rule="lidar-bonnetal")
    for threads in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="threads"):
            neighbours(canvas, points, threads=threads)


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

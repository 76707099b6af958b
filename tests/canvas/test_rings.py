"""Rings: found in made-up files whose rings are known, in real ones, and put onto rows of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.canvas import Sensor, project, ring_numbers
from lidartune.errors import UserError
from lidartune.scans import read_points

from .brute import assert_pixels_equal, brute_canvas, brute_pixels
from .clouds import clouds, real_scan, sensors

UNUSABLE = [[0, 0, 0, 1], [math.nan, 1, 1, 0], [1, math.inf, 1, 0], [1, 1, 0, math.nan]]


def beams(turns: list[np.ndarray], *, seam: float = 0.0, clockwise: bool = False, up: bool = False) -> np.ndarray:
    """Points (N, 4) of one ring for each array of azimuths in turns after the seam, a degree and a half apart."""
    azimuth = np.concatenate(turns) * (-2 * math.pi if clockwise else 2 * math.pi) + seam
    number = np.repeat(np.arange(len(turns)), [len(t) for t in turns])
    elevation = np.radians(1.5 * (len(turns) / 3 - number)) * (-1 if up else 1)
    distance = np.random.default_rng(0).uniform(2, 50, len(azimuth))
    flat = distance * np.cos(elevation)
    xyz = [flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(elevation)]
    return np.stack([*xyz, np.full(len(azimuth), 0.5)], axis=1).astype(np.float32)


def lengths(turns: list[np.ndarray]) -> np.ndarray:
    return np.repeat(np.arange(len(turns)), [len(t) for t in turns])


@st.composite
def ring_files(draw: st.DrawFn) -> tuple[list[np.ndarray], np.ndarray]:
    """Rings that begin late, end early and have gaps of up to half a turn; either way round, from anywhere."""
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    turns = []
    for _ in range(draw(st.integers(1, 20))):
        begin, end = draw(st.sampled_from([0.001, 0.05, 0.2])), draw(st.sampled_from([0.999, 0.9, 0.75]))
        inside = rng.uniform(begin, end, draw(st.integers(20, 60)))
        gap = rng.uniform(0, 0.5)
        turns.append(np.sort(np.concatenate([[begin, end], inside[(inside < gap) | (inside > gap + 0.3)]])))
    points = beams(turns, seam=draw(st.floats(-7, 7)), clockwise=draw(st.booleans()), up=draw(st.booleans()))
    return turns, points


@given(ring_files(), st.integers(0, 99), st.integers(0, 20))
@settings(max_examples=300, deadline=None)
def test_rings_are_found_whatever_lies_between(
    file: tuple[list[np.ndarray], np.ndarray], seed: int, unusable: int
) -> None:
    turns, points = file
    rng = np.random.default_rng(seed)
    places = rng.integers(0, len(points) + 1, unusable)
    points = np.insert(points, places, rng.permutation(np.resize(UNUSABLE, (unusable, 4))), axis=0)
    numbers = ring_numbers(points)
    assert numbers.dtype == np.int32
    usable = np.isfinite(points).all(axis=1) & points[:, :3].any(axis=1)
    np.testing.assert_array_equal(numbers >= 0, usable)
    np.testing.assert_array_equal(numbers[usable], lengths(turns))


@given(clouds())
@settings(max_examples=200, deadline=None)
def test_points_in_any_order_give_rings_in_order(points: np.ndarray) -> None:
    numbers = ring_numbers(points)
    usable = brute_pixels(points, Sensor(4, 4, 10, -10))[1] >= 0
    np.testing.assert_array_equal(numbers >= 0, usable)
    told = numbers[usable]
    assert (np.diff(told) >= 0).all() and (np.diff(told) <= 1).all()
    assert len(told) == 0 or told[0] == 0


@pytest.mark.parametrize("clockwise", [False, True])
def test_jitter_around_the_seam_counts_once(clockwise: bool) -> None:
    rng = np.random.default_rng(3)
    turns = [np.linspace(0, 1, 400) + rng.normal(0, 0.002, 400) for _ in range(16)]
    numbers = ring_numbers(beams(turns, seam=1.0, clockwise=clockwise))
    assert numbers.max() == 15
    clear = (np.concatenate(turns) > 0.01) & (np.concatenate(turns) < 0.99)
    np.testing.assert_array_equal(numbers[clear], lengths(turns)[clear])


def test_a_scan_may_begin_before_the_seam_and_end_behind_it() -> None:
    full = np.linspace(0.001, 0.999, 300)
    turns = [np.concatenate([[-0.004, -0.002], full]), *[full] * 6, np.concatenate([full, [1.002, 1.004]])]
    assert ring_numbers(beams(turns)).max() == 7


def test_things_near_by_that_step_back_begin_no_ring() -> None:
    azimuth = np.linspace(0.001, 0.999, 300)
    parallax = np.where((azimuth > 0.3) & (azimuth < 0.4), azimuth + 0.04, azimuth)
    assert ring_numbers(beams([parallax] * 10)).max() == 9


def test_points_at_the_axis_begin_no_ring() -> None:
    points = beams([np.linspace(0.001, 0.999, 300)] * 10)
    points[np.arange(50, 3000, 100), :2] = [-0.01, -0.01]
    np.testing.assert_array_equal(ring_numbers(points), np.repeat(np.arange(10), 300))


def test_a_first_ring_with_a_quarter_only_does_not_move_the_seam() -> None:
    full = np.linspace(0.001, 0.999, 300)
    turns = [full[(full > 0.6) & (full < 0.85)], *[full] * 8, full[(full > 0.05) & (full < 0.95)]]
    np.testing.assert_array_equal(ring_numbers(beams(turns, seam=2.0)), lengths(turns))


def test_no_points_and_one_point() -> None:
    assert ring_numbers(np.zeros((0, 4), np.float32)).tolist() == []
    assert ring_numbers(np.array([[0, 0, 0, 0], [5, 0, 0, 0]], np.float32)).tolist() == [-1, 0]


@pytest.mark.parametrize("scan", [f"kitti-unlabelled/sequences/00/velodyne/00000{n}.bin" for n in (3, 5, 7, 9)])
def test_real_scans_have_64_rings(scan: str) -> None:
    points = read_points(real_scan(scan))
    numbers = ring_numbers(points)
    azimuth = np.arctan2(points[:, 1].astype(float), points[:, 0]) % (2 * np.pi)
    np.testing.assert_array_equal(numbers, np.cumsum(np.abs(np.diff(azimuth, prepend=azimuth[0])) > np.pi))
    assert numbers.max() == 63
    assert np.bincount(numbers).min() > 1000 and np.bincount(numbers).max() < 2200


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_real_scan_turned_or_mirrored_has_the_same_rings(quarters: int) -> None:
    points = read_points(real_scan())
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.linalg.matrix_power([[0, 1], [-1, 0]], quarters).astype(np.float32)
    np.testing.assert_array_equal(ring_numbers(turned), ring_numbers(points))
    mirrored = points * np.array([1, -1, 1, 1], np.float32)
    assert np.mean(ring_numbers(mirrored) == ring_numbers(points)) > 0.9999


def test_rows_by_ring_on_a_real_scan_show_more_points() -> None:
    points = read_points(real_scan())
    sensor = Sensor(64, 2048, 3.0, -25.0)
    canvas = project(points, replace(sensor, rows="ring"))
    np.testing.assert_array_equal(canvas.row, ring_numbers(points))
    assert project(points, sensor).mask.sum() < 0.82 * len(points) < 0.9 * len(points) < canvas.mask.sum()


@given(ring_files(), st.integers(1, 40), st.sampled_from([(3, -25), (-5, -40), (60, 10)]))
@settings(max_examples=150, deadline=None)
def test_rows_by_ring_equal_the_definition(
    file: tuple[list[np.ndarray], np.ndarray], width: int, fov_deg: tuple[int, int]
) -> None:
    turns, points = file
    share = 2 if len(turns) % 2 == 0 else 1
    sensor = Sensor(len(turns) // share, width, *fov_deg)
    number = lengths(turns)
    if len(turns) > 1 and points[0, 2] / np.hypot(*points[0, :2]) < points[-1, 2] / np.hypot(*points[-1, :2]):
        number = len(turns) - 1 - number
    canvas = project(points, replace(sensor, rows="ring"))
    np.testing.assert_array_equal(canvas.row, number // share)
    assert_pixels_equal(canvas, points, sensor, rows=False)
    image, index = brute_canvas(points, brute_pixels(points, sensor)[0], canvas.row, canvas.column, sensor)
    np.testing.assert_array_equal(canvas.index, index)
    np.testing.assert_array_equal(canvas.image, image)
    assert canvas.row.dtype == np.int32


@given(clouds(), sensors())
@settings(max_examples=100, deadline=None)
def test_any_points_by_ring_give_a_canvas_or_a_message(points: np.ndarray, sensor: Sensor) -> None:
    numbers = ring_numbers(points)
    rings = int(numbers.max(initial=-1)) + 1
    if rings % sensor.height or rings > 4 * sensor.height:
        with pytest.raises(UserError, match=rf"{rings:,} rings among [\s\S]* rows to \"elevation\""):
            project(points, replace(sensor, rows="ring"))
        return
    canvas = project(points, replace(sensor, rows="ring"))
    np.testing.assert_array_equal(canvas.row >= 0, numbers >= 0)
    assert canvas.row.max(initial=-1) < sensor.height


def test_points_in_no_order_are_refused_also_where_the_number_happens_to_fit() -> None:
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(40):
        points = rng.permutation(rng.normal(0, 10, (2000, 4)).astype(np.float32))
        with pytest.raises(UserError, match="rings among 2,000 points"):
            project(points, Sensor(2, 64, 30, -30, "ring"))
        refused += int(ring_numbers(points).max() + 1) % 2 == 0
    assert refused > 5, "some had an even number of rings"


def test_unknown_rows_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'ring'"):
        Sensor(4, 4, 10, -10, "rings")

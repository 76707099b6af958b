"""Mixed scans hold their inputs' points with their own labels, from where the method says."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.canvas import Sensor, project
from lidartune.training.mixing import LaserMix, Mixed, PolarMix, _in_sector, laser_mix, polar_mix

SEEDS = st.integers(0, 2**63 - 1)
SWAP = PolarMix(swap=1, paste=0)
PASTE = PolarMix(swap=0, paste=1)
Scan = tuple[np.ndarray, np.ndarray]


def scan(count: int, seed: int, first: int = 0) -> Scan:
    """Points whose remission is their number, from `first` on, and classes that follow from it."""
    rng = np.random.default_rng(seed)
    azimuth, elevation = rng.uniform(-np.pi, np.pi, count), np.radians(rng.uniform(-35, 12, count))
    flat = rng.uniform(2, 60, count)
    number = np.arange(first, first + count)
    points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), flat * np.tan(elevation), number], axis=1)
    return points.astype(np.float32), (number % 20).astype(np.uint8)


def azimuth(points: np.ndarray) -> np.ndarray:
    return np.arctan2(points[:, 1].astype(np.float64), points[:, 0].astype(np.float64))


def elevation_deg(points: np.ndarray) -> np.ndarray:
    x, y, z = points[:, :3].astype(np.float64).T
    return np.degrees(np.arctan2(z, np.hypot(x, y)))


def as_set(points: np.ndarray, truth: np.ndarray) -> Counter[tuple[float, ...]]:
    return Counter((*map(float, p), int(c)) for p, c in zip(points, truth, strict=True))


def check_kept(mixed: Mixed, a: Scan, b: Scan) -> None:
    """Every point is one of the inputs', with its own label, of the scan that it is said to be of, in order."""
    for chosen, (points, truth) in ((~mixed.from_b, a), (mixed.from_b, b)):
        number = mixed.points[chosen, 3].astype(int) - int(points[0, 3])
        assert np.array_equal(mixed.points[chosen], points[number])
        assert np.array_equal(mixed.truth[chosen], truth[number])
        assert np.all(np.diff(number) > 0), "each once, in order"
    assert np.all(np.diff(mixed.from_b.astype(int)) >= 0), "those of a come first"
    assert (mixed.points.dtype, mixed.truth.dtype, mixed.from_b.dtype) == (np.float32, np.uint8, bool)


@given(SEEDS, st.integers(1, 300), st.integers(1, 300), st.sampled_from([(2,), (3, 4, 5, 6), (31,)]))
@settings(max_examples=80, deadline=None)
def test_areas_of_laser_mix_alternate(seed: int, count_a: int, count_b: int, areas: tuple[int, ...]) -> None:
    a, b = scan(count_a, 1), scan(count_b, 2, first=1000)
    mixed = laser_mix(*a, *b, LaserMix(areas=areas), seed)
    check_kept(mixed, a, b)

    def sides(count: int) -> np.ndarray:
        """Which of two colours each point of a and b has, if the field of view has so many areas."""
        area = np.clip(np.floor((3 - elevation_deg(np.concatenate([a[0], b[0]]))) / (28 / count)), 0, count - 1)
        return area.astype(int) % 2 == 1

    is_b = np.arange(count_a + count_b) >= count_a
    kept = np.isin(np.concatenate([a[0], b[0]])[:, 3], mixed.points[:, 3])
    # a's points are kept in the areas of one colour, b's in those of the other
    fits = [count for count in areas for first in (False, True) if np.array_equal(kept, sides(count) ^ is_b ^ first)]
    assert fits, "no number of areas explains which points were kept"


def test_laser_mix_draws_every_number_of_areas_and_who_begins() -> None:
    ring = np.radians(np.linspace(2.99, -24.99, 2000))
    points = np.stack([np.cos(ring), 0 * ring, np.sin(ring), 0 * ring], axis=1).astype(np.float32)
    truth = np.ones(2000, np.uint8)
    seen = Counter()
    for seed in range(400):
        mixed = laser_mix(points, truth, points, truth, LaserMix(), seed)
        height = elevation_deg(mixed.points)
        from_b = mixed.from_b[np.argsort(-height, kind="stable")]
        seen[int(np.count_nonzero(np.diff(from_b))) + 1, bool(from_b[0])] += 1
    assert set(seen) == {(count, begins) for count in (3, 4, 5, 6) for begins in (False, True)}
    assert min(seen.values()) > 25


def test_an_area_of_laser_mix_holds_its_lower_edge() -> None:
    halves = LaserMix(areas=(2,), fov_up_deg=45, fov_down_deg=-45)
    points = np.array([[3, 4, 0, 0], [3, 4, 0.01, 0], [3, 4, -0.01, 0]], np.float32)
    for seed in range(8):
        mixed = laser_mix(points, np.arange(3), points[:0], np.arange(0), halves, seed)
        assert mixed.truth.tolist() in ([0, 1], [2]), "what is level belongs to the upper area"


@given(SEEDS, st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_laser_mix_of_a_scan_with_itself_is_the_scan(seed: int, count: int) -> None:
    a = scan(count, 3)
    a[0][: count // 10, :3] = 0  # points at the origin, as some datasets have them
    mixed = laser_mix(*a, *a, LaserMix(), seed)
    assert as_set(mixed.points, mixed.truth) == as_set(*a)


def test_laser_mix_interleaves_the_rows_of_a_canvas() -> None:
    sensor = Sensor(16, 64, 3.0, -25.0)
    a, b = scan(20_000, 5), scan(20_000, 6, first=100_000)
    mixed = laser_mix(*a, *b, LaserMix(areas=(4,)), 0)
    canvas = project(mixed.points, sensor)
    of_rows = [set(mixed.from_b[canvas.index[rows][canvas.mask[rows]]]) for rows in np.arange(16).reshape(4, 4)]
    assert of_rows in ([{True}, {False}] * 2, [{False}, {True}] * 2)


@given(SEEDS, st.floats(10, 350))  # the widest gap between 800 points is far below 10 degrees
@settings(max_examples=80, deadline=None)
def test_polar_mix_exchanges_one_sector(seed: int, width_deg: float) -> None:
    a, b = scan(400, 1), scan(400, 2, first=1000)
    mixed = polar_mix(*a, *b, replace(SWAP, sector_deg=width_deg), seed)
    check_kept(mixed, a, b)
    kept = [np.isin(points[:, 3], mixed.points[:, 3]) for points, _ in (a, b)]
    angles = np.concatenate([azimuth(a[0]), azimuth(b[0])])
    order = angles.argsort()
    inside = np.concatenate([~kept[0], kept[1]])[order]  # of the sector: a's points are gone, b's are there
    begins, ends = np.flatnonzero(inside & ~np.roll(inside, 1)), np.flatnonzero(inside & ~np.roll(inside, -1))
    assert len(begins) == len(ends) == 1, "one arc, also across the place where azimuths jump from pi to -pi"
    turn, at = 2 * math.pi, angles[order]
    first, last = at[begins[0]], at[ends[0]]
    before, after = at[begins[0] - 1], at[(ends[0] + 1) % len(at)]
    assert (last - first) % turn <= math.radians(width_deg) <= (after - before) % turn


@pytest.mark.parametrize(
    ("begin", "inside"),
    [
        (0.5, [True, True, False, False, False]),  # from azimuth 0 to below 180 degrees: the first edge only
        (0.75, [False, True, True, True, False]),
        (0.0, [False, False, True, True, True]),
        (0.25, [True, False, False, False, True]),
    ],
)
def test_a_sector_holds_its_first_edge_and_goes_on_beyond_pi(begin: float, inside: list[bool]) -> None:
    points = np.array([[1, 0], [0, 1], [-1, 0.0], [-1, -0.0], [0, -1]], np.float32)
    assert _in_sector(points, begin, 180.0).tolist() == inside


def test_sectors_begin_everywhere() -> None:
    at = np.linspace(-math.pi, math.pi, 361)[:-1]
    ring = np.stack([np.cos(at), np.sin(at), 0 * at, np.arange(360)], axis=1).astype(np.float32)
    nothing = np.zeros(360, np.uint8)
    hits = sum(
        np.bincount(polar_mix(ring[:0], nothing[:0], ring, nothing, SWAP, seed).points[:, 3].astype(int), minlength=360)
        for seed in range(400)
    )
    assert hits.min() > 140 and hits.max() < 260, "half of the sectors of 180 degrees hold each direction"


@given(SEEDS, st.integers(0, 3), st.sampled_from([(1, 2, 3), (19,), ()]))
@settings(max_examples=60, deadline=None)
def test_polar_mix_pastes_turned_copies_of_chosen_classes(seed: int, copies: int, classes: tuple[int, ...]) -> None:
    a, b = scan(100, 1), scan(150, 2, first=1000)
    mixed = polar_mix(*a, *b, replace(PASTE, classes=classes, turned_copies=copies), seed)
    assert np.array_equal(mixed.points[:100], a[0]) and np.array_equal(mixed.truth[:100], a[1])
    assert not mixed.from_b[:100].any() and mixed.from_b[100:].all()
    chosen = np.isin(b[1], classes)
    count = int(chosen.sum())
    assert len(mixed.points) == 100 + (copies + 1) * count
    for k in range(copies + 1):
        copy = slice(100 + k * count, 100 + (k + 1) * count)
        assert np.array_equal(mixed.truth[copy], b[1][chosen])
        assert np.array_equal(mixed.points[copy, 2:], b[0][chosen, 2:]), "heights and remissions stay"
        if not count:
            continue
        by = (azimuth(mixed.points[copy]) - azimuth(b[0][chosen])) % (2 * math.pi)
        part = 2 * math.pi / (copies + 1)
        if k == 0:
            assert np.array_equal(mixed.points[copy], b[0][chosen])
        else:
            assert (k - 1) * part - 1e-6 <= by[0] <= k * part + 1e-6
            assert np.allclose(np.exp(1j * by), np.exp(1j * by[0]), atol=1e-5), "all by the same angle"
        radii = [np.linalg.norm(p[:, :2].astype(np.float64), axis=1) for p in (mixed.points[copy], b[0][chosen])]
        assert np.allclose(*radii, rtol=1e-6)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_what_came_with_the_sector_is_not_pasted_once_more(seed: int) -> None:
    a, b = scan(200, 1), scan(200, 2, first=1000)
    both = polar_mix(*a, *b, PolarMix(swap=1, paste=1, turned_copies=0), seed)
    swapped = polar_mix(*a, *b, PolarMix(swap=1, paste=0, turned_copies=0), seed)
    added = as_set(both.points, both.truth) - as_set(swapped.points, swapped.truth)
    assert max(as_set(both.points, both.truth).values()) == 1
    assert set(both.points[both.from_b, 3]) >= set(b[0][np.isin(b[1], range(1, 9)), 3])
    assert all(1 <= point[-1] <= 8 for point in added)


def test_how_often_polar_mix_swaps_and_pastes() -> None:
    a, b = scan(50, 1), scan(50, 2, first=1000)
    mixed = [polar_mix(*a, *b, PolarMix(swap=0.3, paste=0.6, turned_copies=0), seed) for seed in range(500)]
    swapped = [(~m.from_b).sum() < 50 for m in mixed]
    pasted = [set(m.points[m.from_b, 3]) >= set(b[0][np.isin(b[1], range(1, 9)), 3]) for m in mixed]
    assert np.mean(swapped) == pytest.approx(0.3, abs=0.08) and np.mean(pasted) == pytest.approx(0.6, abs=0.08)


def test_with_all_off_polar_mix_gives_scan_a() -> None:
    a, b = scan(50, 1), scan(50, 2, first=1000)
    mixed = polar_mix(*a, *b, PolarMix(swap=0, paste=0), 3)
    assert np.array_equal(mixed.points, a[0]) and np.array_equal(mixed.truth, a[1]) and not mixed.from_b.any()


@given(SEEDS, st.booleans(), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_the_seed_decides_all_and_nothing_is_changed_in_place(
    seed: int, polar: bool, count_a: int, count_b: int
) -> None:
    a, b = scan(count_a, 1), scan(count_b, 2, first=1000)
    before = [array.copy() for array in (*a, *b)]
    mix = (
        (lambda: polar_mix(*a, *b, PolarMix(), seed)) if polar else (lambda: laser_mix(*a, *b, LaserMix(), seed))
    )
    first, again = mix(), mix()
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    first.points[:], first.truth[:] = -7, 99
    assert all(np.array_equal(array, kept) for array, kept in zip((*a, *b), before, strict=True))


@pytest.mark.filterwarnings("error")
def test_points_that_are_no_measurement_stay_such() -> None:
    points, truth = scan(40, 1)
    points[:9, :3] = np.array([[np.nan, 1, 1], [np.inf, np.inf, np.inf], [0, 0, 0]], np.float32).repeat(3, axis=0)
    for seed in range(8):
        assert len(laser_mix(points, truth, points, truth, LaserMix(), seed).points) == 40
        mixed = polar_mix(points, truth, points, truth, PolarMix(swap=1), seed)
        unusable = project(mixed.points, Sensor(16, 64, 3.0, -25.0)).row < 0
        assert np.array_equal(unusable, mixed.points[:, 3] < 9)


def test_settings_and_scans_that_cannot_be_are_refused() -> None:
    for settings_, said in [
        (lambda: LaserMix(areas=()), "at least 1"),
        (lambda: LaserMix(areas=(1,)), "greater than or equal to 2"),
        (lambda: LaserMix(fov_up_deg=-25, fov_down_deg=3), "fov_up_deg must be above"),
        (lambda: PolarMix(classes=(0, 1)), "greater than or equal to 1"),
        (lambda: PolarMix(sector_deg=360), "less than 360"),
        (lambda: PolarMix(paste=1.5), "less than or equal to 1"),
    ]:
        with pytest.raises(ValueError, match=said):
            settings_()
    points, truth = scan(5, 1)
    with pytest.raises(ValueError, match="classes"):
        laser_mix(points, truth[:4], points, truth, LaserMix(), 0)
    with pytest.raises(ValueError, match="two kinds"):
        polar_mix(points, truth, points, truth.astype(np.int64), PolarMix(), 0)

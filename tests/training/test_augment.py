"""Augmentation moves points as it says, takes their labels along, and is the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.canvas import Sensor, project
from lidartune.training.augment import JITTER_CUT, Augmentation, augmented

SENSOR = Sensor(16, 128, 3.0, -25.0)
SEEDS = st.integers(0, 2**63 - 1)
CHANGES = st.builds(
    Augmentation,
    rotate=st.booleans(),
    flip=st.sampled_from([0.0, 0.5, 1.0]),
    drop=st.sampled_from([0.0, 0.3, 0.9]),
    jitter_m=st.sampled_from([0.0, 0.02, 1.0]),
)


def numbered(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points whose remission is their number, and classes that follow from it."""
    rng = np.random.default_rng(seed)
    azimuth, elevation = rng.uniform(-np.pi, np.pi, count), rng.uniform(-0.4, 0.04, count)
    flat = rng.uniform(2, 60, count) * np.cos(elevation)
    number = np.arange(count)
    points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), flat * np.tan(elevation), number], axis=1)
    return points.astype(np.float32), (number % 20).astype(np.uint8)


def azimuth_of(points: np.ndarray) -> np.ndarray:
    return np.arctan2(points[:, 1].astype(np.float64), points[:, 0].astype(np.float64))


@settings(deadline=None)  # the first call compiles
@given(CHANGES, st.integers(0, 500), SEEDS)
def test_labels_stay_with_their_points_and_the_seed_decides_all(
    augmentation: Augmentation, count: int, seed: int
) -> None:
    points, truth = numbered(count)
    before = points.copy(), truth.copy()
    changed, classes = augmented(points, truth, augmentation, seed)
    number = changed[:, 3].astype(int)
    assert changed.dtype == np.float32 and classes.dtype == np.uint8
    assert np.array_equal(classes, number % 20) and np.all(np.diff(number) > 0), "in order, each point once"
    assert augmentation.drop > 0 or len(number) == count
    reach = JITTER_CUT * augmentation.jitter_m * np.sqrt(3) + 1e-4
    moved = np.linalg.norm(changed[:, :3], axis=1) - np.linalg.norm(points[number, :3], axis=1)
    assert np.all(np.abs(moved) <= reach)
    again = augmented(points, truth, augmentation, seed)
    assert np.array_equal(again[0], changed) and np.array_equal(again[1], classes)
    assert np.array_equal(points, before[0]) and np.array_equal(truth, before[1]), "nothing is changed in place"


@settings(deadline=None)  # the first call compiles
@given(SEEDS)
def test_a_turn_keeps_ranges_and_heights_and_rolls_the_canvas(seed: int) -> None:
    points, truth = numbered(300)
    turned, _ = augmented(points, truth, Augmentation(rotate=True), seed)
    assert np.array_equal(turned[:, 2:], points[:, 2:])
    flat = [np.hypot(*cloud[:, :2].astype(np.float64).T) for cloud in (points, turned)]
    np.testing.assert_allclose(flat[1], flat[0], rtol=1e-6)
    angle = (azimuth_of(turned) - azimuth_of(points)) % (2 * np.pi)
    apart = np.abs(angle - angle[0])
    assert np.minimum(apart, 2 * np.pi - apart).max() < 1e-5, "all by the same angle"
    before, after = project(points, SENSOR), project(turned, SENSOR)
    rolled = (before.column - after.column) % SENSOR.width - angle[0] / (2 * np.pi) * SENSOR.width
    off = np.abs((rolled + SENSOR.width / 2) % SENSOR.width - SENSOR.width / 2)
    assert off.max() < 1.0 + 1e-3, "each column by that angle, but for the rounding to whole columns"
    assert np.mean(before.row == after.row) > 0.99


def test_angles_fill_the_whole_circle() -> None:
    points, truth = numbered(1)
    ahead = np.array([[10.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    turned = [augmented(ahead, truth, Augmentation(rotate=True), seed)[0] for seed in range(400)]
    counts, _ = np.histogram([azimuth_of(cloud)[0] for cloud in turned], bins=8, range=(-np.pi, np.pi))
    assert counts.min() > 25


def test_a_flip_mirrors_the_canvas() -> None:
    points, truth = numbered(2000)
    flipped, classes = augmented(points, truth, Augmentation(flip=1.0), 5)
    assert np.array_equal(flipped, points * np.array([1, -1, 1, 1], dtype=np.float32))
    before, after = project(points, SENSOR), project(flipped, SENSOR)
    assert np.array_equal(after.image[[0, 1, 3, 4]], before.image[[0, 1, 3, 4]][..., ::-1])
    assert np.array_equal(classes, truth)


def test_a_flip_comes_as_often_as_it_should() -> None:
    points, truth = numbered(50)
    for probability in (0.0, 0.25, 1.0):
        sides = [
            bool(np.array_equal(augmented(points, truth, Augmentation(flip=probability), seed)[0], points))
            for seed in range(400)
        ]
        assert np.mean(sides) == pytest.approx(1 - probability, abs=0.08)


def test_the_share_that_is_dropped_lies_between_nothing_and_the_limit() -> None:
    points, truth = numbered(4000)
    shares = [1 - len(augmented(points, truth, Augmentation(drop=0.4), seed)[0]) / 4000 for seed in range(300)]
    assert 0 <= min(shares) < 0.03 and 0.37 < max(shares) < 0.44
    assert np.mean(shares) == pytest.approx(0.2, abs=0.03)
    left = np.zeros(4000)
    for seed in range(300):
        left[augmented(points, truth, Augmentation(drop=0.4), seed)[0][:, 3].astype(int)] += 1
    assert left.min() > 180 and left.max() < 285, "no point is dropped more readily than another"


def test_jitter_has_the_stated_deviation_in_all_three_directions() -> None:
    points, truth = numbered(20_000)
    points[:, :3] *= 0.1  # so that float32 resolves the noise
    shaken, _ = augmented(points, truth, Augmentation(jitter_m=0.05), 3)
    noise = (shaken[:, :3].astype(np.float64) - points[:, :3]) / 0.05
    assert noise.mean(axis=0) == pytest.approx(0.0, abs=0.03)
    assert noise.std(axis=0) == pytest.approx(1.0, abs=0.02)
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.03
    assert 3.0 < np.abs(noise).max() <= JITTER_CUT + 1e-4
    assert np.array_equal(shaken[:, 3], points[:, 3])


def test_what_is_switched_on_changes_nothing_else_that_is_drawn() -> None:
    points, truth = numbered(1000)
    alone, _ = augmented(points, truth, Augmentation(drop=0.5), 11)
    turned, _ = augmented(points, truth, Augmentation(drop=0.5, rotate=True, jitter_m=0.1, flip=1.0), 11)
    assert np.array_equal(alone[:, 3], turned[:, 3])
    shaken, _ = augmented(points, truth, Augmentation(jitter_m=0.1), 11)
    both, _ = augmented(points, truth, Augmentation(jitter_m=0.1, drop=0.5), 11)
    assert np.array_equal(shaken[both[:, 3].astype(int)], both)


def test_points_that_are_no_measurement_stay_none() -> None:
    points = np.array([[0, 0, 0, 0.5], [np.nan, 1, 2, 0], [np.inf, -np.inf, 2, 0], [5, 5, 0, 1]], dtype=np.float32)
    everything = Augmentation(rotate=True, flip=1.0, jitter_m=0.5)
    changed, classes = augmented(points, np.arange(4, dtype=np.uint8), everything, 1)
    assert not changed[0, :3].any() and list(classes) == [0, 1, 2, 3]
    assert list(project(changed, SENSOR).row >= 0) == [False, False, False, True]


def test_off_is_off_and_nothing_left_is_no_trouble() -> None:
    assert Augmentation().off and not Augmentation(jitter_m=0.01).off
    points, truth = numbered(30)
    changed, classes = augmented(points, truth, Augmentation(), 1)
    assert np.array_equal(changed, points) and np.array_equal(classes, truth)
    gone = [len(augmented(points[:1], truth[:1], Augmentation(drop=0.99), seed)[0]) for seed in range(20)]
    assert 0 in gone

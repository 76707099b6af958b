"""Means, deviations and class weights against the plain formulas."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.errors import UserError
from lidartune.scans import canvas_statistics, class_counts, class_weights, load_taxonomy


def canvases(seed: int, count: int, offset: float = 0.0) -> list[SimpleNamespace]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        mask = rng.random((4, 6)) < (0.0 if i == 1 else 0.6)
        image = np.where(mask, rng.normal(offset, 3, (5, 4, 6)), -1).astype(np.float32)
        made.append(SimpleNamespace(image=image, mask=mask))
    return made


@given(st.integers(0, 1000), st.integers(2, 6), st.sampled_from([0.0, 1e4]))
@settings(max_examples=60, deadline=None)
def test_statistics_are_those_of_all_valid_pixels_together(seed: int, count: int, offset: float) -> None:
    made = canvases(seed, count, offset)
    pixels = np.concatenate([c.image[:, c.mask] for c in made], axis=1).astype(np.float64)
    means, stds = canvas_statistics(iter(made))
    np.testing.assert_allclose(means, pixels.mean(axis=1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(stds, pixels.std(axis=1), rtol=1e-9)
    assert means.shape == stds.shape == (5,) and means.dtype == np.float64
    again = canvas_statistics(made)
    assert (means.tobytes(), stds.tobytes()) == (again[0].tobytes(), again[1].tobytes())


@pytest.mark.parametrize("count", [0, 1])
def test_no_valid_pixel_is_a_message(count: int) -> None:
    empty = SimpleNamespace(image=np.full((5, 2, 2), -1, np.float32), mask=np.zeros((2, 2), bool))
    with pytest.raises(UserError, match="no valid pixel"):
        canvas_statistics([empty] * count)


def test_counts() -> None:
    counts = class_counts([np.array([0, 1, 1], np.uint8), np.array([[19, 1]]), np.zeros(0, np.uint8)])
    assert counts.dtype == np.int64 and counts.shape == (20,)
    assert {c: int(n) for c, n in enumerate(counts) if n} == {0: 1, 1: 3, 19: 1}
    with pytest.raises(ValueError, match="class 20"):
        class_counts([np.array([20])])


def test_weights_are_one_over_share_of_all_points() -> None:
    counts = np.zeros(20, np.int64)
    counts[:3] = [50, 30, 20]
    weights = class_weights(counts)
    assert weights.dtype == np.float32 and weights[0] == 0
    assert weights[1:4] == pytest.approx([1 / 0.301, 1 / 0.201, 1000])
    assert class_weights(counts, epsilon=0.1)[3] == pytest.approx(10)
    with pytest.raises(UserError, match="no labelled point"):
        class_weights(np.zeros(20))


def test_sqrt_weights_are_the_roots_of_the_inverse_ones_to_the_bit() -> None:
    counts = np.arange(20) ** 3
    weights = class_weights(counts, 0.01, rule="sqrt")
    assert weights.dtype == np.float32 and np.array_equal(weights, np.sqrt(class_weights(counts, 0.01)))


@given(st.lists(st.integers(0, 10**8), min_size=3, max_size=20).filter(any), st.sampled_from([0.9, 0.9999, 1 - 1e-7]))
@settings(max_examples=60, deadline=None)
def test_effective_number_weights_are_cuis(counted: list[int], beta: float) -> None:
    plain = [(1 - beta) / (1 - beta ** max(n, 1)) for n in counted[1:]]
    wanted = [w * len(plain) / sum(plain) for w in plain]
    weights = class_weights(np.array(counted), rule="effective_number", beta=beta)
    assert weights.dtype == np.float32 and weights[0] == 0
    assert weights[1:] == pytest.approx(wanted, rel=1e-4)
    by_count = np.array(counted[1:]).argsort()
    assert np.all(np.diff(weights[1:][by_count]) <= 0), "a class that is seen more often never weighs more"


def test_effective_numbers_reach_from_equal_weights_to_inverse_counts() -> None:
    counts = np.array([7, 10, 1000, 0, 40])
    assert np.array_equal(class_weights(counts, rule="effective_number", beta=0.0), np.array([0, 1, 1, 1, 1]))
    inverse = 1 / np.array([10, 1000, 1, 40])
    nearly = class_weights(counts, rule="effective_number", beta=1 - 1e-12)[1:]
    assert nearly == pytest.approx(4 * inverse / inverse.sum(), rel=1e-5)


def test_effective_numbers_need_counts_and_a_beta_below_1() -> None:
    with pytest.raises(UserError, match="no labelled point"):
        class_weights(np.zeros(20, np.int64), rule="effective_number")
    with pytest.raises(ValueError, match="whole counts"):
        class_weights(np.full(20, 0.05), rule="effective_number")
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        class_weights(np.arange(20), rule="effective_number", beta=1.0)


def test_weights_of_published_contents_are_lidar_bonnetals() -> None:
    content = load_taxonomy("semantic-kitti").class_content()
    assert content is not None
    assert class_weights(content)[1:] == pytest.approx(1 / (content[1:] + 0.001), rel=1e-5)
    assert class_weights(content)[1] == pytest.approx(22.9317, rel=1e-4)  # car: 1 / (0.042608 + 0.001)

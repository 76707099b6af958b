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


def test_weights_of_published_contents_are_lidar_bonnetals() -> None:
    content = load_taxonomy("semantic-kitti").class_content()
    assert content is not None
    assert class_weights(content)[1:] == pytest.approx(1 / (content[1:] + 0.001), rel=1e-5)
    assert class_weights(content)[1] == pytest.approx(22.9317, rel=1e-4)  # car: 1 / (0.042608 + 0.001)

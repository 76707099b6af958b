"""Canvases that lose pixels as real ones do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.scans import open_dataset
from lidartune.streetworld import WorldFolder
from lidartune.training.adapt.raydrop import drop_frequency, drop_probability, global_drop_probability, raydropped
from lidartune.training.loader import ScanReader

# -- how often a pixel is empty ---------------------------------------------------------------------------------------


def masks_of(fill: np.ndarray, scans: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random(fill.shape) < fill for _ in range(scans)]


def test_counted_pixel_by_pixel_with_16_scans_that_look_like_the_row() -> None:
    masks = masks_of(np.linspace(0.1, 0.9, 12).reshape(3, 4), 5)
    plain, leaning = drop_frequency(iter(masks), like_the_row=0), drop_frequency(masks)
    for row in range(3):
        empties = [sum(not mask[row, column] for mask in masks) for column in range(4)]
        of_the_row = sum(empties) / 20
        for column in range(4):
            assert plain[row, column] == pytest.approx(empties[column] / 5)
            assert leaning[row, column] == pytest.approx((empties[column] + 16 * of_the_row) / 21)
    np.testing.assert_allclose(plain.mean(1), leaning.mean(1))


def test_the_order_of_scans_and_a_stream_that_ends_change_nothing() -> None:
    masks = masks_of(np.full((4, 8), 0.6), 9)
    assert np.array_equal(drop_frequency(masks), drop_frequency(iter(masks[::-1])))


def test_without_a_scan_nothing_is_counted() -> None:
    with pytest.raises(UserError, match="no scan to count empty pixels on"):
        drop_frequency([])


# -- how likely a filled one is dropped -------------------------------------------------------------------------------

share = st.floats(0, 1)


@given(share, share)
def test_the_fill_that_is_left_is_the_target_s_where_it_can_be(source: float, target: float) -> None:
    drop = float(drop_probability(np.array([[source]]), np.array([[target]]))[0, 0])
    assert 0 <= drop <= 1
    assert (1 - source) * (1 - drop) == pytest.approx(min(1 - source, 1 - target), abs=1e-9)
    assert global_drop_probability(np.array([[source]]), np.array([[target]])) == pytest.approx(drop)


def test_by_hand() -> None:
    source, target = np.array([[0.0, 0.5, 0.5, 1.0]]), np.array([[0.3, 0.75, 0.2, 1.0]])
    np.testing.assert_allclose(drop_probability(source, target), [[0.3, 0.5, 0.0, 0.0]])
    assert global_drop_probability(source, target) == pytest.approx(0.125), "0.5 filled, 0.4375 wanted"


def test_one_probability_for_all_is_that_of_the_whole_canvas_s_fill() -> None:
    source, target = np.array([[0.1, 0.1], [0.0, 0.2]]), np.array([[0.9, 0.1], [0.0, 0.2]])
    assert global_drop_probability(source, target) == pytest.approx(1 - 0.7 / 0.9)
    assert drop_probability(source, target)[1].tolist() == [0, 0]


# -- the drop itself --------------------------------------------------------------------------------------------------


def canvas(height: int = 16, width: int = 128, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < 0.8
    image = np.where(mask, rng.random((5, height, width), dtype=np.float32), np.float32(-1))
    return image, mask, np.where(mask, rng.integers(0, 20, mask.shape), 0).astype(np.uint8)


def test_a_dropped_pixel_is_an_empty_one_and_all_others_are_untouched() -> None:
    image, mask, truth = canvas()
    before = image.tobytes(), mask.tobytes(), truth.tobytes()
    found, kept, classes = raydropped(image, mask, truth, 0.4, seed=1)
    assert (image.tobytes(), mask.tobytes(), truth.tobytes()) == before
    assert (found.dtype, kept.dtype, classes.dtype) == (np.float32, np.bool_, np.uint8)
    assert not (kept & ~mask).any() and 0.3 < (mask & ~kept).sum() / mask.sum() < 0.5
    assert np.array_equal(found[:, kept], image[:, kept]) and np.array_equal(classes[kept], truth[kept])
    assert (found[:, ~kept] == -1).all() and not classes[~kept].any()


def test_never_and_always() -> None:
    image, mask, truth = canvas()
    for probability in (0.0, np.zeros(mask.shape)):
        for found, before in zip(raydropped(image, mask, truth, probability, 1), (image, mask, truth), strict=True):
            assert np.array_equal(found, before)
    assert not raydropped(image, mask, truth, 1.0, 1)[1].any()


def test_the_seed_decides_and_a_higher_probability_drops_the_same_and_more() -> None:
    image, mask, truth = canvas()
    draws = ((0.2, 1), (0.2, 1), (0.2, 2), (0.5, 1))
    some, same, other, more = (raydropped(image, mask, truth, probability, seed)[1] for probability, seed in draws)
    assert np.array_equal(some, same) and not np.array_equal(some, other)
    assert not (more & ~some).any() and more.sum() < some.sum()


def test_each_pixel_by_its_own_probability() -> None:
    image, mask, truth = canvas()
    probability = np.zeros(mask.shape)
    probability[3], probability[7] = 1.0, 0.5
    kept = raydropped(image, mask, truth, probability, 1)[1]
    assert not kept[3].any() and 0.2 < kept[7].sum() / mask[7].sum() < 0.8
    others = np.delete(np.arange(16), [3, 7])
    assert np.array_equal(kept[others], mask[others])


def test_after_the_drop_synthetic_canvases_are_filled_as_real_ones() -> None:
    """Planted: rows of which real canvases fill few pixels, and a corner of sky that both leave empty."""
    synthetic, real = np.full((8, 40), 0.97), np.full((8, 40), 0.9)
    real[3], real[5, :20] = 0.25, 0.5
    synthetic[0], real[0] = 0.4, 0.6
    frequencies = [drop_frequency(masks_of(fill, 400, seed)) for seed, fill in enumerate((synthetic, real))]
    probability = drop_probability(*frequencies)
    image, classes = np.ones((5, 8, 40), np.float32), np.ones((8, 40), np.uint8)
    left = [raydropped(image, m, classes, probability, n)[1] for n, m in enumerate(masks_of(synthetic, 400, seed=9))]
    wanted = np.minimum(synthetic, real)
    assert np.abs(np.mean(left, axis=0) - wanted).max() < 0.12
    assert np.abs(np.mean(left, axis=(0, 2)) - wanted.mean(1)).max() < 0.02


def test_on_the_street_world_the_fill_comes_nearer(tiny_world: WorldFolder) -> None:
    sensor = Sensor(16, 128, 3.0, -25.0)
    found = {}
    for domain, taxonomy in (("synthetic", "synlidar"), ("real", "semantic-kitti")):
        dataset = open_dataset(getattr(tiny_world, domain), taxonomy)
        reader = ScanReader(dataset, memory_bytes=0)
        found[domain] = [scan.mask for scan in reader.unlabelled_stream(dataset.scans(), sensor)]
    source, target = (drop_frequency(found[domain]) for domain in ("synthetic", "real"))
    wanted = np.mean(found["real"], axis=(0, 2))
    fill = {"none": np.mean(found["synthetic"], axis=(0, 2))}
    for name, p in (("global", global_drop_probability(source, target)), ("pixel", drop_probability(source, target))):
        image, classes = np.ones((5, 16, 128), np.float32), np.ones((16, 128), np.uint8)
        left = [raydropped(image, mask, classes, p, n)[1] for n, mask in enumerate(found["synthetic"])]
        fill[name] = np.mean(left, axis=(0, 2))
    off = {name: float(np.abs(rows - wanted).mean()) for name, rows in fill.items()}
    assert off["pixel"] < 0.5 * off["none"] and off["pixel"] < 0.5 * off["global"]
    assert fill["global"].mean() == pytest.approx(wanted.mean(), abs=0.02)

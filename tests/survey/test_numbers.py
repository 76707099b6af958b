"""Every count of a survey, against the plain numpy way of counting it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidartune.scans import load_taxonomy, open_dataset
from lidartune.scans.dataset import ScanFile
from lidartune.streetworld import WorldFolder
from lidartune.survey import bins
from lidartune.survey.kernels import DISTINCT, distinct_bits
from lidartune.survey.sensor import common_step, mean_range_m, mean_remission
from lidartune.survey.tally import Tally, tally_scan

from .made_up import looked_at


def everything(world: WorldFolder) -> tuple[np.ndarray, np.ndarray]:
    scans = [scan.read() for scan in open_dataset(world.real, "semantic-kitti").scans()]
    return np.concatenate([s[0] for s in scans]), np.concatenate([s[1] for s in scans])


def test_counts_are_those_of_plain_numpy(tiny_world: WorldFolder) -> None:
    points, ids = everything(tiny_world)
    survey = looked_at(tiny_world.real)
    tally = survey.tally
    xyz = points[:, :3].astype(np.float64)
    distance = np.linalg.norm(xyz, axis=1)
    elevation = np.degrees(np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1])))
    assert (tally.scans, tally.labelled_scans, tally.points, tally.labelled_points) == (8, 8, len(points), len(ids))
    edges = np.append(np.arange(bins.RANGE_BINS) * bins.RANGE_STEP_M, np.inf)
    np.testing.assert_array_equal(tally.ranges, np.histogram(distance, edges)[0])
    plain = np.histogram(elevation, bins.ELEVATION_BINS, (-90, 90))[0]
    assert np.abs(tally.elevations - plain).sum() <= 4  # points on an edge, to the last bit
    assert tally.azimuths.sum() == tally.remissions.sum() == len(points)
    assert mean_range_m(tally) == pytest.approx(distance.mean(), rel=1e-9)
    assert mean_remission(tally) == pytest.approx(points[:, 3].astype(np.float64).mean(), rel=1e-6)
    assert tally.remission_values == frozenset(np.unique(points[:, 3]).tolist())
    assert dict(tally.raw_ids) == dict(zip(*(a.tolist() for a in np.unique(ids, return_counts=True)), strict=True))
    classes = load_taxonomy("semantic-kitti").to_common(ids)
    np.testing.assert_array_equal(survey.class_points, np.bincount(classes, minlength=20))


def test_quantiles_are_right_to_a_bin(tiny_world: WorldFolder) -> None:
    points, _ = everything(tiny_world)
    tally = looked_at(tiny_world.real).tally
    distance = np.linalg.norm(points[:, :3].astype(np.float64), axis=1)
    for share in (0.05, 0.5, 0.95):
        (found,) = bins.quantiles(tally.ranges, bins.range_centres_m(), (share,)) or [np.nan]
        assert found == pytest.approx(np.quantile(distance, share), abs=bins.RANGE_STEP_M)
        (found,) = bins.quantiles(tally.remissions, bins.remission_centres(), (share,)) or [np.nan]
        assert found == pytest.approx(np.quantile(points[:, 3], share), abs=bins.FINE)


@given(st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=50))
def test_every_remission_falls_into_the_bin_that_stands_for_it(values: list[float]) -> None:
    points = np.zeros((len(values), 4), np.float32)
    points[:, 0], points[:, 3] = 5.0, values
    tally = tally_of(points)
    usable = [value for value in values if 0 <= value <= bins.LARGEST_REMISSION]
    assert tally.remissions.sum() == len(usable) == tally.remission_points
    centres = bins.remission_centres()
    for value in usable:
        steps = [(1.0, bins.FINE), (255.0, bins.BYTE), (65536.0, bins.WORD)]
        step = next(step for end, step in steps if value < end + step / 2)
        at = np.flatnonzero(tally.remissions)
        assert np.abs(centres[at] - value).min() <= step * 0.5001 + 1e-9


def tally_of(points: np.ndarray) -> Tally:
    from lidartune.survey import tally as module

    tally = Tally(scans=1, points=len(points))
    module._count(points, None, tally)
    return tally


def test_unusable_points_are_counted_once_and_nowhere_else() -> None:
    points = np.full((7, 4), 3.0, np.float32)
    points[0, 1], points[1, 3] = np.nan, np.nan
    points[2, 2], points[3, 3] = np.inf, -np.inf
    points[4, :3] = 0
    points[5] = (np.inf, np.nan, 0, 0)
    tally = tally_of(points)
    assert (tally.nan_points, tally.infinite_points, tally.origin_points) == (3, 2, 1)
    assert tally.ranges.sum() == tally.remissions.sum() == tally.usable_points == 1
    assert tally.remission_values == frozenset([3.0])


def test_tallies_add_up_the_same_in_any_order(tiny_world: WorldFolder) -> None:
    taxonomy = load_taxonomy("semantic-kitti")
    scans = open_dataset(tiny_world.real, taxonomy).scans()
    tallies = [tally_scan((scan, True), lookup=taxonomy.lookup, road_class=9).tally for scan in scans]

    def added(order: list[Tally]) -> Tally:
        total = Tally()
        for tally in order:
            total.add(tally)
        return total

    first, second = added(tallies), added(random.Random(1).sample(tallies, len(tallies)))
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name), err_msg=name)
    assert first.scans == 8 and sum(first.orders.values()) == 8


def test_more_than_512_values_are_many(tmp_path: Path) -> None:
    values = np.arange(600, dtype=np.float32)
    assert len(distinct_bits(values[:DISTINCT].view(np.uint32))) == DISTINCT
    assert len(distinct_bits(np.tile(values, 3).view(np.uint32))) == DISTINCT + 1
    first, second = Tally(remission_values=frozenset(range(300))), Tally(remission_values=frozenset(range(400, 700)))
    first.add(second)
    assert first.remission_values is None
    first.add(Tally(remission_values=frozenset([1.0])))
    assert first.remission_values is None


@pytest.mark.parametrize(
    ("values", "step"),
    [
        (np.arange(0, 100) / np.float32(100), 0.01),
        (np.arange(256.0), 1.0),
        (np.array([0.0, 0.5, 1.25]), 0.25),
        (np.round(np.arange(100) * 2.55), 1.0),
        (np.array([0.0, np.sqrt(2), np.pi, 7.7]), None),
        (np.array([0.1, 0.1 + 1e-9, 0.2, 0.3]), 0.1),
        (np.random.default_rng(0).random(300), None),
    ],
)
def test_steps_of_the_remission(values: np.ndarray, step: float | None) -> None:
    assert common_step(np.sort(values)) == step


def test_a_scan_without_labels_or_points_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"")
    result = tally_scan((ScanFile("00", "a", path, None), True), lookup=np.zeros(65536, np.uint8), road_class=None)
    assert result.error is None
    assert (result.tally.scans, result.tally.empty_scans, result.tally.points) == (1, 1, 0)

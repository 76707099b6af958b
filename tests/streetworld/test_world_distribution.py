"""What the scans of the two domains hold: shares, gaps, and how little remission gives away."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from lidartune.streetworld.kinds import COMMON_CLASSES
from lidartune.streetworld.spec import WorldSpec
from lidartune.streetworld.write import make_sequence

STREETS = 8
NAMES = {"road": 9, "vegetation": 15, "motorcyclist": 8, "bicyclist": 7, "person": 6, "truck": 4}


@cache
def points(domain: str, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Classes and remissions of all points of a few streets."""
    spec = WorldSpec(beams=16, columns=256, scans_per_sequence=4, geometry_gap=gap, sensor_gap=gap)
    scans = [scan for number in range(STREETS) for scan in make_sequence(spec, domain, number)]
    return COMMON_CLASSES[np.concatenate([s.kind for s in scans])], np.concatenate([s.points[:, 3] for s in scans])


def shares(domain: str, gap: float) -> np.ndarray:
    counts = np.bincount(points(domain, gap)[0], minlength=20)[1:]
    return np.concatenate([[0.0], counts / counts.sum()])


def test_real_streets_are_green_and_synthetic_ones_are_road() -> None:
    real, synthetic = shares("real", 1.0), shares("synthetic", 1.0)
    assert real[NAMES["vegetation"]] >= 0.15 and real[NAMES["road"]] <= 0.30
    assert 0.33 <= synthetic[NAMES["road"]] <= 0.45 and synthetic[NAMES["vegetation"]] < 0.1
    for name in ("motorcyclist", "person", "truck"):
        assert synthetic[NAMES[name]] > 1.2 * real[NAMES[name]], f"SynLiDAR has more of {name}"


@pytest.mark.parametrize("domain", ["synthetic", "real"])
def test_every_class_has_points(domain: str) -> None:
    assert (shares(domain, 1.0)[1:] > 0.0008).all()


def test_no_gap_is_one_distribution() -> None:
    """Other streets of the same make: shares differ as two halves of one domain do, far less than with the gap."""
    apart = np.abs(shares("real", 0.0) - shares("synthetic", 0.0)).sum() / 2
    with_gap = np.abs(shares("real", 1.0) - shares("synthetic", 1.0)).sum() / 2
    assert apart < 0.12 < 0.2 < with_gap
    levels = [0.25, 0.5, 0.75]
    real, synthetic = (np.quantile(points(d, 0.0)[1], levels) for d in ("real", "synthetic"))
    assert np.allclose(real, synthetic, rtol=0.45)
    assert np.unique(np.round(points("real", 0.0)[1], 6)).size > 1000, "no steps without a gap"
    assert np.unique(np.round(points("real", 1.0)[1], 6)).size <= 100


@pytest.mark.parametrize("domain", ["synthetic", "real"])
def test_remission_alone_says_little(domain: str) -> None:
    """The best guess from remission alone, fitted and scored on the same points: a bound from above."""
    classes, remission = points(domain, 1.0)
    table = np.histogram2d(classes, remission, bins=[np.arange(0.5, 20), np.linspace(0, 1, 51)])[0]
    likelihood = table / table.sum(1, keepdims=True)
    balanced = likelihood.max(0).sum() / len(table)
    assert balanced < 0.25, f"chance is {1 / 19:.2f}"
    guess = table.argmax(0)
    hits = np.array([table[c, guess == c].sum() for c in range(19)])
    union = table.sum(1) + np.array([table[:, guess == c].sum() for c in range(19)]) - hits
    assert (hits / union).mean() < 0.08

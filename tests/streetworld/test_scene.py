"""Streets: what stands in them, and where."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from lidartune.streetworld.domains import REAL_STREET, street_style
from lidartune.streetworld.ground import draw_profile
from lidartune.streetworld.kinds import COMMON_CLASSES, KIND
from lidartune.streetworld.scene import Street, make_street

GROUND = [KIND[name] for name in ("road", "lane-marking", "sidewalk", "parking", "terrain", "other-ground")]


@cache
def street(domain: str, number: int, gap: float = 1.0, scans: int = 4) -> Street:
    return make_street(np.random.default_rng([7, number]), street_style(domain, gap), scans)


@pytest.mark.parametrize("domain", ["synthetic", "real"])
def test_a_few_streets_hold_every_class(domain: str) -> None:
    found = set()
    for number in range(6):
        found |= set(np.unique(COMMON_CLASSES[street(domain, number).mesh.kind]))
    assert found >= set(range(1, 20))


@pytest.mark.parametrize("gap", [0.0, 0.35, 1.0])
def test_streets_of_any_gap_can_be_built(gap: float) -> None:
    for number in range(6):
        mesh = street("real", number, gap, scans=1 + 3 * number).mesh
        assert np.isfinite(mesh.triangles).all()
        assert mesh.instance.max() <= 0xFFFF
        assert ((mesh.reflectance > 0) & (mesh.reflectance < 1)).all()


@pytest.mark.parametrize("domain", ["synthetic", "real"])
def test_nothing_solid_stands_in_the_scanner(domain: str) -> None:
    for number in range(4):
        made = street(domain, number)
        solid = made.mesh.triangles[(made.mesh.instance > 0)].reshape(-1, 3)
        for x, y, z in made.stations[:, :3]:
            flat = np.hypot(solid[:, 0] - x, solid[:, 1] - y)
            assert flat[np.abs(solid[:, 2] - z) < 3].min() > 1.0


def test_the_car_stands_on_the_road() -> None:
    for number in range(3):
        made = street("real", number)
        ground = made.mesh.triangles[np.isin(made.mesh.kind, GROUND)]
        kinds = made.mesh.kind[np.isin(made.mesh.kind, GROUND)]
        middles = ground.mean(1)
        for x, y, z in made.stations[:, :3]:
            under = np.argmin(np.hypot(middles[:, 0] - x, middles[:, 1] - y))
            assert kinds[under] in (KIND["road"], KIND["lane-marking"])
            assert abs(middles[under, 2] - z) < 0.5


def test_objects_are_instances_of_one_class() -> None:
    mesh = street("real", 0).mesh
    cars = np.isin(mesh.kind, [KIND["car"], KIND["moving-car"]])
    assert len(np.unique(mesh.instance[cars])) >= 3
    for instance in np.unique(mesh.instance[cars]):
        assert len(np.unique(COMMON_CLASSES[mesh.kind[mesh.instance == instance]])) == 1
    assert not mesh.instance[np.isin(mesh.kind, GROUND)].any()


def test_real_streets_bend_and_synthetic_ones_do_not() -> None:
    assert np.allclose(street("synthetic", 0).stations[:, 3:], 0)
    turns = [np.ptp(street("real", number).stations[:, 3]) for number in range(4)]
    assert max(turns) > 0.05


def test_a_kerb_rises_between_road_and_sidewalk() -> None:
    profile = draw_profile(np.random.default_rng(0), REAL_STREET)
    edge = np.array([profile.kerb - 0.01, profile.kerb + 0.01])
    for side in (-1, 1):
        low, high = profile.height(np.zeros(2), side * edge)
        assert 0.03 < high - low < 0.2


def test_bending_keeps_lengths_along_and_across() -> None:
    profile = draw_profile(np.random.default_rng(3), REAL_STREET)
    x = np.arange(0, 160.0)
    middle = profile.bent(np.column_stack([x, 0 * x, 0 * x]))
    assert np.allclose(np.linalg.norm(np.diff(middle[:, :2], axis=0), axis=1), 1, atol=0.01)
    left = profile.bent(np.column_stack([x, 0 * x + 5, 0 * x]))
    assert np.allclose(np.linalg.norm(left - middle, axis=1), 5, atol=1e-6)

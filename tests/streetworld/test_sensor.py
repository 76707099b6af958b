"""The scanner and each of its quirks, on walls whose returns are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lidartune.streetworld.domains import IDEAL_SENSOR, REAL_SENSOR, SensorStyle, sensor_style
from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.mesh import Mesh
from lidartune.streetworld.parts import GLASS, MATTE
from lidartune.streetworld.scene import Street
from lidartune.streetworld.sensor import Scan, Scanner
from lidartune.streetworld.shapes import boxes

BEAMS, COLUMNS = 16, 256


def room(distance_m: float = 10.0, reflectance: float = 0.5, finish: int = MATTE, heading: float = 0.0) -> Street:
    """A street that is nothing but four high walls around the station."""
    walls = boxes((-distance_m, distance_m, -distance_m, distance_m, -20, 20)).astype(np.float32)[:8]
    n = len(walls)
    mesh = Mesh(
        walls,
        np.full(n, KIND["building"], np.uint8),
        np.full(n, reflectance, np.float32),
        np.full(n, finish, np.uint8),
        np.arange(1, n + 1, dtype=np.uint32),
    )
    return Street(mesh, np.array([[0, 0, 0, heading, 0, 0]], float), 1.0)


def scan(street: Street, style: SensorStyle, seed: int = 0) -> Scan:
    return Scanner(street, style, BEAMS, COLUMNS).scan(np.random.default_rng(seed), 0)


def quirk(**values: float) -> SensorStyle:
    return dataclasses.replace(IDEAL_SENSOR, **values)


def elevation_deg(points: np.ndarray) -> np.ndarray:
    return np.rad2deg(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))


def test_the_ideal_scanner_hits_every_pixel_of_its_own_grid_once() -> None:
    points = scan(room(), IDEAL_SENSOR).points
    assert points.shape == (BEAMS * COLUMNS, 4) and points.dtype == np.float32
    row = np.floor((3 - elevation_deg(points)) / 28 * BEAMS).astype(int)
    column = np.floor(0.5 * (1 - np.arctan2(points[:, 1], points[:, 0]) / np.pi) * COLUMNS).astype(int)
    assert np.array_equal(row * COLUMNS + column, np.arange(BEAMS * COLUMNS)), "ring by ring, from the top"
    assert np.allclose(np.abs(points[:, :2]).max(1), 10, atol=1e-3)


def test_points_are_in_the_scanners_frame() -> None:
    street = room()
    street.mesh.triangles[..., 0] += 5  # nearer behind (5 m) than ahead (15 m)
    ahead = scan(street, IDEAL_SENSOR).points
    assert np.isclose(ahead[:, 0].max(), 15, atol=1e-3) and np.isclose(ahead[:, 0].min(), -5, atol=1e-3)
    turned = scan(dataclasses.replace(street, stations=np.array([[0, 0, 0, np.pi / 2, 0, 0]])), IDEAL_SENSOR).points
    assert np.isclose(turned[:, 1].min(), -15, atol=1e-3), "heading left, what was ahead is on the right"


def test_mount_height_is_the_distance_to_the_road() -> None:
    street = room()
    floor = np.array([[(-50, -50, -1), (50, -50, -1), (0, 80, -1)]], np.float32)  # a metre below the road
    one = np.ones(1)
    mesh = Mesh(floor, one.astype(np.uint8), one.astype(np.float32), 0 * one.astype(np.uint8), one.astype(np.uint32))
    points = scan(dataclasses.replace(street, mesh=mesh), quirk(mount_height_m=1.6)).points
    assert len(points) and np.allclose(points[:, 2], -2.6, atol=1e-4)


def test_range_limit_and_near_returns() -> None:
    assert len(scan(room(30.0), quirk(range_limit_m=20.0)).points) == 0
    assert len(scan(room(0.5), IDEAL_SENSOR).points) == 0, "the scanner's own car is not measured"


def test_range_noise() -> None:
    points = scan(room(), quirk(range_noise_m=0.05)).points
    exact = scan(room(), IDEAL_SENSOR).points
    error = np.linalg.norm(points[:, :3], axis=1) - np.linalg.norm(exact[:, :3], axis=1)
    assert abs(error.std() - 0.05) < 0.005 and abs(error.mean()) < 0.005


def test_uneven_beams_and_more_columns() -> None:
    scanner = Scanner(room(), quirk(uneven_beams=1.0, extra_columns=0.017), 64, 1024)
    steps = -np.diff(scanner.elevations_deg())
    assert scanner.columns == 1041
    assert abs(steps[:31].mean() - 1 / 3) < 0.02 and abs(steps[32:].mean() - 0.5) < 0.02
    assert (steps > 0).all()
    even = Scanner(room(), IDEAL_SENSOR, 64, 1024)
    assert np.allclose(np.diff(even.elevations_deg()), -28 / 64) and even.columns == 1024


def test_two_laser_origins() -> None:
    points = scan(room(), quirk(origin_offset_m=0.1)).points
    exact = scan(room(), IDEAL_SENSOR).points
    shift = points[:, 2] - exact[:, 2]
    half = len(points) // 2
    assert np.allclose(shift[:half], 0.1, atol=1e-3) and np.allclose(shift[half:], -0.1, atol=1e-3)


def test_ego_motion_skews_a_turn() -> None:
    """The turn starts and ends behind: the wall there comes nearer by the way driven meanwhile."""
    points = scan(room(), quirk(speed_m_s=10.0)).points.reshape(BEAMS, COLUMNS, 4)
    start, end = points[0, 0], points[0, -1]
    assert np.isclose(end[0] - start[0], -10.0 * 0.1, atol=0.05)


def test_tilt_moves_the_horizon_and_differs_between_scans() -> None:
    street = room()
    tilts = [scan(street, quirk(tilt_deg=2.0), seed).points for seed in range(2)]
    exact = scan(street, IDEAL_SENSOR).points
    assert all(np.abs(np.abs(tilted[:, :2]).max(1) - 10).max() > 0.01 for tilted in tilts)
    assert not np.allclose(tilts[0], tilts[1])
    assert np.allclose(elevation_deg(tilts[0]), elevation_deg(exact), atol=1e-3), "the scanner's own angles stay"


def test_returns_are_lost_on_glass_dark_and_grazing_surfaces() -> None:
    drop = quirk(drop=1.0)
    share = {
        "plain": len(scan(room(), drop).points),
        "glass": len(scan(room(finish=GLASS), drop).points),
        "dark": len(scan(room(distance_m=40.0, reflectance=0.01), drop).points),
    }
    share = {name: count / (BEAMS * COLUMNS) for name, count in share.items()}
    assert share["plain"] > 0.97
    assert 0.1 < share["glass"] < 0.5
    assert share["dark"] < share["plain"] - 0.02
    corridor = room(reflectance=0.05)
    corridor.mesh.triangles[..., 0] *= 30  # rays along it meet its walls at a flat angle
    far = [int((np.abs(scan(corridor, style).points[:, 0]) > 45).sum()) for style in (drop, IDEAL_SENSOR)]
    assert far[0] < 0.85 * far[1]


def test_remission_step() -> None:
    stepped = scan(room(), quirk(remission_step=0.01)).points[:, 3].astype(np.float64) * 100
    assert np.allclose(stepped, np.round(stepped), atol=1e-4)
    free = scan(room(), IDEAL_SENSOR).points[:, 3].astype(np.float64) * 100
    assert not np.allclose(free, np.round(free), atol=1e-2)


def test_remission_follows_reflectance_range_and_incidence() -> None:
    def mean(street: Street, style: SensorStyle) -> float:
        return float(scan(street, style).points[:, 3].mean())

    model = quirk(intensity_model=1.0)
    assert 0.45 < mean(room(), IDEAL_SENSOR) < 0.55
    assert mean(room(reflectance=0.2), IDEAL_SENSOR) < 0.5 * mean(room(), IDEAL_SENSOR)
    assert np.isclose(mean(room(10), IDEAL_SENSOR), mean(room(40), IDEAL_SENSOR), rtol=0.02), "no dependence at all"
    assert mean(room(40), model) < 0.8 * mean(room(10), model)
    row = scan(room(), model).points.reshape(BEAMS, COLUMNS, 4)[:, :, 3].mean(0)
    straight, corner = row[COLUMNS // 2 - 4 : COLUMNS // 2 + 4].mean(), row[COLUMNS * 5 // 8 - 4 : COLUMNS * 5 // 8 + 4]
    assert corner.mean() < 0.95 * straight


def test_unlabelled_share_keeps_no_instance() -> None:
    kinds = []
    for seed in range(8):
        made = scan(room(), quirk(unlabelled=0.015), seed)
        bare = np.isin(made.kind, [KIND["unlabelled"], KIND["outlier"]])
        assert not made.instance[bare].any() and made.instance[~bare].all()
        kinds.append(made.kind)
    share = np.isin(np.concatenate(kinds), [KIND["unlabelled"], KIND["outlier"]]).mean()
    assert 0.01 < share < 0.02


@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0])
def test_the_gap_moves_only_the_real_scanner(gap: float) -> None:
    assert sensor_style("synthetic", gap) == IDEAL_SENSOR
    real = sensor_style("real", gap)
    assert np.isclose(real.range_noise_m, gap * REAL_SENSOR.range_noise_m)
    assert real.remission_step == (0.0 if gap == 0 else 0.01), "half a step would be a finer scanner, not one halfway"
    if gap in (0.0, 1.0):
        assert real == (REAL_SENSOR if gap else IDEAL_SENSOR)

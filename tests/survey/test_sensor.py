"""The sensor, estimated: right where it is known, unknown where the points do not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lidartune.canvas import ring_numbers
from lidartune.streetworld import WorldFolder
from lidartune.streetworld.sensor import FOV_DOWN_DEG, FOV_UP_DEG
from lidartune.survey.ground import ground_height_m, road_height_m
from lidartune.survey.sensor import SensorEstimate
from lidartune.survey.turn import COLUMNS, NO_ORDER, RINGS, Turn, turn_of

from .made_up import looked_at, ray_scan, write_scan


def turn(points: np.ndarray) -> Turn:
    xyz = points[:, :3].astype(np.float64)
    azimuth = np.degrees(np.arctan2(xyz[:, 1], xyz[:, 0]))
    elevation = np.degrees(np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1])))
    return turn_of(ring_numbers(points), azimuth, elevation)


def sensor_of(root: Path, scan: tuple[np.ndarray, np.ndarray | None], sequences: int = 8) -> SensorEstimate:
    for sequence in range(sequences):
        write_scan(root, sequence, 0, *scan)
    return looked_at(root).sensor


def test_the_synthetic_world_gives_its_sensor_back(tiny_world: WorldFolder) -> None:
    survey = looked_at(tiny_world.synthetic, "synlidar")
    sensor = survey.sensor
    assert (sensor.order.value, sensor.beams.value, sensor.columns.value) == (RINGS, 16, 256)
    assert sensor.height_m.number == pytest.approx(1.8, abs=0.03)
    assert sensor.canvas_edges_deg() == pytest.approx((FOV_UP_DEG, FOV_DOWN_DEG), abs=0.11)
    assert sensor.remission.value == "continuous"
    assert sensor.azimuth_deg.value == pytest.approx(360, abs=110)  # 256 columns reach as many sectors
    rays = 16 * 256 * survey.tally.scans
    assert sensor.returns.value == round(survey.tally.points / rays, 4)


def test_the_real_world_gives_its_sensor_back(tiny_world: WorldFolder) -> None:
    sensor = looked_at(tiny_world.real).sensor
    assert (sensor.order.value, sensor.beams.value) == (RINGS, 16)
    assert sensor.columns.number == pytest.approx(256 * 1.017, abs=2)
    assert sensor.height_m.number == pytest.approx(1.73, abs=0.04)
    assert sensor.remission.value == "steps of 0.01"


def test_real_scans_show_an_hdl_64(shared_data: Path) -> None:
    sensor = looked_at(shared_data / "semantic-kitti-mini").sensor
    assert (sensor.beams.value, sensor.remission.value, sensor.azimuth_deg.value) == (64, "steps of 0.01", 360)
    assert sensor.columns.number == pytest.approx(2000, abs=15)
    assert sensor.height_m.number == pytest.approx(1.73, abs=0.08)
    assert sensor.top_deg.number == pytest.approx(2.0, abs=0.8)
    assert sensor.bottom_deg.number == pytest.approx(-24.8, abs=1.3)
    unlabelled = looked_at(shared_data / "kitti-unlabelled").sensor
    assert unlabelled.height_m.number == pytest.approx(1.73, abs=0.08)
    assert unlabelled.beams.value == 64


def test_rings_that_turn_the_other_way_or_start_elsewhere() -> None:
    points, _ = ray_scan(beams=20, columns=400)
    for scan in (points[::-1], points.reshape(20, 400, 4)[:, ::-1].reshape(-1, 4),
                 np.roll(points.reshape(20, 400, 4), 130, axis=1).reshape(-1, 4)):  # fmt: skip
        found = turn(np.ascontiguousarray(scan))
        assert (found.order, found.beams, found.columns) == (RINGS, 20, 400)
        assert found.top_deg == pytest.approx(10) and found.bottom_deg == pytest.approx(-20)


def test_lost_points_change_neither_beams_nor_columns() -> None:
    points, _ = ray_scan(beams=20, columns=400)
    kept = np.random.default_rng(0).random(len(points)) < 0.4
    assert (turn(points[kept]).beams, turn(points[kept]).columns) == (20, 400)


def test_shuffled_points_of_an_ideal_sensor_tell_by_peaks(tmp_path: Path) -> None:
    points, ids = ray_scan()
    order = np.random.default_rng(1).permutation(len(points))
    sensor = sensor_of(tmp_path, (points[order], ids[order]))
    assert sensor.order.value == NO_ORDER
    assert sensor.beams.value == 16 and "peaks" in sensor.beams.how
    assert sensor.columns.value == 300
    assert sensor.top_deg.number == pytest.approx(10, abs=0.03)
    assert sensor.bottom_deg.number == pytest.approx(-20, abs=0.03)


def test_columns_in_order_are_told_from_rings(tmp_path: Path) -> None:
    points, ids = ray_scan()
    by_column = points.reshape(16, 300, 4).transpose(1, 0, 2).reshape(-1, 4)
    sensor = sensor_of(tmp_path, (by_column, ids.reshape(16, 300).T.ravel()))
    assert (sensor.order.value, sensor.beams.value, sensor.columns.value) == (COLUMNS, 16, 300)


def test_points_without_order_or_beams_are_unknown(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    points = np.column_stack([rng.normal(size=(6000, 3)) * (9, 9, 1), rng.random(6000)]).astype(np.float32)
    sensor = sensor_of(tmp_path, (points, None))
    for estimate in (sensor.beams, sensor.columns, sensor.top_deg, sensor.bottom_deg, sensor.returns, sensor.height_m):
        assert estimate.value is None and estimate.how
    assert sensor.canvas_edges_deg() is None
    assert sensor.up_deg.number is not None  # that much is seen


def test_scans_of_different_sensors_give_no_single_number(tmp_path: Path) -> None:
    for name, beams in enumerate((10, 12, 14, 16)):
        write_scan(tmp_path, 0, name, *ray_scan(beams=beams))
    beams_ = looked_at(tmp_path).sensor.beams
    assert beams_.value is None and (beams_.low, beams_.high) == (10, 16)


@pytest.mark.parametrize(
    ("remission", "kind"),
    [(np.zeros(4800), "constant"), (np.arange(4800) % 256, "steps of 1"), (np.arange(4800) / 4800, "continuous")],
)
def test_what_the_remission_holds(tmp_path: Path, remission: np.ndarray, kind: str) -> None:
    points, ids = ray_scan()
    points[:, 3] = remission
    assert sensor_of(tmp_path, (points, ids)).remission.value == kind


def test_the_height_needs_no_labels_and_no_level_sensor(tmp_path: Path) -> None:
    points, ids = ray_scan(height_m=2.0, beams=40, down_deg=-40)
    tilt = np.deg2rad(3)
    tilted = points.copy()
    tilted[:, 0] = points[:, 0] * np.cos(tilt) - points[:, 2] * np.sin(tilt)
    tilted[:, 2] = points[:, 0] * np.sin(tilt) + points[:, 2] * np.cos(tilt)
    assert sensor_of(tmp_path / "labels", (tilted, ids)).height_m.number == pytest.approx(2.0, abs=0.02)
    bare = sensor_of(tmp_path / "none", (tilted, None)).height_m
    assert bare.number == pytest.approx(2.0, abs=0.05)
    assert "road" not in bare.how


def test_one_scan_with_road_is_not_the_height_of_all(tmp_path: Path) -> None:
    points, ids = ray_scan(height_m=2.0, beams=40, down_deg=-40)
    for name in range(8):
        write_scan(tmp_path, 0, name, points, np.full_like(ids, 50))
    low, road = ray_scan(height_m=1.0, beams=40, down_deg=-40)
    write_scan(tmp_path, 0, 8, low, road)
    height = looked_at(tmp_path).sensor.height_m
    assert height.number == pytest.approx(2.0, abs=0.05) and height.how == "ground plane 3-12 m away"


def test_no_ground_no_height() -> None:
    rng = np.random.default_rng(3)
    cloud = rng.uniform(-6, 0, (3000, 3))
    assert ground_height_m(cloud) is None and road_height_m(cloud) is None
    line = np.column_stack([np.arange(500.0), np.zeros(500), np.full(500, -2.0)])
    assert road_height_m(line) is None  # many planes go through it
    assert road_height_m(cloud[:50]) is None

"""Two datasets side by side: what differs is named, with figures, the largest first; what does not is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lidartune.survey.differences import Difference, differences, only_in_one
from lidartune.survey.survey import Survey

from .made_up import BUILDING, looked_at, ray_scan, write_scan


def dataset(root: Path, scan: tuple[np.ndarray, np.ndarray | None]) -> Survey:
    for name in range(3):
        write_scan(root, 0, name, *scan)
    return looked_at(root)


def compared(tmp_path: Path, first: object, second: object) -> tuple[dict[str, Difference], list[str]]:
    surveys = [dataset(tmp_path / name, scan) for name, scan in (("a", first), ("b", second))]  # type: ignore[arg-type]
    found, unknown = differences(surveys[0], surveys[1], ("A", "B"))
    sizes = [d.size for d in found if d.size is not None]
    assert sizes == sorted(sizes, reverse=True) and all(d.size is None for d in found[len(sizes) :])
    assert all((d.size is None or 0 <= d.size <= 1) and d.measured_by and d.sentence.endswith(".") for d in found)
    return {d.topic: d for d in found}, unknown


def test_a_dataset_does_not_differ_from_itself(tmp_path: Path) -> None:
    assert compared(tmp_path, ray_scan(), ray_scan()) == ({}, [])


def test_another_unit_of_the_remission(tmp_path: Path) -> None:
    points, ids = ray_scan()
    bytes_ = points.copy()
    bytes_[:, 3] = np.round(points[:, 3] * 255)
    found, _ = compared(tmp_path, (points, ids), (bytes_, ids))
    assert list(found) == ["remission"]
    assert (found["remission"].size or 0) > 0.9
    assert "A 0 to 0.99" in found["remission"].sentence and "B 0 to 25" in found["remission"].sentence
    assert "another unit" in found["remission"].sentence and "factor of about 255" in found["remission"].sentence


def test_no_remission_on_one_side_or_on_both(tmp_path: Path) -> None:
    points, ids = ray_scan()
    bare = points.copy()
    bare[:, 3] = 0
    found, _ = compared(tmp_path / "one", (points, ids), (bare, ids))
    assert found["remission"].size == 1 and "B has none" in found["remission"].sentence
    found, unknown = compared(tmp_path / "both", (bare, ids), (bare, ids))
    assert found == {} and unknown == ["Remission: both sides have one value throughout."]


def test_steps_on_one_side_only(tmp_path: Path) -> None:
    fine = ray_scan(levels=100_000)
    found, _ = compared(tmp_path, ray_scan(), fine)
    assert list(found) == ["remission steps"] and found["remission steps"].size is None
    assert "A stores it in steps of 0.01, B does not" in found["remission steps"].sentence


def test_field_of_view_beams_and_columns(tmp_path: Path) -> None:
    narrow = ray_scan(beams=8, columns=200, up_deg=0.0, down_deg=-15.0)
    found, _ = compared(tmp_path, ray_scan(), narrow)
    assert found["field of view"].size == pytest.approx(0.5, abs=0.01)
    assert "A -20.0 to +10.0° and B -15.0 to +0.0°" in found["field of view"].sentence
    assert "Beams: A 16 and B 8" in found["beams"].sentence and found["beams"].size == 0.5
    assert "A 300 and B 200" in found["rays of a turn"].sentence
    assert found["rays of a turn"].size == pytest.approx(1 / 3)
    assert "more points in A" in found["points of a ring"].sentence
    swapped, _ = compared(tmp_path / "swapped", narrow, ray_scan())
    assert "more points in B" in swapped["points of a ring"].sentence


def test_mounting_height_and_ranges(tmp_path: Path) -> None:
    found, _ = compared(tmp_path, ray_scan(height_m=1.5), ray_scan(height_m=2.0))
    assert "A 1.50 m and B 2.00 m" in found["mounting height"].sentence
    assert found["mounting height"].size == pytest.approx(0.25, abs=0.01)
    assert (found["ranges"].size or 0) > 0.05
    assert not {"beams", "rays of a turn", "fill", "remission"} & found.keys()


def test_fill(tmp_path: Path) -> None:
    points, ids = ray_scan()
    kept = np.random.default_rng(0).random(len(points)) < 0.7
    found, _ = compared(tmp_path, (points[kept], ids[kept]), (points, ids))
    assert found["fill"].size == pytest.approx(0.3, abs=0.02)
    assert "B 100.0 %: holes tell the domains apart" in found["fill"].sentence
    kept = np.arange(len(points)) % 25 != 0
    found, _ = compared(tmp_path / "alike", (points[kept], ids[kept]), (points, ids))
    assert "holes hardly tell the domains apart" in found["fill"].sentence


def test_class_shares_and_classes_on_one_side_only(tmp_path: Path) -> None:
    points, ids = ray_scan()
    other = ids.copy()
    other[ids == BUILDING] = 51
    first, second = dataset(tmp_path / "a", (points, ids)), dataset(tmp_path / "b", (points, other))
    assert only_in_one(first, second) == (["building"], ["fence"])
    (difference,) = differences(first, second, ("A", "B"))[0]
    assert difference.topic == "classes"
    assert difference.size == pytest.approx((ids == BUILDING).mean(), abs=1e-6)
    assert "Only in A: building." in difference.sentence and "Only in B: fence." in difference.sentence


def test_what_is_unknown_is_said_and_not_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cloud = np.column_stack([rng.normal(size=(6000, 3)) * (9, 9, 1), rng.random(6000)]).astype(np.float32)
    found, unknown = compared(tmp_path, ray_scan(), (cloud, None))
    for noun in ("Beams", "Rays of a turn", "Mounting height"):
        assert f"{noun}: unknown in B, so not compared." in unknown
    assert "Classes: one side has no labelled points." in unknown
    assert not {"beams", "mounting height", "classes", "fill", "points of a ring"} & found.keys()

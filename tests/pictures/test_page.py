"""The page as a file: what is in it, and that it asks for nothing from anywhere."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lidartune.pictures.labelled import LabelledScan
from lidartune.pictures.page import cloud_page
from lidartune.scans import CLASS_NAMES


def contents(page: str) -> tuple[dict[str, Any], np.ndarray, dict[str, np.ndarray]]:
    """What the page knows, its places (N, 3) in metres, and the codes of its colourings."""
    scan = json.loads(re.findall(r"<script type='application/json' id='scan'>(.*?)</script>", page, re.DOTALL)[0])
    data = base64.b64decode(re.findall(r"<script type='text/plain' id='bytes'>(.*?)</script>", page, re.DOTALL)[0])
    count = scan["points"]
    places = np.frombuffer(data[: 6 * count], dtype="<i2").reshape(-1, 3) * scan["step"]
    keys = [coloring["key"] for coloring in scan["colorings"] if "absent" not in coloring]
    planes = np.frombuffer(data[6 * count :], dtype=np.uint8).reshape(len(keys), count)
    return scan, places, dict(zip(keys, planes, strict=True))


def test_points_are_where_they_were_and_have_their_classes(scan: LabelledScan) -> None:
    known, places, codes = contents(cloud_page(scan))
    assert np.abs(places - scan.points[:, :3]).max() <= known["step"] / 2 + 1e-5
    assert known["step"] < 0.005
    assert np.array_equal(codes["truth"], scan.truth) and np.array_equal(codes["prediction"], scan.prediction)
    assert np.array_equal(codes["error"], scan.outcomes)
    order = np.argsort(np.linalg.norm(scan.points[:, :3], axis=1))
    assert np.all(np.diff(codes["range"][order].astype(int)) >= 0)
    assert np.all(np.diff(codes["height"][np.argsort(scan.points[:, 2])].astype(int)) >= 0)
    assert np.all(np.diff(codes["remission"][np.argsort(scan.points[:, 3])].astype(int)) >= 0)


def test_legends_name_what_occurs_with_its_share(scan: LabelledScan) -> None:
    known, _, _ = contents(cloud_page(scan))
    assert scan.truth is not None
    entries = known["colorings"][0]["entries"]
    assert [e["name"] for e in entries[:-1]] == [CLASS_NAMES[c] for c in np.unique(scan.truth) if c]
    road = next(e for e in entries if e["name"] == "road")
    assert road["details"] == [f"{100 * (scan.truth == 9).mean():.1f} %"]
    assert scan.confusion is not None
    predicted = next(e for e in known["colorings"][1]["entries"] if e["name"] == "road")
    assert predicted["details"][1] == f"IoU {100 * scan.confusion.iou()[9]:.1f} %"
    errors = {e["name"]: e["details"] for e in known["colorings"][2]["entries"]}
    assert errors["right"] == [f"{100 * scan.confusion.accuracy():.1f} % of labelled"]


def test_the_page_has_the_colours_of_the_picture(scan: LabelledScan) -> None:
    known, _, _ = contents(cloud_page(scan))
    assert scan.taxonomy is not None
    for coloring in known["colorings"][:2]:
        assert coloring["table"] == scan.taxonomy.colors.tolist()
    swatches = {swatch.text: swatch.color for swatch in scan.class_swatches()}
    table, entries = known["colorings"][0]["table"], known["colorings"][0]["entries"]
    assert {e["name"]: tuple(table[e["code"]]) for e in entries}.items() <= swatches.items()


def test_without_labels_or_prediction_the_page_says_what_is_missing(scan: LabelledScan) -> None:
    known, _, codes = contents(cloud_page(replace(scan, truth=None, prediction=None, taxonomy=None)))
    assert {c["key"]: c.get("absent") for c in known["colorings"]} == {
        "truth": "no labels given",
        "prediction": "no prediction given",
        "error": "needs labels and a prediction",
        "remission": None,
        "range": None,
        "height": None,
    }
    assert list(codes) == ["remission", "range", "height"]


def test_points_that_cannot_be_placed_are_left_out_and_counted(scan: LabelledScan) -> None:
    points = scan.points.copy()
    points[0, 0], points[1, 3], points[2, :3], points[3, 0] = np.nan, np.inf, 0.0, 1e30
    page = cloud_page(replace(scan, points=points))
    known, places, codes = contents(page)
    assert "4 left out" in page and known["points"] == len(points) - 4 == len(places) == len(codes["truth"])
    assert scan.truth is not None and np.array_equal(codes["truth"], scan.truth[4:])


def test_a_scan_of_nothing_but_nan_still_has_a_page(scan: LabelledScan) -> None:
    known, places, _ = contents(cloud_page(replace(scan, points=np.full_like(scan.points, np.nan))))
    assert known["points"] == 0 == len(places)


def test_the_page_asks_for_nothing_from_anywhere(scan: LabelledScan) -> None:
    page = cloud_page(scan)
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|\bsrc=|href=|@import|url\(|fetch\(|XMLHttpRequest|import\(", page)


def test_names_are_text_and_never_markup(scan: LabelledScan) -> None:
    assert scan.taxonomy is not None
    evil = "</script><script>document.title='taken'</script><b>&amp;"
    names = tuple(evil if name == "road" else name for name in scan.taxonomy.names)
    page = cloud_page(replace(scan, title=evil, taxonomy=replace(scan.taxonomy, names=names)))
    assert evil not in page and page.count("<script") == 3
    known, _, _ = contents(page)
    assert known["title"] == evil and evil in [e["name"] for e in known["colorings"][0]["entries"]]


def test_a_full_scan_fits_into_a_few_megabytes(scan: LabelledScan) -> None:
    times = 124_668 // len(scan.points) + 1
    assert scan.truth is not None and scan.prediction is not None
    page = cloud_page(
        replace(
            scan,
            points=np.tile(scan.points, (times, 1)),
            truth=np.tile(scan.truth, times),
            prediction=np.tile(scan.prediction, times),
        )
    )
    assert len(page) < 2.2e6


def test_the_parts_of_the_page_are_installed_with_the_package() -> None:
    root = Path(__file__).parents[2]
    data = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["lidartune"]
    installed = {path for pattern in data for path in (root / "lidartune").glob(pattern)}
    assert {path.suffix for path in (root / "lidartune" / "pictures" / "viewer").iterdir()} == {".js", ".css"}
    assert installed >= set((root / "lidartune" / "pictures" / "viewer").iterdir())

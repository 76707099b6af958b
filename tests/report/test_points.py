"""The points of a search in the report, from the record that the search leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from lidartune.report import write_report
from lidartune.report.results import load_study
from lidartune.report.tables import all_tables

from .made_up_study import make_study

POINTS = [
    {"point": "point-1", "kind": "pretrained", "status": "done", "epochs": 6, "validation_miou": 0.2,
     "width": 256, "learning_rate": 0.001, "augmentation": {"flip": 0.5}},
    {"point": "point-2", "kind": "from scratch", "status": "failed", "epochs": 0, "validation_miou": None,
     "width": 512, "<script>alert(1)</script>": "=cmd()"},
    {"point": "point-3", "kind": "pretrained", "status": "stopped", "epochs": 2, "validation_miou": 0.3,
     "width": 512, "learning_rate": 0.01, "augmentation": {}},
]  # fmt: skip


def reported(folder: Path, record: str) -> Path:
    study = make_study(folder, curves=False)
    (study / "points.json").write_text(record)
    return write_report(study)


def test_points_are_a_table_a_figure_and_on_the_page(tmp_path: Path) -> None:
    report = reported(tmp_path, json.dumps({"points": POINTS}))
    table = pd.read_csv(report / "points.csv")
    assert list(table["point"]) == ["point-1", "point-2", "point-3"]
    assert list(table["status"]) == ["done", "failed", "stopped"]
    assert table["validation_miou"].isna().tolist() == [False, True, False], "never a 0 for what is not there"
    assert table["learning_rate"].isna().tolist() == [False, True, False]
    assert table["augmentation"][0] == "{'flip': 0.5}"
    assert (report / "figures" / "search.svg").exists() and (report / "figures" / "search.png").exists()
    lines = [line for line in (report / "points.md").read_text().splitlines() if "point-" in line]
    assert ["point-3" in lines[0], "point-1" in lines[1], "point-2" in lines[2]] == [True] * 3, "best first"
    page = (report / "index.html").read_text()
    assert "The points of the search" in page and "<script>alert(1)" not in page
    assert "'=cmd()" in (report / "points.csv").read_text()


def test_a_study_that_is_no_search_has_no_points(tmp_path: Path) -> None:
    study = make_study(tmp_path, curves=False)
    for record in ('{"points": []}', '{"points": 3}', "{", '["point-1"]', '{"points": ["point-1", 3]}'):
        (study / "points.json").write_text(record)
        assert "points" not in all_tables(load_study(study))

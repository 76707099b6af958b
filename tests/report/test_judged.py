"""What a search comes to, in the report: its judged recipes as a table, on the page and in its first sentences."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from lidartune.report import load_study, write_report
from lidartune.report.headline import headline
from lidartune.report.opening import opening
from lidartune.report.tables import all_tables

from .made_up_study import edit, make_study

JUDGED = {"own": 3, "point-3": 3, "point-5": 3, "point-2": 0, "point-6": 0}  # recipe -> epochs of pretraining
VALIDATION = {"point-1": None, "point-2": 0.42, "point-3": 0.52, "point-4": 0.3, "point-5": 0.54, "point-6": 0.45}
TEST = {"own": 0.47, "point-3": 0.53, "point-5": 0.50, "point-2": 0.46, "point-6": 0.44}
SIX = range(6)


def judged_study(root: Path, seeds: Any = SIX, test: dict[str, float] = TEST, record: Any = None) -> Path:
    """A study as a search leaves it that judged the best two of each kind."""

    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        own = role == ("finetuned" if cell["pretrain_epochs"] else "scratch") and domain == "real"
        return (test[cell["backbone"]] if own else 0.2) + 0.01 * (cell["seed"] % 3 - 1)

    study = make_study(root, backbones=JUDGED, pretrain_epochs=(0, 3), seeds=seeds, accuracy=accuracy, curves=False)

    def named(plan: dict[str, Any]) -> None:
        plan["cells"] = [cell for cell in plan["cells"] if JUDGED[cell["backbone"]] == cell["pretrain_epochs"]]
        for cell in plan["cells"]:
            if cell["backbone"] != "own":
                cell["variant"] = {"name": cell["backbone"]}
            cell["backbone"] = "cenet"

    edit(study / "plan.json", named)
    points = [
        {"point": name, "points": "from scratch" if JUDGED.get(name) == 0 else "pretrained first", "status": "done",
         "epochs": 4, "validation_miou": value, "learning_rate": 0.01}
        for name, value in VALIDATION.items()
    ]  # fmt: skip
    shares = {"pretrained first": {"learning_rate": 0.7, "width": 0.3}}
    found = {"points": points, "importances": shares, "judged": True} if record is None else record
    (study / "points.json").write_text(json.dumps(found))
    return study


def test_judged_recipes_are_a_table_in_which_validation_chose(tmp_path: Path) -> None:
    table = pd.read_csv(write_report(judged_study(tmp_path)) / "judged.csv").set_index("recipe")
    assert list(table.index) == ["own recipe", "point-5", "point-3", "point-6", "point-2"], "by validation, not by test"
    assert set(table["backbone"]) == {"cenet"}
    assert table["test_miou"].to_dict() == pytest.approx(
        {"own recipe": 0.47, "point-5": 0.50, "point-3": 0.53, "point-6": 0.44, "point-2": 0.46}
    )
    assert table["over_own_recipe"].drop("own recipe").to_dict() == pytest.approx(
        {"point-5": 0.03, "point-3": 0.06, "point-6": -0.03, "point-2": -0.01}
    )
    against = table["over_best_scratch"]
    assert against["point-5"] == pytest.approx(0.06), "over point-6, though point-2 scored higher on the test scans"
    assert pd.isna(against["point-6"]) and pd.isna(table.loc["own recipe", "over_own_recipe"])
    assert pd.isna(table.loc["own recipe", "validation_miou"]) and (table["over_own_recipe_seeds"].iloc[1:] == 6).all()


@pytest.mark.parametrize(
    ("seeds", "test", "pretraining", "searching"),
    [
        (SIX, {}, "Where both sides are searched, pretraining helps by 6.0 ± 0.0 points: the best of 4 points "
         "pretrained first against the best of 2 from scratch.", "The best of 6 points is 3.0 ± 0.0 points above"),
        (range(3), {"point-5": 0.4}, "pretraining seems to do harm, by 4.0 ± 0.0 points: the best",
         "seems to be 7.0 ± 0.0 points below"),
        ((0,), {}, "pretraining gains +6.0 points in the one seed that there is: the best", "+3.0 points beside"),
    ],
)  # fmt: skip
def test_the_report_opens_with_what_was_judged(
    tmp_path: Path, seeds: Any, test: dict[str, float], pretraining: str, searching: str
) -> None:
    results = load_study(judged_study(tmp_path, seeds, TEST | test))
    first, second, *_ = opening(results, all_tables(results))
    assert pretraining in first.text and "promised +9.0 points" in first.more
    assert searching in second.text and "point-5" in second.more
    assert headline(results)[:2] == [f"{first.text} {first.more}", f"{second.text} {second.more}"]


def test_the_page_and_the_terminal_show_it(tmp_path: Path) -> None:
    study, said = judged_study(tmp_path), io.StringIO()
    page = (write_report(study, console=Console(file=said, width=120)) / "index.html").read_text()
    assert "What the search comes to" in said.getvalue() and "What mattered" not in said.getvalue()
    order = ("both sides are searched", "id='what-the-search-comes-to'", "id='the-search'")
    assert [page.index(text) for text in order] == sorted(page.index(text) for text in order)
    assert "What mattered among the points" in page
    said.truncate(0)
    write_report(study, console=Console(file=said, width=120), only=("judged",))
    assert "point-5" in said.getvalue() and "Transfer gap" not in said.getvalue() and "Zero-shot" not in said.getvalue()


@pytest.mark.parametrize(
    "record",
    [{"points": [{"point": "point-1"}]}, {"judged": True}, {"judged": "yes", "importances": 3},
     {"judged": True, "points": 3}, {"judged": True, "points": [{"point": "point-5"}]},
     {"judged": True, "importances": {"pretrained first": [1], "from scratch": {"width": "much"}}}],
)  # fmt: skip
def test_a_record_that_says_less_is_no_trouble(tmp_path: Path, record: Any) -> None:
    tables = all_tables(load_study(judged_study(tmp_path, record=record)))
    assert ("judged" in tables) == (record.get("judged") is True) and "importances" not in tables
    page = (write_report(judged_study(tmp_path / "again", record=record)) / "index.html").read_text()
    assert "both sides are searched" not in page

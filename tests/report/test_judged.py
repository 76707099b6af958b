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
from lidartune.report.compare.figures import Pair, Side, compared_table
from lidartune.report.headline import headline
from lidartune.report.opening import opening
from lidartune.report.tables import all_tables

from .made_up_study import edit, make_study

JUDGED = {"own": 3, "point-3": 3, "point-5": 3, "own-scratch": 0, "point-2": 0, "point-6": 0}  # -> pretraining epochs
VALIDATION = {"point-1": None, "point-2": 0.42, "point-3": 0.52, "point-4": 0.3, "point-5": 0.54, "point-6": 0.45}
TEST = {"own": 0.47, "point-3": 0.53, "point-5": 0.50, "own-scratch": 0.43, "point-2": 0.46, "point-6": 0.44}
ORDER = ("own", "point-5", "point-3", "own-scratch", "point-6", "point-2")
SIX = range(6)


def judged_study(
    root: Path, seeds: Any = SIX, test: dict[str, float] = TEST, record: Any = None, order: tuple[str, ...] = ORDER
) -> Path:
    """A study as a search leaves it that judged the best two of each kind."""

    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        own = role == ("finetuned" if cell["pretrain_epochs"] else "scratch") and domain == "real"
        return (test[cell["backbone"]] if own else 0.2) + 0.01 * (cell["seed"] % 3 - 1)

    study = make_study(root, backbones=order, pretrain_epochs=(0, 3), seeds=seeds, accuracy=accuracy, curves=False)
    told: dict[str, dict[str, Any]] = {}

    def named(plan: dict[str, Any]) -> None:
        plan["cells"] = [cell for cell in plan["cells"] if JUDGED[cell["backbone"]] == cell["pretrain_epochs"]]
        for cell in plan["cells"]:
            name = cell["backbone"]
            cell["backbone"] = "cenet"
            if name.startswith("point"):
                cell["variant"] = {"name": name}
            bare = {key: value for key, value in cell.items() if key != "roles"}
            kind = "pretrained first" if cell["pretrain_epochs"] else "from scratch"
            told[name] = {"recipe": name if "variant" in cell else "own recipe", "kind": kind, "cell": bare}

    edit(study / "plan.json", named)
    points = [
        {"point": name, "kind": "from scratch" if JUDGED.get(name) == 0 else "pretrained first", "status": "done",
         "epochs": 4, "validation_miou": value, "learning_rate": 0.01}
        for name, value in VALIDATION.items()
    ]  # fmt: skip
    shares = {"pretrained first": {"learning_rate": 0.7, "width": 0.3}}
    found: dict[str, Any] = {"points": points, "importances": shares, "judged": [told[name] for name in order]}
    (study / "points.json").write_text(json.dumps(found | (record or {})))
    return study


def test_judged_recipes_are_a_table_in_which_validation_chose(tmp_path: Path) -> None:
    table = pd.read_csv(write_report(judged_study(tmp_path)) / "judged.csv")
    assert list(table["recipe"]) == ["own recipe", "point-5", "point-3", "own recipe", "point-6", "point-2"]
    assert set(table["backbone"]) == {"cenet"} and list(table["pretrain_epochs"]) == [3, 3, 3, 0, 0, 0]
    assert list(table["test_miou"]) == pytest.approx([TEST[name] for name in ORDER])
    own, scratch = table["over_own_recipe"].fillna(9), table["over_best_scratch"].fillna(9)
    assert list(own) == pytest.approx([9, 0.03, 0.06, 9, 0.01, 0.03]), "each beside the own recipe at its setting"
    assert list(scratch) == pytest.approx([0.03, 0.06, 0.09, -0.01, 9, 0.02]), "over point-6: validation chose it"
    assert list(table["validation_miou"].fillna(9)) == [9, 0.54, 0.52, 9, 0.45, 0.42]
    assert (table["over_own_recipe_seeds"].iloc[[1, 2, 4, 5]] == 6).all()


def test_points_that_drew_no_recipe_are_the_own_one_and_each_setting_has_its_own_score(tmp_path: Path) -> None:
    """As where only the axes are drawn: the cells of a point are then those of the study's own recipe."""
    study = judged_study(tmp_path, order=("own", "own-scratch"))
    record = json.loads((study / "points.json").read_text())
    own, scratch = record["judged"]
    record["judged"] = [own, own | {"recipe": "point-5"}, scratch, scratch | {"recipe": "point-6"}]
    (study / "points.json").write_text(json.dumps(record))
    results = load_study(study)
    table = all_tables(results)["judged"]
    assert list(table["test_miou"]) == pytest.approx([0.47, 0.47, 0.43, 0.43])
    assert table["over_own_recipe"].isna().all()
    first, second, *_ = opening(results, all_tables(results))
    assert "pretraining helps by 4.0" in first.text and "own recipe" not in second.text


def test_other_numbers_of_labelled_scans_are_not_compared(tmp_path: Path) -> None:
    def more(cells: list[dict[str, Any]]) -> None:
        for cell in cells:
            cell["labelled_scans"] = 48 if cell["pretrain_epochs"] == 0 else 8

    study = judged_study(tmp_path)
    edit(study / "plan.json", lambda plan: more(plan["cells"]))
    edit(study / "points.json", lambda record: more([entry["cell"] for entry in record["judged"]]))
    results = load_study(study)
    table = all_tables(results)["judged"]
    assert table["over_best_scratch"].iloc[:3].isna().all()
    assert not any("both sides" in line for line in headline(results))


@pytest.mark.parametrize(
    ("seeds", "test", "pretraining", "searching"),
    [
        (SIX, {}, "Where both sides are searched, pretraining helps by 6.0 ± 0.0 points: the best of 4 draws "
         "pretrained first against the best of 2 draws from scratch.", "The best of 6 draws is 3.0 ± 0.0 points above"),
        (SIX, {"point-6": 0.5, "own-scratch": 0.3}, "cannot be told whether pretraining helps (+0.0 ± 0.0 points): the",
         "draws is 3.0 ± 0.0 points above"),
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
    told = headline(results)
    assert told[:2] == [f"{first.text} {first.more}", f"{second.text} {second.more}"]
    assert len(told) == 3 and told[2].startswith("Zero-shot")


def test_two_searches_are_compared_by_what_was_drawn_not_by_its_number(tmp_path: Path) -> None:
    def drawn(learning_rate: float) -> Any:
        def change(plan: dict[str, Any]) -> None:
            for cell in plan["cells"]:
                if "variant" in cell:
                    rate = learning_rate if cell["variant"]["name"] == "point-5" else 0.1
                    cell["variant"] |= {"finetuning": {"learning_rate": rate}, "pretraining": {"raydrop": "off"}}

        return change

    studies = [judged_study(tmp_path / name, order=("own", "point-5", "point-2")) for name in "ab"]
    for study, rate in zip(studies, (0.01, 0.02), strict=True):
        edit(study / "plan.json", drawn(rate))
    table = compared_table(Pair(first=Side(letter="A", results=load_study(studies[0])),
                                other=Side(letter="B", results=load_study(studies[1]))))  # fmt: skip
    places = dict(zip(table["backbone"], table["in"], strict=True))
    assert places == {
        "cenet": "both",
        "cenet (learning_rate 0.1, pretraining.raydrop off)": "both",
        "cenet (learning_rate 0.01, pretraining.raydrop off)": "only A",
        "cenet (learning_rate 0.02, pretraining.raydrop off)": "only B",
    }


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
    [
        {"judged": True},
        {"judged": [3, {}, {"recipe": "point-5", "kind": 3, "cell": {}}, {"recipe": "x", "cell": None}]},
        {"judged": [{"recipe": "point-9", "kind": "from scratch", "cell": {"backbone": "cenet", "width": "wide"}}]},
        {"judged": [{"recipe": "point-5", "kind": "none", "cell": {"backbone": "cenet", "width": float("inf")}}]},
        {"points": 3, "importances": 3},
        {"points": [{"point": "point-5", "kind": "odd", "validation_miou ": "no number"}], "importances": {}},
        {"points": [{"point": "point-5"}], "importances": {"pretrained first": [1], "from scratch": {"width": "much"}}},
        {"points": [{"point": "point-5", "validation_miou": 10**400}], "importances": {"x": {"y": 10**400}}},
    ],
)
def test_a_record_that_says_less_is_no_trouble(tmp_path: Path, record: Any) -> None:
    tables = all_tables(load_study(judged_study(tmp_path, record=record)))
    assert ("judged" in tables) == ("judged" not in record) and ("importances" in tables) == ("judged" in record)
    page = (write_report(judged_study(tmp_path / "again", record=record)) / "index.html").read_text()
    assert "both sides are searched" not in page

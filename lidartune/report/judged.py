"""What a search comes to: the recipes that it chose, on fresh seeds, and what mattered among its points."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.groups import Group, group_cells, mean_score
from lidartune.report.opening_words import Sentence, amount, helps, over, points
from lidartune.report.plain_text import plain_name
from lidartune.report.points import VALUE, points_table, search_record
from lidartune.report.results import StudyResults
from lidartune.report.texts import TextTable, count, key_columns, percent, row_interval, with_half_width
from lidartune.transfer import gap

OWN_RECIPE = "own recipe"
"""The study's, beside those that a search has drawn."""
_DRAWN = re.compile(r"^(?P<backbone>.*) \((?P<point>point-\d+)\)$")


def judged_table(results: StudyResults) -> pd.DataFrame:
    """One row a judged recipe: the study's own, then those that were drawn, each kind's best by validation first.

    `validation_miou` is what a recipe was chosen by (nan for the study's own), `test_miou` its score on the fresh
    seeds: after fine-tuning, or from scratch where nothing is pretrained. `over_own_recipe` and `over_best_scratch` are
    how far it is above the study's own recipe and above that one from scratch which has the best validation score,
    paired by seed. Without rows the study has judged nothing.
    """
    if search_record(results).get("judged") is not True:
        return pd.DataFrame()
    values = points_table(results)
    chosen_by = dict(zip(values["point"], values[VALUE], strict=True)) if len(values) else {}
    recipes = [(*_recipe(group), group) for group in group_cells(results)]
    recipes.sort(key=lambda r: (r[0] != OWN_RECIPE, r[2].key[2] == 0, -np.nan_to_num(chosen_by.get(r[0], 0.0))))
    tested = {name: _tested(results, group) for name, _, group in recipes}
    scratch = next((name for name, _, g in recipes if name != OWN_RECIPE and g.key[2] == 0), None)
    rows = []
    for name, backbone, group in recipes:
        row = {"recipe": name} | key_fields(group) | {"backbone": backbone}
        row |= {VALUE: chosen_by.get(name, np.nan)} | interval_fields("test_miou", gap.t_interval(tested[name]))
        for column, other in (("over_own_recipe", OWN_RECIPE), ("over_best_scratch", scratch)):
            nothing = np.full(len(group.cells), np.nan)
            against = tested.get(other, nothing) if other not in (None, name) else nothing
            row |= interval_fields(column, gap.paired_difference(tested[name], against))
        rows.append(row)
    return pd.DataFrame(rows)


def _recipe(group: Group) -> tuple[str, str]:
    """The name of a group's recipe, and its backbone without that."""
    drawn = _DRAWN.match(group.key[0])
    return (drawn["point"], drawn["backbone"]) if drawn else (OWN_RECIPE, group.key[0])


def _tested(results: StudyResults, group: Group) -> gap.Floats:
    """(seeds,) test mIoU on real scans of what the cells are about."""
    role = "finetuned" if group.key[2] else "scratch"
    return np.array([mean_score(results, cell, role, "real") for cell in group.cells])


def judged_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    records = frame.to_dict("records")
    heads, keys, constant = key_columns(records)
    rows = [
        [row["recipe"], *key, percent(row[VALUE]), *(_figure(row, name) for name in _FIGURES)]
        for row, key in zip(records, keys, strict=True)
    ]
    return TextTable(
        title="What the search comes to, on fresh seeds",
        heads=["recipe", *heads, "validation\nmIoU", "test mIoU", "over own\nrecipe", "over best\nfrom scratch"],
        rows=rows,
        left=1 + len(heads),
        notes=[
            *constant,
            "Validation: what a recipe was chosen by, too good by the choice. Test: trained anew on seeds that nothing "
            "was chosen by; differences are paired by seed. Best from scratch: the one with the best validation score.",
        ],
    )


_FIGURES = ("test_miou", "over_own_recipe", "over_best_scratch")


def _figure(row: dict[str, object], name: str) -> str:
    interval = row_interval(row, name)
    if np.isnan(interval.mean) or name != "test_miou":
        return with_half_width(interval)
    return with_half_width(interval).removeprefix("+")


def judged_sentences(frame: pd.DataFrame | None, drawn: pd.DataFrame | None) -> list[Sentence]:
    """Whether pretraining helps where both sides are searched, and whether the search was worth it; of a search that
    judged its points only.

    Args:
        frame: the judged recipes.
        drawn: the points.
    """
    if frame is None or drawn is None or not len(frame) or not len(drawn):
        return []
    recipes = frame[frame["recipe"].isin(drawn["point"])]
    found = [_pretraining(recipes, drawn), _searching(recipes, drawn)]
    return [sentence for sentence in found if sentence is not None]


def _pretraining(recipes: pd.DataFrame, drawn: pd.DataFrame) -> Sentence | None:
    pretrained, scratch = recipes[recipes["pretrain_epochs"] != 0], recipes[recipes["pretrain_epochs"] == 0]
    if not len(pretrained) or not len(scratch) or np.isnan(pretrained.iloc[0]["over_best_scratch"]):
        return None
    row = pretrained.iloc[0].to_dict()
    interval = row_interval(row, "over_best_scratch")
    promised = gap.Interval(mean=row[VALUE] - scratch.iloc[0][VALUE], low=np.nan, high=np.nan, seeds=0)
    first, second = (int(drawn["points"].isin(_kinds(drawn, each)).sum()) for each in (pretrained, scratch))
    return Sentence(
        text=f"Where both sides are searched, {helps('pretraining', interval).removesuffix(',')}: the best of "
        f"{count(first, 'point')} pretrained first against the best of {second} from scratch.",
        more=f"{over(interval, 1)}Both were chosen by validation, which promised {points(promised)}, and trained anew "
        "on seeds that nothing was chosen by, with the same fine-tuning updates.",
        interval=interval,
    )


def _kinds(drawn: pd.DataFrame, recipes: pd.DataFrame) -> pd.Series:
    return drawn.loc[drawn["point"].isin(recipes["recipe"]), "points"]


def _searching(recipes: pd.DataFrame, drawn: pd.DataFrame) -> Sentence | None:
    best = recipes.loc[recipes[VALUE].idxmax()].to_dict() if recipes[VALUE].notna().any() else None
    if best is None or np.isnan(best["over_own_recipe"]):
        return None
    interval = row_interval(best, "over_own_recipe")
    said = {
        "positive": f"is {amount(interval)} above the study's own recipe",
        "negative": f"is {amount(interval)} below the study's own recipe",
        "suggests positive": f"seems to be {amount(interval)} above the study's own recipe",
        "suggests negative": f"seems to be {amount(interval)} below the study's own recipe",
        "not distinguishable": f"cannot be told from the study's own recipe ({points(interval)})",
    }.get(gap.verdict(interval), f"is at {points(interval)} beside the study's own recipe, in one seed")
    return Sentence(
        text=f"The best of {count(len(drawn), 'point')} {said}.",
        more=f"{over(interval, 1)}{best['recipe']}, at its own setting, on seeds that nothing was chosen by.",
        interval=interval,
    )


def importances_table(results: StudyResults) -> pd.DataFrame:
    """One row for each kind of points and drawn value: how much of what sets the kind's best quarter apart is due to
    it, 0..1 (PED-ANOVA, Watanabe et al., IJCAI 2023). A kind with fewer than four finished points has no row."""
    found = search_record(results).get("importances")
    rows = [
        {"points": plain_name(kind), "drawn": plain_name(name), "importance": float(share)}
        for kind, shares in (found.items() if isinstance(found, dict) else ())
        for name, share in (shares.items() if isinstance(shares, dict) else ())
        if isinstance(share, int | float)
    ]
    return pd.DataFrame(rows)


def importances_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people: of each kind the most important first."""
    ordered = frame.sort_values(["points", "importance"], ascending=[True, False], kind="stable")
    return TextTable(
        title="What mattered among the points",
        heads=["points", "drawn", "importance\n[%]"],
        rows=[[row["points"], row["drawn"], percent(row["importance"])] for row in ordered.to_dict("records")],
        left=2,
        notes=["A value's share in what sets a kind's best quarter apart (PED-ANOVA); few points say little."],
    )

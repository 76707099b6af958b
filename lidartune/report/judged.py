"""What a search comes to: the recipes that it chose, on fresh seeds, and what mattered among its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields
from lidartune.report.groups import KEY, Group, group_cells, mean_score
from lidartune.report.opening_words import Sentence, amount, helps, over, points, scans_words
from lidartune.report.plain_text import plain_name
from lidartune.report.points import ABOUT, points_table
from lidartune.report.results import Key, StudyResults, cell_key
from lidartune.report.search_record import OWN_RECIPE, VALUE, search_record
from lidartune.report.texts import TextTable, count, key_columns, percent, row_interval, with_half_width
from lidartune.transfer import gap


def judged_table(results: StudyResults) -> pd.DataFrame:
    """One row a judged recipe: of each kind of points the study's own recipe at the setting of the best one, then the
    best ones, the best by validation first.

    `validation_miou` is what a recipe was chosen by (nan for the study's own), `test_miou` its score on the fresh
    seeds: after fine-tuning, or from scratch where nothing is pretrained. `over_own_recipe` is how far it is above the
    study's own recipe at the same setting, where that was judged, `over_best_scratch` how far above the drawn recipe
    from scratch with the best validation score and as many labelled scans; both paired by seed. Without rows the study
    has judged nothing.
    """
    groups = {group.key: group for group in group_cells(results)}
    recipes = [recipe for entry in _entries(results) if (recipe := _judged(entry, groups)) is not None]
    values = points_table(results)
    chosen_by = dict(zip(values["point"], values[VALUE], strict=True)) if len(values) else {}
    rows = []
    for recipe in recipes:
        own = next((r for r in recipes if r.name == OWN_RECIPE and r.setting == recipe.setting), None)
        scratch = next((r for r in recipes if r.name != OWN_RECIPE and r.rivals(recipe)), None)
        tested = np.array(list(_by_seed(results, recipe.group).values()))
        row = {"recipe": recipe.name, "kind": recipe.kind} | dict(zip(KEY, recipe.setting, strict=True))
        row |= {VALUE: chosen_by.get(recipe.name, np.nan)} | interval_fields("test_miou", gap.t_interval(tested))
        for column, other in (("over_own_recipe", own), ("over_best_scratch", scratch)):
            against = np.full(len(tested), np.nan)
            if other is not None and other.group is not recipe.group:  # without a drawn field it is the own one
                scores = _by_seed(results, other.group)
                against = np.array([scores.get(cell.seed, np.nan) for cell in recipe.group.cells])
            row |= interval_fields(column, gap.paired_difference(tested, against))
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A judged recipe; `setting` is its group's key with the bare name of the backbone."""

    name: str
    kind: str
    setting: Key
    group: Group

    def rivals(self, other: _Judged) -> bool:
        """Whether it is from scratch, on as many labelled scans as the other."""
        return self.setting[2] == 0 and self.setting[4] == other.setting[4]


def _entries(results: StudyResults) -> list[Any]:
    entries = search_record(results).get("judged")
    return entries if isinstance(entries, list) else []


def _judged(entry: Any, groups: dict[Key, Group]) -> _Judged | None:
    """None of what is damaged, or not in the plan."""
    try:
        key = cell_key(entry["cell"])
        setting = (plain_name(entry["cell"]["backbone"]), *key[1:])
        name, kind = plain_name(entry["recipe"]), plain_name(entry["kind"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return _Judged(name=name, kind=kind, setting=setting, group=groups[key]) if key in groups else None


def _by_seed(results: StudyResults, group: Group) -> dict[int, float]:
    """Seed -> test mIoU on real scans of what the cell is about."""
    role = "finetuned" if group.key[2] else "scratch"
    return {cell.seed: mean_score(results, cell, role, "real") for cell in group.cells}


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
            "was chosen by; differences are paired by seed. Own recipe: the study's, at the same setting. Best from "
            "scratch: the drawn one with the best validation score.",
        ],
    )


_FIGURES = ("test_miou", "over_own_recipe", "over_best_scratch")


def _figure(row: dict[str, object], name: str) -> str:
    interval = row_interval(row, name)
    if np.isnan(interval.mean) or name != "test_miou":
        return with_half_width(interval)
    return with_half_width(interval).removeprefix("+")


def judged_sentences(
    frame: pd.DataFrame | None, drawn: pd.DataFrame | None
) -> tuple[Sentence | None, Sentence | None]:
    """Whether pretraining helps where both sides are searched, and whether the search was worth it; None where the
    study does not tell.

    Args:
        frame: the judged recipes.
        drawn: the points.
    """
    if frame is None or drawn is None or not len(frame) or not len(drawn):
        return None, None
    recipes = frame[frame["recipe"].isin(drawn["point"])].sort_values(VALUE, ascending=False, kind="stable")
    numbers = drawn["kind"].value_counts().to_dict()
    return _pretraining(recipes, numbers), _searching(recipes, drawn)


def _pretraining(recipes: pd.DataFrame, numbers: dict[str, int]) -> Sentence | None:
    """The best pretrained recipe beside the best from scratch."""
    pretrained, scratch = recipes[recipes["pretrain_epochs"] != 0], recipes[recipes["pretrain_epochs"] == 0]
    known = set(pretrained["kind"]) | set(scratch["kind"]) <= numbers.keys()
    if not known or not len(pretrained) or not len(scratch) or np.isnan(pretrained.iloc[0]["over_best_scratch"]):
        return None
    row, other = pretrained.iloc[0].to_dict(), scratch.iloc[0].to_dict()
    interval = row_interval(row, "over_best_scratch")
    promised = gap.Interval(mean=row[VALUE] - other[VALUE], low=np.nan, high=np.nan, seeds=0)
    return Sentence(
        text=f"Where both sides are searched, {helps('pretraining', interval).removesuffix(',')}: the best of "
        f"{count(numbers[row['kind']], 'draw')} pretrained first against the best of "
        f"{count(numbers[other['kind']], 'draw')} from scratch.",
        more=f"{over(interval, 1)}Both were chosen by validation, which promised {points(promised)}, and trained "
        f"anew on seeds that nothing was chosen by, with the same fine-tuning updates, at "
        f"{scans_words(row['labelled_scans'])}.",
        interval=interval,
    )


def _searching(recipes: pd.DataFrame, drawn: pd.DataFrame) -> Sentence | None:
    """The best recipe of all beside the study's own at the same setting."""
    if not len(recipes) or np.isnan(recipes.iloc[0]["over_own_recipe"]):
        return None
    best = recipes.iloc[0].to_dict()
    interval = row_interval(best, "over_own_recipe")
    said = {
        "positive": f"is {amount(interval)} above the study's own recipe",
        "negative": f"is {amount(interval)} below the study's own recipe",
        "suggests positive": f"seems to be {amount(interval)} above the study's own recipe",
        "suggests negative": f"seems to be {amount(interval)} below the study's own recipe",
        "not distinguishable": f"cannot be told from the study's own recipe ({points(interval)})",
    }.get(gap.verdict(interval), f"is at {points(interval)} beside the study's own recipe, in one seed")
    return Sentence(
        text=f"The best of {count(len(drawn), 'draw')} {said}.",
        more=f"{over(interval, 1)}Both at the setting of the best, {best['recipe']}, which has drawn: "
        f"{_values(drawn, best['recipe'])}.",
        interval=interval,
    )


def _values(drawn: pd.DataFrame, name: str) -> str:
    """What a point has drawn, in words."""
    row = drawn[drawn["point"] == name].iloc[0].drop(list(ABOUT))
    values = {key: f"{value:.3g}" if isinstance(value, float) else str(value) for key, value in row.dropna().items()}
    return ", ".join(f"{str(key).replace('_', ' ')} {value}" for key, value in values.items() if value)


def importances_table(results: StudyResults) -> pd.DataFrame:
    """One row for each kind of points and drawn value: how much of what sets the kind's best quarter apart is due to
    it, 0..1 (PED-ANOVA, Watanabe et al., IJCAI 2023). A kind with fewer than four finished points has no row."""
    found = search_record(results).get("importances")
    rows = [
        {"kind": plain_name(kind), "drawn": plain_name(name), "importance": share}
        for kind, shares in (found.items() if isinstance(found, dict) else ())
        for name, share in (shares.items() if isinstance(shares, dict) else ())
        if isinstance(share, float)
    ]
    return pd.DataFrame(rows)


def importances_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people: of each kind the most important first."""
    ordered = frame.sort_values(["kind", "importance"], ascending=[True, False], kind="stable")
    return TextTable(
        title="What mattered among the points",
        heads=["kind", "drawn", "importance\n[%]"],
        rows=[[row["kind"], row["drawn"], percent(row["importance"])] for row in ordered.to_dict("records")],
        left=2,
        notes=["A value's share in what sets a kind's best quarter apart (PED-ANOVA); few points say little."],
    )

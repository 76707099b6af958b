"""The figures of two studies side by side, a row a setting and measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidartune.report.columns import interval_fields
from lidartune.report.groups import KEY, Group, group_cells, one_network
from lidartune.report.results import Key, StudyResults, cell_order
from lidartune.report.scores import DOMAINS
from lidartune.transfer import gap
from lidartune.transfer.compare import over_settings
from lidartune.transfer.unpaired import welch_interval

MEASURES = (
    "finetuned", "scratch", "synthetic_to_real", "domain_gap", "gain_equal_finetuning", "gain_equal_total", "jumpstart",
    "forgetting",
)  # fmt: skip

Seeds = dict[int, float]
"""Seed -> a cell's figure; seeds without it are left out."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A study in a comparison: `letter` stands for it in tables, A for the first."""

    letter: str
    results: StudyResults

    @property
    def name(self) -> str:
        """Its letter and its name."""
        return f"{self.letter} ({self.results.name})"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two studies; differences are `other` - `first`."""

    first: Side
    other: Side

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both, in the order of the tables' columns."""
        return self.first, self.other

    def masks(self, side: Side) -> dict[str, NDArray[np.bool_]]:
        """Domain -> (C,) the classes of this side that a mean is over: those of its name in both test splits."""
        return {domain: np.isin(side.results.classes, self.shared(domain)) for domain in DOMAINS}

    def shared(self, domain: str) -> list[str]:
        """The names of the classes that both test splits of a domain hold."""
        one, two = (classes_of(side.results, domain) for side in self.sides)
        return [name for name in one if name in two]


def classes_of(results: StudyResults, domain: str) -> list[str]:
    """The names of the classes in a test split's ground truth."""
    return [name for name, there in zip(results.classes, results.class_sets[domain], strict=True) if there]


def _by_recipe(group: Group) -> Key:
    """The setting; a recipe that a search has drawn by what it is, since its number says nothing in another search."""
    backbone, *others = group.key
    recipe, drawn = group.cells[0].recipe, group.cells[0].drawn
    return (f"{backbone.removesuffix(f' ({recipe})')} ({drawn})" if recipe else backbone, *others)  # type: ignore[return-value]


def compared_table(pair: Pair) -> pd.DataFrame:
    """One row a setting and measure, settings that only one study has with empty figures.

    `first` and `other` are the studies' means, each over all its seeds; `difference` is over the seeds that both have
    where these are two or more (`paired` = yes), else between the means of either's seeds (`no`: Welch).
    """
    groups = [{_by_recipe(group): group for group in group_cells(side.results)} for side in pair.sides]
    masks = [pair.masks(side) for side in pair.sides]
    rows: list[dict[str, Any]] = []
    for key in sorted({*groups[0], *groups[1]}, key=cell_order):
        found = [of.get(key) for of in groups]
        only = [side.letter for side, group in zip(pair.sides, found, strict=True) if group is not None]
        scores = [
            seed_figures(side.results, group, mask) if group is not None else {}
            for side, group, mask in zip(pair.sides, found, masks, strict=True)
        ]
        for measure in MEASURES:
            row = {"study": pair.other.letter, "minus": pair.first.letter, **dict(zip(KEY, key, strict=True))}
            row |= {"measure": measure, "in": "both" if len(only) == 2 else f"only {only[0]}"}
            row |= _compared(*(of.get(measure, {}) for of in scores), once=_once(found, measure))
            row["reason"] = "; ".join(
                f"{side.letter}: {group.reason}"
                for side, group in zip(pair.sides, found, strict=True)
                if group is not None and group.reason
            )
            rows.append(row)
    return pd.DataFrame(rows)


def seed_figures(results: StudyResults, group: Group, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, Seeds]:
    """The names of MEASURES -> a setting's figures over the classes of `masks`, by seed."""
    found: dict[str, Seeds] = {measure: {} for measure in MEASURES}
    for cell in group.cells:
        scores = {}
        for name, (role, domain) in gap.SCORES.items():
            matrix = cell.matrix(role, domain)
            scores[name] = np.nan if matrix is None else float(gap.mean_iou(matrix, masks[domain]))
        scores |= {name: scores[a] - scores[b] for name, (a, b) in gap.DIFFERENCES.items()}
        for measure in MEASURES:
            if np.isfinite(scores[measure]):
                found[measure][cell.seed] = scores[measure]
    return found


def _once(groups: list[Group | None], measure: str) -> bool:
    """Whether the figure is one network's for all seeds, which then say nothing about its spread."""
    return any(group is not None and measure in one_network(group) for group in groups)


def _compared(first: Seeds, other: Seeds, *, once: bool) -> dict[str, Any]:
    shared = sorted({*first} & {*other})
    pairable = len(shared) >= 2 or (len(shared) == 1 and max(len(first), len(other)) == 1)
    if not first or not other:
        interval, paired = gap.t_interval(np.full(1, np.nan)), ""
    elif pairable:
        differences = np.array([other[seed] - first[seed] for seed in shared])
        interval, paired = gap.t_interval(differences.mean()[None] if once else differences), "yes"
    else:
        interval, paired = welch_interval(np.array([*other.values()]), np.array([*first.values()])), "no"
        if once:
            interval = gap.Interval(mean=interval.mean, low=np.nan, high=np.nan, seeds=1)
    row: dict[str, Any] = {}
    for name, seeds in (("first", first), ("other", other)):
        row |= {name: float(np.mean([*seeds.values()])) if seeds else np.nan, f"{name}_seeds": len(seeds)}
    return row | interval_fields("difference", interval) | {"paired": paired, "verdict": gap.verdict(interval)}


def overall_table(pair: Pair, compared: pd.DataFrame) -> pd.DataFrame:
    """One row a measure: the mean difference over the settings that both studies have, averaged seed by seed.

    Where no setting is paired by seed it is the mean of the settings' differences, without an interval.
    """
    figures = _by_setting(pair)
    rows = []
    for measure in MEASURES:
        mine = compared[(compared["measure"] == measure) & compared["difference"].notna()]
        keys = [key for key in figures if figures[key][0].get(measure) and figures[key][1].get(measure)]
        seeds = sorted({seed for key in keys for of in figures[key] for seed in of[measure]})
        differences = np.array(
            [[figures[key][1][measure].get(s, np.nan) - figures[key][0][measure].get(s, np.nan) for s in seeds]
             for key in keys]
        ).reshape(len(keys), len(seeds))  # fmt: skip
        interval, settings = over_settings(differences)
        if len(mine) and not (mine["paired"] == "yes").any():
            mean = float(mine["difference"].mean())
            interval, settings = gap.Interval(mean=mean, low=np.nan, high=np.nan, seeds=0), len(mine)
        row: dict[str, Any] = {"study": pair.other.letter, "minus": pair.first.letter, "measure": measure}
        row |= {"first": float(mine["first"].mean()), "other": float(mine["other"].mean())}
        row |= interval_fields("difference", interval)
        rows.append(row | {"settings": settings, "settings_matched": len(mine), "verdict": gap.verdict(interval)})
    return pd.DataFrame(rows)


def _by_setting(pair: Pair) -> dict[Key, list[dict[str, Seeds]]]:
    """The settings of both studies -> the figures of either, without those that one network has for all seeds."""
    groups = [{group.key: group for group in group_cells(side.results)} for side in pair.sides]
    return {
        key: [
            {name: seeds for name, seeds in figures.items() if name not in one_network(groups[0][key])}
            for side, of in zip(pair.sides, groups, strict=True)
            for figures in [seed_figures(side.results, of[key], pair.masks(side))]
        ]
        for key in groups[0]
        if key in groups[1]
    }

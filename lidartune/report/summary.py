"""Every measure over all settings of one number of pretraining epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields
from lidartune.report.groups import Group, group_cells, mean_scores, one_network
from lidartune.report.results import StudyResults
from lidartune.report.texts import TextTable, percent, row_interval, with_half_width
from lidartune.transfer import gap
from lidartune.transfer.compare import over_settings

SCORES = ("synthetic_to_synthetic", "synthetic_to_real", "finetuned", "scratch")
ALL = "all"  # in place of one backbone's name
# Measures that are there before fine-tuning: what it freezes and which scans it sees makes no other setting.
_BEFORE = ("domain_gap", "synthetic_to_synthetic", "synthetic_to_real")


def summary_table(results: StudyResults) -> pd.DataFrame:
    """One row for each number of pretraining epochs, backbone (and all of them) and measure.

    `mean` is averaged over settings within each seed, with its interval over seeds (compare.over_settings); `iqm` the
    interquartile mean of all settings and seeds together; `above_0` and `below_0` count the settings whose own interval
    lies wholly above or below 0.
    """
    rows = []
    groups = [group for group in group_cells(results) if group.key[2] != 0]
    for epochs in dict.fromkeys(group.key[2] for group in groups):
        mine = [group for group in groups if group.key[2] == epochs]
        backbones = list(dict.fromkeys(group.key[0] for group in mine))
        for backbone in (ALL, *(backbones if len(backbones) > 1 else [])):
            chosen = [group for group in mine if backbone in (ALL, group.key[0])]
            for measure in (*SCORES, *gap.DIFFERENCES):
                values = setting_values(results, chosen, measure)
                mean, settings = over_settings(values)
                each = gap.t_interval(values.T)
                rows.append(
                    {"pretrain_epochs": epochs, "backbone": backbone, "measure": measure}
                    | interval_fields("mean", mean)
                    | {"iqm": float(gap.interquartile_mean(values.ravel())), "settings": settings}
                    | {"above_0": int((each.low > 0).sum()), "below_0": int((each.high < 0).sum())}
                    | {"verdict": gap.verdict(mean) if measure in gap.DIFFERENCES else ""}
                )
    return pd.DataFrame(rows)


def setting_values(results: StudyResults, groups: list[Group], measure: str) -> gap.Floats:
    """(settings, seeds) of a score or a difference of gap.py, nan = not there; settings without any are left out.

    What one network has for all seeds stands there once, as of one seed.
    """
    seeds = sorted({cell.seed for group in groups for cell in group.cells})
    found: dict[Any, gap.Floats] = {}
    for group in groups:
        scores = mean_scores(results, group)
        names = gap.DIFFERENCES.get(measure, (measure,))
        if any(name not in scores for name in names):
            continue
        values = scores[names[0]] - scores[names[1]] if len(names) > 1 else scores[names[0]]
        row = np.full(len(seeds), np.nan)
        if measure in one_network(group):
            row[0] = gap.nan_mean(values, 0)
        else:
            row[[seeds.index(cell.seed) for cell in group.cells]] = values
        key = group.key[:3] if measure in _BEFORE else group.key
        if (~np.isnan(row)).sum() > (~np.isnan(found[key])).sum() if key in found else ~np.isnan(row).all():
            found[key] = row
    return np.stack(list(found.values())) if found else np.full((0, len(seeds)), np.nan)


def summary_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people: over all backbones."""
    rows = []
    for row in frame.to_dict("records"):
        if np.isnan(row["mean"]) or row["backbone"] != ALL:
            continue
        difference = row["measure"] in gap.DIFFERENCES
        mean = row_interval(row, "mean")
        iqm = f"{100 * row['iqm'] + 0.0:+.1f}" if difference else percent(row["iqm"])
        each = f"{row['above_0']} / {row['below_0']}" if difference else ""
        rows.append(
            [str(row["pretrain_epochs"]), row["measure"].replace("_", " ")]
            + [with_half_width(mean) if difference else percent(row["mean"]), iqm]
            + [str(row["settings"]), str(row["mean_seeds"]), each, row["verdict"]]
        )
    return TextTable(
        title="Over all settings",
        heads=["pre\nepochs", "measure", "mean", "IQM", "settings", "seeds", "above / below 0\neach", "verdict"],
        rows=rows,
        left=2,
        notes=[
            "Mean: over settings within each seed, 95 % t interval over seeds. IQM: interquartile mean of all settings "
            f"and seeds together. Over fewer than {gap.FEWEST_SEEDS} seeds nothing is called significant: an interval "
            "that leaves out 0 suggests."
        ],
    )

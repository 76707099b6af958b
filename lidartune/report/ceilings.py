"""What a canvas width allows at best, and what fine-tuning costs at home."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.groups import group_cells, mean_score, measures
from lidartune.report.results import StudyResults
from lidartune.report.scores import DOMAINS
from lidartune.report.texts import TextTable, key_columns, percent, row_interval, with_half_width

_HOME = ("synthetic_to_synthetic", "finetuned_on_synthetic", "forgetting")


def ceilings_table(results: StudyResults) -> pd.DataFrame:
    """One row a width x test split: the score of the true pixel classes sent back through the vote.

    It has nothing to do with a network: `ceiling_lowest` and `ceiling_highest` over all that were scored are the same
    where they were scored on the same scans. `best` is the highest mean over seeds of any setting's training.
    """
    rows = []
    for width in sorted({cell.width for cell in results.cells}):
        cells = [cell for cell in results.cells if cell.width == width]
        for domain in DOMAINS:
            roles = {role for cell in cells for role in cell.roles}
            ceilings = np.array([mean_score(results, c, r, domain, "ceiling") for c in cells for r in sorted(roles)])
            there = ceilings[~np.isnan(ceilings)]
            rows.append(
                {"width": width, "scored_on": domain}
                | {"ceiling": float(there.mean()) if len(there) else np.nan}
                | {"ceiling_lowest": float(there.min()) if len(there) else np.nan}
                | {"ceiling_highest": float(there.max()) if len(there) else np.nan}
                | _best(results, width, domain)
            )
    return pd.DataFrame(rows)


def _best(results: StudyResults, width: int, domain: str) -> dict[str, Any]:
    """The highest mean over seeds among the trainings of this width, and which one it is."""
    best, name = np.nan, ""
    for group in group_cells(results):
        if group.key[1] != width:
            continue
        for role in sorted({role for cell in group.cells for role in cell.roles}):
            scores = np.array([mean_score(results, cell, role, domain) for cell in group.cells])
            if not np.isnan(scores).any() and not scores.mean() <= best:
                best, name = float(scores.mean()), f"{role.replace('_', ' ')}: {group.label}"
    return {"best": best, "best_setting": name}


def ceilings_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    return TextTable(
        title="Ceilings: what a width allows at best",
        heads=["width", "scored on", "ceiling", "best\nscore"],
        rows=[
            [str(row["width"]), row["scored_on"], percent(row["ceiling"]), percent(row["best"])]
            for row in frame.to_dict("records")
        ],
        left=2,
        notes=[
            "Ceiling: the true class of every pixel sent back to the points through the neighbour vote. No network of "
            "that width does better."
        ],
    )


def forgetting_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting with pretraining: the synthetic test split before and after fine-tuning on real scans."""
    rows = []
    for group in group_cells(results):
        if group.key[2] != 0:
            found = measures(results, group)
            row = key_fields(group)
            for name in _HOME:
                row |= interval_fields(name, found[name])
            rows.append(row)
    return pd.DataFrame(rows)


def forgetting_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    records = frame.to_dict("records")
    heads, keys, constant = key_columns(records)
    rows = [
        [*key, percent(row[_HOME[0]]), percent(row[_HOME[1]]), with_half_width(row_interval(row, _HOME[2]))]
        for row, key in zip(records, keys, strict=True)
    ]
    notes = [*constant, "On the synthetic test split; forgetting: before less after, paired by seed."]
    heads = [*heads, "before\nfine-tuning", "after", "forgetting"]
    return TextTable(title="Forgetting", heads=heads, rows=rows, left=len(heads) - 3, notes=notes)

"""The table that compares the learning curves of fine-tuning and of training from scratch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.curves import learning_curve
from lidartune.report.groups import group_cells, measures
from lidartune.report.results import CellResult, StudyResults
from lidartune.report.texts import NA, TextTable, key_columns, row_interval, with_half_width
from lidartune.transfer import gap

THRESHOLDS = (0.5, 0.75, 0.9, 1.0)  # shares of scratch's validation score after the fine-tuning epochs


def learning_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting: jumpstart; area, asymptote and updates to thresholds of fine-tuning's and scratch's curves.

    The jumpstart is on the test split. Both curves are the real domain's validation mIoU on points over the fine-tuning
    updates. A threshold is a share of
    the same seed's last scratch score; updates are over the seeds that reach it, `_never` counts those that do not,
    and `_saved` is scratch - fine-tuned over the seeds in which both do.
    """
    rows = []
    for group in group_cells(results):
        pairs = [pair for cell in group.cells if (pair := curve_pair(results, cell)) is not None]
        jumpstart = interval_fields("jumpstart", measures(results, group)["jumpstart"])
        rows.append(key_fields(group) | {"seeds": len(pairs)} | jumpstart | learning_fields(pairs))
    return pd.DataFrame(rows)


CurvePair = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Where both curves were scored (E,), the fine-tuned scores (E,), those from scratch (E,)."""


def learning_fields(pairs: list[CurvePair], clock: str = "updates") -> dict[str, Any]:
    """The measures of `learning_table` for one setting; `clock` is what the pairs' first arrays count."""
    fields: dict[str, Any] = {}
    for name, height in (("area", lambda x, y: gap.area(x, y)), ("asymptote", lambda x, y: gap.asymptote(y))):
        both = np.array([[height(x, tuned), height(x, scratch)] for x, tuned, scratch in pairs]).reshape(-1, 2)
        for label, values in (
            ("finetuned", both[:, 0]),
            ("scratch", both[:, 1]),
            ("gain", both[:, 0] - both[:, 1]),
        ):
            fields |= interval_fields(f"{name}_{label}", gap.t_interval(values))
    for share in THRESHOLDS:
        fields |= _threshold_fields(f"{clock}_to_{round(share * 100)}_percent", pairs, share)
    return fields


def _threshold_fields(stem: str, pairs: list[CurvePair], share: float) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    reached = {}
    for label, place in (("finetuned", 1), ("scratch", 2)):
        updates = np.array([gap.updates_to_threshold(pair[0], pair[place], share * pair[2][-1]) for pair in pairs])
        reached[label] = np.where(np.isfinite(updates), updates, np.nan)  # inf = never
        fields[f"{stem}_{label}"] = float(gap.nan_mean(reached[label], 0))
        fields[f"{stem}_{label}_never"] = int(np.isnan(reached[label]).sum())
    saved = gap.paired_difference(reached["scratch"], reached["finetuned"])
    return fields | interval_fields(f"{stem}_saved", saved)


def curve_pair(results: StudyResults, cell: CellResult) -> CurvePair | None:
    """Updates and the two validation curves on real, over the epochs that both runs have; None where one is absent or
    has not come to its end: half a curve has another area and another last score."""
    tuned, scratch = learning_curve(results, cell, "finetuned"), learning_curve(results, cell, "scratch")
    if tuned is None or scratch is None:
        return None
    last = cell.roles["finetuned"].epoch
    if any(last not in curve.epochs for curve in (tuned, scratch)):
        return None
    _, mine, its = np.intersect1d(tuned.epochs, scratch.epochs, return_indices=True)
    pair = tuned.miou["real"][mine], scratch.miou["real"][its]
    if len(mine) < 2 or any(np.isnan(curve).any() for curve in pair):
        return None
    return tuned.updates[mine], *pair


def learning_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    records = [row for row in frame.to_dict("records") if row["pretrain_epochs"] != 0]
    heads, keys, constant = key_columns(records)
    shares = [f"{round(share * 100)}" for share in THRESHOLDS]
    rows = [
        [*key, *(with_half_width(row_interval(row, name)) for name in ("jumpstart", "area_gain", "asymptote_gain"))]
        + [f"{_reached(row, share, 'finetuned')} / {_reached(row, share, 'scratch')}" for share in shares]
        for row, key in zip(records, keys, strict=True)
    ]
    return TextTable(
        title="Learning curves of fine-tuning against those from scratch",
        heads=[*heads, "jump-\nstart", "area", "asymp-\ntote", *(f"updates\nto {share} %" for share in shares)],
        rows=rows,
        left=len(heads),
        notes=[
            *constant,
            "Jumpstart on the test split, the others on validation scans: fine-tuned less scratch in points, paired "
            "by seed. Updates: fine-tuned / scratch, to that share of the same seed's last scratch score, mean over "
            "the seeds that get there; never: how many do not, within the fine-tuning updates.",
        ],
    )


def _reached(row: dict[str, Any], share: str, label: str) -> str:
    stem = f"updates_to_{share}_percent_{label}"
    never = int(row[f"{stem}_never"])
    if np.isnan(row[stem]):
        return f"never in {never}" if never else NA
    return f"{row[stem]:.0f}" + (f" (never in {never})" if never else "")

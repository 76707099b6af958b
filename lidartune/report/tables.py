"""The study's tables as data frames and files.

Figures are fractions 0..1 with 6 decimals; an empty field is "n/a" (not there, or not defined). No times, hosts or
paths: the same results give byte-identical files.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.curves import learning_curve
from lidartune.report.groups import (
    KEY,
    Group,
    block_interval,
    class_scores,
    group_cells,
    mean_score,
    measures,
    one_network,
    plain_reason,
    shared_classes,
)
from lidartune.report.results import CellResult, StudyResults
from lidartune.transfer import gap

# What a row of the matrix was trained on -> the role that shows it after pretraining + fine-tuning updates.
TRAINED_ON: dict[str, str] = {
    "synthetic": "pretrained_longer",
    "real": "scratch_longer",
    "synthetic then real": "finetuned",
    "synthetic then synthetic": "synthetic_synthetic",
    "real then real": "real_real",
    "real then synthetic": "real_synthetic",
    "real (all scans)": "full_longer",
}
# The same with nothing before the fine-tuning updates (pretrain_epochs 0).
TRAINED_ON_FROM_SCRATCH = {"real": "scratch", "real (all scans)": "full"}
# From an imported network: nobody knows its updates, so that nothing else has as many.
TRAINED_ON_FROM_CHECKPOINT = {"synthetic": "pretrained", "synthetic then real": "finetuned"}
# Measures that are also given over the classes that both test splits hold (suffix `_shared`).
SHARED = (
    "synthetic_to_synthetic", "synthetic_to_real", "finetuned", "scratch", "scratch_longer",
    "domain_gap", "gain_equal_finetuning", "gain_equal_total", "forgetting",
)  # fmt: skip
CLASS_MEASURES = (
    "synthetic_to_real", "finetuned", "scratch", "scratch_longer", "full_longer",
    "domain_gap", "gain_equal_finetuning", "gain_equal_total", "jumpstart", "forgetting",
)  # fmt: skip
THRESHOLDS = (0.5, 0.75, 0.9, 1.0)  # shares of scratch's validation score after the fine-tuning epochs


def gap_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting, over its seeds: every measure of gap.py as mean, low, high (95 % interval) and seeds."""
    shared = shared_classes(results)
    rows = []
    for group in group_cells(results):
        row = _key_fields(group) | {
            "seeds_planned": len(group.cells),
            "seeds_done": group.done,
            "status": group.status,
            "reason": group.reason,
            "classes": int(results.class_sets["real"].sum()),
            "classes_shared": int(shared.sum()),
        }
        found = measures(results, group)
        for name, interval in found.items():
            row |= interval_fields(name, interval)
        for name in ("gain_equal_finetuning", "gain_equal_total"):
            row[f"{name}_verdict"] = gap.verdict(found[name])
        on_shared = measures(results, group, shared=True)
        for name in SHARED:
            row |= interval_fields(f"{name}_shared", on_shared[name])
        for name, role, domain, level in _OTHER_LEVELS:
            row |= interval_fields(
                name, gap.t_interval(np.array([mean_score(results, c, role, domain, level) for c in group.cells]))
            )
        for name, role, minus in (("finetuned", "finetuned", None), ("gain_equal_finetuning", "finetuned", "scratch")):
            low, high, blocks = block_interval(group, role, minus)
            stem = f"{name}_test_split"
            row |= {f"{stem}_low": low, f"{stem}_high": high, f"{stem}_blocks": blocks}
        rows.append(row)
    return pd.DataFrame(rows)


_OTHER_LEVELS = (
    ("finetuned_pixels", "finetuned", "real", "pixels"),
    ("finetuned_no_vote", "finetuned", "real", "no_vote"),
    ("scratch_pixels", "scratch", "real", "pixels"),
    ("scratch_no_vote", "scratch", "real", "no_vote"),
    ("ceiling_real", "scratch", "real", "ceiling"),
    ("ceiling_synthetic", "pretrained", "synthetic", "ceiling"),
)


def cells_table(results: StudyResults) -> pd.DataFrame:
    """One row a cell: its status, and the raw mIoU of every role on both test splits."""
    rows = []
    for cell in results.cells:
        row: dict[str, Any] = dict(zip(KEY, cell.key, strict=True))
        row |= {"seed": cell.seed, "status": cell.status, "reason": plain_reason(cell.reason)}
        row |= {name: mean_score(results, cell, role, domain) for name, (role, domain) in gap.SCORES.items()}
        for trained, role in TRAINED_ON.items():
            for domain in ("synthetic", "real"):
                row[f"{_slug(trained)}_scored_on_{domain}"] = mean_score(results, cell, role, domain)
        row |= {name: mean_score(results, cell, *where) for name, *where in _OTHER_LEVELS}
        rows.append(row)
    return pd.DataFrame(rows)


def matrix_table(results: StudyResults) -> pd.DataFrame:
    """Long: one row a setting x trained on x scored on, all after pretraining + fine-tuning updates.

    From a checkpoint: the checkpoint itself (`synthetic`) and after fine-tuning; `updates` is empty, being unknown.

    `freeze` is the setting's; `freeze_of_training` that of the row's training: only fine-tuning ever freezes.
    """
    rows = []
    for group in group_cells(results):
        for trained, role in trained_on(group).items():
            for domain in ("synthetic", "real"):
                values = np.array([mean_score(results, c, role, domain) for c in group.cells])
                once = group.from_checkpoint and role == "pretrained"
                interval = gap.t_interval(gap.nan_mean(values, 0)[None] if once else values)
                epochs = [c.roles[role].epoch for c in group.cells if role in c.roles]
                rows.append(
                    _key_fields(group)
                    | {"trained_on": trained, "scored_on": domain, "role": role}
                    | {"freeze_of_training": group.key[3] if role == "finetuned" else "none"}
                    | {"updates": _updates(results, group)}
                    | {"in_plan": "yes" if epochs else "no"}
                    | interval_fields("miou", interval)
                )
    return pd.DataFrame(rows)


def _updates(results: StudyResults, group: Group) -> int | str:
    """Pretraining and fine-tuning updates together; empty where a checkpoint's are unknown."""
    epochs = group.key[2]
    return (epochs + results.finetune_epochs) * results.updates_per_epoch if isinstance(epochs, int) else ""


def trained_on(group: Group) -> dict[str, str]:
    """The matrix's rows for a setting -> the role that each shows."""
    if group.from_checkpoint:
        return TRAINED_ON_FROM_CHECKPOINT
    return TRAINED_ON if group.key[2] else TRAINED_ON_FROM_SCRATCH


def per_class_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting x class: IoU and gains with intervals, and whether pretraining measurably harms the class."""
    rows = []
    for group in group_cells(results):
        found = gap.measure(class_scores(results, group), one_network=one_network(group))
        for index, name in enumerate(results.classes):
            if index == 0:
                continue
            row = _key_fields(group) | {"class": index, "name": name}
            row["in_real_test"] = "yes" if results.class_sets["real"][index] else "no"
            row["in_synthetic_test"] = "yes" if results.class_sets["synthetic"][index] else "no"
            for measure in CLASS_MEASURES:
                row |= interval_fields(measure, found[measure].at(index))
            for short in ("equal_finetuning", "equal_total"):
                verdict = gap.verdict(found[f"gain_{short}"].at(index))
                row[f"negative_transfer_{short}"] = "" if verdict == "n/a" else "yes" if verdict == "negative" else "no"
            rows.append(row)
    return pd.DataFrame(rows)


def learning_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting: area, asymptote and updates to thresholds of fine-tuning's and scratch's validation curves.

    Both curves are the real domain's validation mIoU on points over the fine-tuning updates. A threshold is a share of
    the same seed's last scratch score; updates are over the seeds that reach it, `_never` counts those that do not,
    and `_saved` is scratch - fine-tuned over the seeds in which both do.
    """
    rows = []
    for group in group_cells(results):
        pairs = [pair for cell in group.cells if (pair := curve_pair(results, cell)) is not None]
        rows.append(_key_fields(group) | {"seeds": len(pairs)} | learning_fields(pairs))
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
    """Updates and the two validation curves on real, over the epochs that both runs have; None where one is absent."""
    tuned, scratch = learning_curve(results, cell, "finetuned"), learning_curve(results, cell, "scratch")
    if tuned is None or scratch is None:
        return None
    _, mine, its = np.intersect1d(tuned.epochs, scratch.epochs, return_indices=True)
    pair = tuned.miou["real"][mine], scratch.miou["real"][its]
    if len(mine) < 2 or any(np.isnan(curve).any() for curve in pair):
        return None
    return tuned.updates[mine], *pair


def _key_fields(group: Group) -> dict[str, Any]:
    return dict(zip(KEY, group.key, strict=True))


def interval_fields(name: str, interval: gap.Interval) -> dict[str, Any]:
    """An interval as four columns: `name`, `name_low`, `name_high` and `name_seeds`."""
    return {
        name: float(interval.mean),
        f"{name}_low": float(interval.low),
        f"{name}_high": float(interval.high),
        f"{name}_seeds": int(interval.seeds),
    }


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")


def field_text(value: Any) -> str:
    """One CSV field: floats with 6 decimals, nan empty; text that a spreadsheet would take for a formula is quoted."""
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{round(float(value), 6) + 0.0:.6f}"
    if isinstance(value, str):
        text = value.replace("\r", " ").replace("\n", " ")
        return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
    return str(value)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV with LF line ends, each field by `field_text`."""
    texts = pd.DataFrame({c: [field_text(v) for v in table[c]] for c in table.columns}, columns=table.columns)
    return texts.to_csv(index=False, lineterminator="\n")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes `csv_text`."""
    path.write_text(csv_text(table), encoding="utf-8", newline="\n")

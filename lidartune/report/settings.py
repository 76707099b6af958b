"""Tables of settings: the gap table, and trained on x scored on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.groups import (
    Group,
    block_interval,
    group_cells,
    mean_score,
    mean_scores,
    measures,
    shared_classes,
)
from lidartune.report.results import StudyResults
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


def gap_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting, over its seeds: every measure of gap.py as mean, low, high (95 % interval) and seeds."""
    shared = shared_classes(results)
    rows = []
    for group in group_cells(results):
        row = key_fields(group) | {
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
        row |= interquartile_fields(results, group)
        for name in ("gain_equal_finetuning", "gain_equal_total"):
            row[f"{name}_verdict"] = gap.verdict(found[name])
        on_shared = measures(results, group, shared=True)
        for name in SHARED:
            row |= interval_fields(f"{name}_shared", on_shared[name])
        for name, role, domain, level in OTHER_LEVELS:
            row |= interval_fields(
                name, gap.t_interval(np.array([mean_score(results, c, role, domain, level) for c in group.cells]))
            )
        for name, role, minus in (("finetuned", "finetuned", None), ("gain_equal_finetuning", "finetuned", "scratch")):
            low, high, blocks = block_interval(group, role, minus)
            stem = f"{name}_test_split"
            row |= {f"{stem}_low": low, f"{stem}_high": high, f"{stem}_blocks": blocks}
        rows.append(row)
    return pd.DataFrame(rows)


def interquartile_fields(results: StudyResults, group: Group) -> dict[str, float]:
    """The interquartile means over seeds of the two scores and of all differences that gap.py defines: `<name>_iqm`."""
    scores = mean_scores(results, group)
    absent = np.full(len(group.cells), np.nan)
    values = {name: scores[name] for name in ("finetuned", "scratch")}
    for name, (minuend, subtrahend) in gap.DIFFERENCES.items():
        values[name] = scores.get(minuend, absent) - scores.get(subtrahend, absent)
    return {f"{name}_iqm": float(gap.interquartile_mean(each)) for name, each in values.items()}


OTHER_LEVELS = (
    ("finetuned_pixels", "finetuned", "real", "pixels"),
    ("finetuned_no_vote", "finetuned", "real", "no_vote"),
    ("scratch_pixels", "scratch", "real", "pixels"),
    ("scratch_no_vote", "scratch", "real", "no_vote"),
    ("ceiling_real", "scratch", "real", "ceiling"),
    ("ceiling_synthetic", "pretrained", "synthetic", "ceiling"),
)


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
                    key_fields(group)
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

"""The table with a row for each class of each setting."""

from __future__ import annotations

import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.groups import class_measures, group_cells
from lidartune.report.results import StudyResults
from lidartune.report.texts import NA, TextTable, key_columns, percent, row_interval, with_half_width
from lidartune.transfer import gap

CLASS_MEASURES = (
    "synthetic_to_real", "finetuned", "scratch", "scratch_longer", "full_longer",
    "domain_gap", "gain_equal_finetuning", "gain_equal_total", "jumpstart", "forgetting",
)  # fmt: skip
_FLAGS = {"n/a": "", "negative": "yes", "suggests negative": "suggested"}  # of what the verdict on a gain says


def per_class_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting x class: IoU and gains with intervals, and whether pretraining measurably harms the class."""
    rows = []
    for group in group_cells(results):
        found = class_measures(results, group)
        for index, name in enumerate(results.classes):
            if index == 0:
                continue
            row = key_fields(group) | {"class": index, "name": name}
            row["in_real_test"] = "yes" if results.class_sets["real"][index] else "no"
            row["in_synthetic_test"] = "yes" if results.class_sets["synthetic"][index] else "no"
            for measure in CLASS_MEASURES:
                row |= interval_fields(measure, found[measure].at(index))
            for short in ("equal_finetuning", "equal_total"):
                verdict = gap.verdict(found[f"gain_{short}"].at(index))
                row[f"negative_transfer_{short}"] = _FLAGS.get(verdict, "no")
            rows.append(row)
    return pd.DataFrame(rows)


def per_class_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people: the classes in the real test split, of settings with pretraining."""
    records = [r for r in frame.to_dict("records") if r["pretrain_epochs"] != 0 and r["in_real_test"] == "yes"]
    heads, keys, constant = key_columns(records)
    rows = [
        [*key, row["name"], *(percent(row[name]) for name in ("synthetic_to_real", "finetuned", "scratch"))]
        + [with_half_width(row_interval(row, f"gain_{short}")) for short in ("equal_finetuning", "equal_total")]
        + [row[f"negative_transfer_{short}"] or NA for short in ("equal_finetuning", "equal_total")]
        for row, key in zip(records, keys, strict=True)
    ]
    absent = [name for i, name in enumerate(results.classes) if i and not results.class_sets["real"][i]]
    return TextTable(
        title="Per class",
        heads=[
            *heads, "class", "S→R", "fine-\ntuned", "scra-\ntch", "gain, equal\nfine-tuning", "gain,\nequal\ntotal",
            "negative\ntransfer", "negative\ntransfer,\nequal total",
        ],
        rows=rows,
        left=len(heads) + 1,
        notes=[
            *constant,
            "IoU in percent. Negative transfer: the gain's interval lies wholly below 0; suggested: the same over "
            f"fewer than {gap.FEWEST_SEEDS} seeds. Among many classes and settings about 1 in 40 does so by chance.",
            *([f"Not in the real test split, so n/a: {', '.join(absent)}."] if absent else []),
        ],
    )  # fmt: skip

"""The table with a row for each class of each setting."""

from __future__ import annotations

import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.groups import class_scores, group_cells, one_network
from lidartune.report.results import StudyResults
from lidartune.transfer import gap

CLASS_MEASURES = (
    "synthetic_to_real", "finetuned", "scratch", "scratch_longer", "full_longer",
    "domain_gap", "gain_equal_finetuning", "gain_equal_total", "jumpstart", "forgetting",
)  # fmt: skip


def per_class_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting x class: IoU and gains with intervals, and whether pretraining measurably harms the class."""
    rows = []
    for group in group_cells(results):
        found = gap.measure(class_scores(results, group), one_network=one_network(group))
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
                row[f"negative_transfer_{short}"] = "" if verdict == "n/a" else "yes" if verdict == "negative" else "no"
            rows.append(row)
    return pd.DataFrame(rows)

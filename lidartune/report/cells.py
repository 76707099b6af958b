"""The table with a row for each cell: what every other table is made of."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from lidartune.report.groups import KEY, mean_score, plain_reason
from lidartune.report.results import StudyResults
from lidartune.report.settings import OTHER_LEVELS, TRAINED_ON
from lidartune.report.texts import TextTable, key_columns, percent
from lidartune.transfer import gap

_SHOWN = (
    ("S→S", "synthetic_to_synthetic"), ("S→R", "synthetic_to_real"), ("start", "start"), ("fine-\ntuned", "finetuned"),
    ("scra-\ntch", "scratch"), ("scra-\ntch\nlonger", "scratch_longer"), ("all\nscans", "full_longer"),
)  # fmt: skip


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
        row |= {name: mean_score(results, cell, *where) for name, *where in OTHER_LEVELS}
        rows.append(row)
    return pd.DataFrame(rows)


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")


def cells_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    records = frame.to_dict("records")
    heads, keys, constant = key_columns(records)
    rows = [
        [*key, str(row["seed"]), row["status"], *(percent(row[name]) for _, name in _SHOWN), row["reason"]]
        for row, key in zip(records, keys, strict=True)
    ]
    return TextTable(
        title="Cells",
        heads=[*heads, "seed", "status", *(head for head, _ in _SHOWN), "why not done"],
        rows=rows,
        left=len(heads) + 2,
        notes=constant,
    )

"""Data frames as CSV.

Figures are fractions 0..1 with 6 decimals; an empty field is "n/a" (not there, or not defined). No times, hosts or
paths: the same results give byte-identical files.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")  # what a spreadsheet takes for the start of a formula


def field_text(value: Any) -> str:
    """One CSV field: floats with 6 decimals, nan empty; text that a spreadsheet would take for a formula is quoted."""
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{round(float(value), 6) + 0.0:.6f}"
    if isinstance(value, str):
        text = value.replace("\r", " ").replace("\n", " ")
        return f"'{text}" if text.startswith("\t") or text.lstrip().startswith(FORMULA) else text
    return str(value)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV with LF line ends, each field by `field_text`."""
    texts = pd.DataFrame({c: [field_text(v) for v in table[c]] for c in table.columns}, columns=table.columns)
    return texts.to_csv(index=False, lineterminator="\n")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes `csv_text`."""
    path.write_text(csv_text(table), encoding="utf-8", newline="\n")

"""The points that a search has drawn, as its record tells them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lidartune.report.plain_text import plain_name
from lidartune.report.results import StudyResults
from lidartune.report.search_record import LAST, VALUE, search_record
from lidartune.report.texts import NA, TextTable, percent

ABOUT = ("point", "kind", "status", "epochs", LAST, VALUE)
"""The columns of every search; behind them stands what was drawn, a column each."""


def points_table(results: StudyResults) -> pd.DataFrame:
    """One row a point: its name, its kind (pretrained first or not), how it ended, after how many epochs on real scans,
    its first seed's score on the real validation scans after the last of these, what it is worth (the mean over seeds
    after the last epoch of all; nan where it was stopped or failed), and every value that was drawn for it (empty where
    none was)."""
    rows = search_record(results).get("points")
    points = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    drawn = dict.fromkeys(name for row in points for name in row if plain_name(name) not in ABOUT)
    return pd.DataFrame([_about(row) | {plain_name(name): _plain(row.get(name)) for name in drawn} for row in points])


def _about(row: dict[str, object]) -> dict[str, object]:
    epochs = row.get("epochs")
    return {name: plain_name(row.get(name, "")) for name in ABOUT[:3]} | {
        "epochs": epochs if isinstance(epochs, int) else 0,
        **{name: value if isinstance(value := row.get(name), float) else np.nan for name in (LAST, VALUE)},
    }


def _plain(value: object) -> object:
    return value if isinstance(value, int | float) else "" if value is None else plain_name(value)


def points_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people: the best first, what has no score last."""
    names = [name for name in frame.columns if name not in (LAST, VALUE)]
    ordered = frame.sort_values(VALUE, ascending=False, kind="stable", na_position="last")
    return TextTable(
        title="The points of the search",
        heads=[*(str(name).replace("_", " ") for name in names), "last\nmIoU", "validation\nmIoU"],
        rows=[
            [*(_text(row[name]) for name in names), percent(row[LAST]), percent(row[VALUE])]
            for row in ordered.to_dict("records")
        ],
        left=len(names),
        notes=[
            "Last: of a point's first seed after so many epochs. Scored on the validation scans: the best of many is "
            "too good by the choice. What it is worth is seen on seeds that nothing was chosen by (table judged)."
        ],
    )


def _text(value: object) -> str:
    if isinstance(value, float):
        return NA if np.isnan(value) else f"{value:.4g}"
    return str(value)

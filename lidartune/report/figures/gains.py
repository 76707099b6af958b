"""The gain over training from scratch of every setting, with its intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lidartune.figure_style import BLUE, GREY, INK, ORANGE, PAPER
from lidartune.report.figures.layout import CHARACTER, legend, mark, panels
from lidartune.report.figures.telling import RANKED_BY, certain, labels, with_pretraining
from lidartune.report.groups import KEY
from lidartune.report.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 24
_LEGEND = 6.6  # inches
MEASURES = (
    ("gain_equal_finetuning", "equal fine-tuning updates", BLUE, "o", -0.16),
    ("gain_equal_total", "equal total updates", ORANGE, "s", 0.16),
)


def gain_data(gap: pd.DataFrame) -> pd.DataFrame:
    """One row a setting with pretraining: both gains with their intervals, from the gap table."""
    rows = with_pretraining(gap)
    if not len(rows):
        return pd.DataFrame()
    ends = [f"{name}{end}" for name, *_ in MEASURES for end in ("", "_low", "_high", "_seeds")]
    return rows[[*KEY, *ends]].assign(label=labels(rows))


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """`gain_data`; of more than MOST_ROWS settings those with the largest and the smallest gains."""
    data = gain_data(frames["gap"])
    if not len(data) or data[[name for name, *_ in MEASURES]].isna().all(axis=None):
        return "no setting has been both fine-tuned and trained from scratch yet"
    if len(data) <= MOST_ROWS:
        return data.assign(settings=len(data))
    order = data[RANKED_BY].sort_values(ascending=False, kind="stable", na_position="last").dropna().index
    ends = [*order[: MOST_ROWS // 2], *order[-(MOST_ROWS // 2) :]]
    return data.loc[list(dict.fromkeys(ends))].assign(settings=len(data))


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """A dot plot: a row a setting, its gain at equal fine-tuning and at equal total with intervals."""
    rows = len(data)
    longest = max(len(label) for label in data["label"])
    left = 0.2 + CHARACTER * longest
    figure, axes = panels(1, 1, size=(max(5.0, _LEGEND - left), 0.4 + 0.3 * rows), left=left, top=0.42)
    axis = axes[0][0]
    axis.axvline(0, color=INK, linewidth=0.9, zorder=1)
    handles = []
    for name, label, colour, marker, shift in MEASURES:
        mean, low, high = (100 * data[f"{name}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
        sure = certain(data, name, f"{name}_low", f"{name}_high", f"{name}_seeds")
        at = np.arange(rows) + shift
        axis.hlines(at, low, high, color=colour, linewidth=1.6, zorder=2)
        for chosen, fill in ((sure, colour), (~sure, PAPER)):
            axis.plot(mean[chosen], at[chosen], marker, color=colour, markerfacecolor=fill, markersize=5.5, zorder=3)
        handles.append(mark(label, marker, colour, colour))
    handles.append(mark("hollow: interval holds 0, or none", "o", PAPER, GREY))
    for row in np.flatnonzero(data["gain_equal_finetuning"].isna()):
        axis.text(0, float(row), " n/a", va="center", color=GREY)
    axis.set_yticks(np.arange(rows), list(data["label"]))
    axis.set_ylim(rows - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("gain over scratch [mIoU points], 95 % interval")
    legend(figure, handles, 3)
    note = "Hollow: the interval holds 0, or there is none."
    if int(data["settings"].iloc[0]) > rows:
        note += f" {rows} of {int(data['settings'].iloc[0])} settings are drawn: the largest and the smallest gains."
    return figure, note

"""What more pretraining brings: the gain against pretraining epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.lines
import pandas as pd

from lidartune.figure_style import INK, PAPER, SERIES
from lidartune.report.figures.layout import legend, panels
from lidartune.report.figures.telling import by_measure, held, labels, with_pretraining
from lidartune.report.results import CHECKPOINT, StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = {"gain_equal_finetuning": "at equal fine-tuning updates", "gain_equal_total": "at equal total updates"}


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """One row a backbone, width, number of pretraining epochs and measure: `mean`, `low`, `high` in points."""
    gap = with_pretraining(frames["gap"])
    gap = gap[gap["pretrain_epochs"].astype(str) != CHECKPOINT] if len(gap) else gap
    if not len(gap) or gap["pretrain_epochs"].nunique() < 2:
        return "one number of pretraining epochs only"
    gap, said = held(gap, "freeze", "labelled_scans")
    keys = {"series": labels(gap, ("backbone", "width")), "epochs": gap["pretrain_epochs"].astype(int)}
    data = by_measure(gap, "measure", MEASURES, keys).assign(held=said)
    return data if data["mean"].notna().any() else "no setting has a gain yet"


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """Two panels, one a measure; a line a backbone and width, told apart by colour, marker and dash."""
    every = list(dict.fromkeys(data["series"]))
    series = every[: len(SERIES)]
    columns = 3 if max(len(name) for name in series) > 22 else 4
    figure, axes = panels(
        1, 2, size=(3.1, 2.2), sharey=True, top=0.4 + 0.185 * -(-len(series) // columns), between=(0.25, 0.3)
    )
    at = sorted(set(data["epochs"]))
    apart = (at[-1] / at[0]) ** 0.012
    handles = []
    for number, name in enumerate(series):
        colour, marker, dash = SERIES[number]
        style: dict[str, Any] = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 5}
        handles.append(matplotlib.lines.Line2D([], [], label=name, **style))
        shift = apart ** (number - (len(series) - 1) / 2)
        for axis, measure in zip(axes[0], MEASURES, strict=True):
            line = data[(data["series"] == name) & (data["measure"] == measure)].sort_values("epochs")
            x = line["epochs"].to_numpy(float) * shift
            axis.plot(x, line["mean"], linewidth=1.5, markerfacecolor=PAPER if number % 2 else colour, **style)
            axis.vlines(x, line["low"].to_numpy(float), line["high"].to_numpy(float), color=colour, linewidth=1.0)
    for axis, title in zip(axes[0], MEASURES.values(), strict=True):
        axis.axhline(0, color=INK, linewidth=0.9, zorder=1)
        axis.set_xscale("log")
        axis.set_xticks(at, [str(e) for e in at])
        axis.set_xticks([], minor=True)
        axis.set_xlabel("pretraining epochs")
        axis.set_title(title, fontsize=8.5, loc="left")
    axes[0][0].set_ylabel("gain over scratch [points]")
    legend(figure, handles, columns)
    note = (
        f"95 % intervals over seeds, {data['held'].iloc[0]}; points are set a little apart to tell them from another."
    )
    if len(every) > len(series):
        note += f" {len(series)} of {len(every)} lines are drawn."
    return figure, note

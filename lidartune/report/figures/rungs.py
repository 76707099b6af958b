"""The ladder: what each rung brings on real scans before a real label is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lidartune.figure_style import BLUE, GREY, INK, ORANGE, PAPER
from lidartune.report.figures.layout import CHARACTER, legend, mark, panels
from lidartune.report.figures.telling import figures_of, labels
from lidartune.report.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 4
_PLACE = ("backbone", "width", "pretrain_epochs")


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """One row a setting and rung that has a figure: `mean`, `low`, `high` over rung none, in points of mIoU."""
    frame = frames.get("ladder")
    if frame is None or not len(frame):
        return "the study has no ladder: `ladder: all` in its YAML adds one"
    frame = frame[frame["miou_over_none"].notna()]
    if not len(frame):
        return "no rung has a score yet"
    return frame[[*_PLACE, "rung", "reads_real_labels"]].assign(
        **figures_of(frame, "miou_over_none"), place=labels(frame, _PLACE)
    )


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """A dot plot a setting: a row a rung; squares read real labels."""
    every = list(data.groupby("place", sort=False))
    shown = every[:MOST_PANELS]
    rungs = list(dict.fromkeys(data["rung"]))
    figure, axes = panels(
        1, len(shown), size=(max(2.0, 5.0 / len(shown)), 0.3 + 0.24 * len(rungs)),
        left=0.2 + CHARACTER * max(len(str(rung)) for rung in rungs), top=0.58 if len(shown) > 1 else 0.4, sharey=True,
        between=(0.2, 0.3),
    )  # fmt: skip
    for axis, (place, part) in zip(axes[0], shown, strict=True):
        axis.axvline(0, color=INK, linewidth=0.9, zorder=1)
        axis.grid(axis="y", visible=False)
        for reads, colour, marker in (("no", BLUE, "o"), ("yes", ORANGE, "s")):
            own = part[part["reads_real_labels"] == reads]
            at = np.array([rungs.index(rung) for rung in own["rung"]], dtype=float)
            apart = own["certain"].to_numpy(bool)
            axis.hlines(at, own["low"].to_numpy(float), own["high"].to_numpy(float), color=colour, linewidth=1.6)
            for chosen, fill in ((apart, colour), (~apart, PAPER)):
                axis.plot(own["mean"].to_numpy(float)[chosen], at[chosen], marker, color=colour, markerfacecolor=fill)
        axis.set_yticks(np.arange(len(rungs)), [str(rung) for rung in rungs])
        axis.set_ylim(len(rungs) - 0.4, -0.6)
        axis.set_xlabel("mIoU over rung none [points]")
        if len(shown) > 1:
            axis.set_title(str(place), fontsize=8.5, loc="left")
    handles = [mark("no real label", "o", BLUE, BLUE), mark("reads real labels: an upper bound", "s", ORANGE, ORANGE)]
    legend(figure, [*handles, mark("hollow: interval holds 0, or none", "o", PAPER, GREY)], 3)
    note = "95 % intervals of differences paired by seed, one for each rung by itself."
    return figure, note + (f" {len(shown)} of {len(every)} settings are drawn." if len(every) > len(shown) else "")

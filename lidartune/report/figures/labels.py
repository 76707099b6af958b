"""Label efficiency: the score against the number of labelled real scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.lines
import pandas as pd

from lidartune.figure_style import BLUE, GREY, ORANGE, PAPER
from lidartune.report.figures.layout import legend, panels
from lidartune.report.figures.telling import RANKED_BY, by_measure, held, number, with_pretraining
from lidartune.report.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 4
LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "finetuned": ("pretrained, then fine-tuned", {"color": BLUE, "marker": "o", "linestyle": "-"}),
    "scratch": ("from scratch", {"color": GREY, "marker": "s", "linestyle": (0, (1, 1.2)), "markerfacecolor": PAPER}),
    "scratch_longer": (
        "from scratch, as many updates in all",
        {"color": GREY, "marker": "^", "linestyle": (0, (5, 2)), "markerfacecolor": PAPER},
    ),
    "synthetic_to_real": ("zero-shot: no real label", {"color": ORANGE, "linestyle": (0, (4, 2))}),
}


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """One row a backbone, width, count of labelled scans and line: `mean`, `low`, `high` in percent of mIoU."""
    gap = with_pretraining(frames["gap"])
    if not len(gap) or gap["labelled_scans"].astype(str).nunique() < 2:
        return "one number of labelled scans only"
    gap, said = held(gap, "pretrain_epochs", "freeze")
    keys = {"backbone": gap["backbone"], "width": gap["width"], "scans": gap["labelled_scans"]}
    data = by_measure(gap, "line", LINES, keys | {"gain": gap[RANKED_BY].astype(float)}).assign(held=said)
    return data if data["mean"].notna().any() else "no setting has a score yet"


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """A panel a backbone and width, those with the largest gain anywhere first."""
    best = data.groupby(["backbone", "width"], sort=False)["gain"].max().sort_values(ascending=False, kind="stable")
    places = sorted(best.index[:MOST_PANELS])
    columns = min(2, len(places))
    figure, axes = panels(
        -(-len(places) // columns), columns, size=(6.2 / columns if columns > 1 else 4.6, 2.1), sharey=True, top=0.78
    )
    at = sorted(set(data["scans"]), key=number)
    x_of = {scans: place for place, scans in enumerate(at)}
    for axis, (backbone, width) in zip(axes.flat, places, strict=False):
        for name, (_, style) in LINES.items():
            here = (data["backbone"] == backbone) & (data["width"] == width) & (data["line"] == name)
            line = data[here].assign(x=data["scans"].map(x_of)).sort_values("x")
            axis.plot(line["x"], line["mean"], linewidth=1.6, markersize=5, **style)
            if name != "synthetic_to_real":
                axis.vlines(line["x"], line["low"], line["high"], color=style["color"], linewidth=1.0)
        axis.set_xticks(range(len(at)), [str(scans) for scans in at])
        axis.set_title(f"{backbone}, width {width}", fontsize=8.5, loc="left")
    axes[0][0].set_ylim(bottom=0)  # of all, and only now: it ends the search for the upper end
    for axis in axes.flat[len(places) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("labelled real scans")
    for axis in axes[:, 0]:
        axis.set_ylabel("mIoU on real [%]")
    legend(figure, [matplotlib.lines.Line2D([], [], label=label, **style) for label, style in LINES.values()], 2)
    note = f"95 % intervals over seeds, {data['held'].iloc[0]}; counts of scans are evenly set, not to scale."
    if len(best) > len(places):
        note += f" {len(places)} of {len(best)} backbones and widths are drawn, those with the largest gains."
    return figure, note

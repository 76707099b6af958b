"""The figure of canvas widths, in two steps: plain data (a data frame), then drawing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lidartune.errors import UserError
from lidartune.figure_style import BLUE, FIGURE_STYLE, GREY, ORANGE, PURPLE
from lidartune.survey.width_advice import SUITS, verdicts
from lidartune.survey.width_counts import WidthFigures, share
from lidartune.whole_file import write_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: tuple[dict[str, Any], ...] = (
    {"color": ORANGE, "marker": "s", "linestyle": (0, (5, 1.5))},
    {"color": BLUE, "marker": "o", "linestyle": "-"},
    {"color": GREY, "marker": "^", "linestyle": (0, (1, 1.2))},
    {"color": PURPLE, "marker": "D", "linestyle": (0, (5, 1.5, 1, 1.5))},
)
PANELS = (
    ("fill", "pixels that show a point [%]"),
    ("lost", "points that no pixel shows [%]"),
    ("other_class", "points behind another class [%]"),
    ("ceiling", "ceiling: mIoU of the true classes [%]"),
)
_RING: Any = {"markersize": 11, "markerfacecolor": "none"}


def width_data(named: Mapping[str, Sequence[WidthFigures]]) -> pd.DataFrame:
    """One row a domain and width: fill, lost and other_class as shares, the ceiling's mIoU, whether the width suits."""
    import pandas as pd

    rows = [
        {
            "domain": name,
            "width": f.width,
            "fill": f.fill,
            "lost": share(f.lost, f.points),
            "other_class": share(f.other_class, f.points),
            "ceiling": f.ceiling.miou(),
            "suits": word == SUITS,
        }
        for name, figures in named.items()
        for f, word in zip(figures, verdicts(figures), strict=True)
    ]
    return pd.DataFrame(rows, columns=["domain", "width", *(column for column, _ in PANELS), "suits"])


def draw_widths(named: Mapping[str, Sequence[WidthFigures]], path: Path) -> None:
    """Four panels over the widths, a line for each domain; a ring marks the width that suits it. The suffix says which
    format: .svg (the same bytes for the same figures) or .png.

    Raises:
        UserError: another suffix, a file that cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise UserError("a figure is an SVG or a PNG", where=path, found=suffix or "no suffix", wanted=".svg or .png")
    import matplotlib

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = _drawn(width_data(named))
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(buffer, format=suffix[1:], metadata=metadata, dpi=160)
    write_whole(path, buffer.getvalue())


def _drawn(data: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    widths = sorted({int(width) for width in data["width"]})
    for axis, (column, label) in zip(axes.ravel(), PANELS, strict=True):
        _draw_panel(axis, data, column)
        axis.set_title(label, fontsize=8.5, loc="left")
        axis.set_xscale("log", base=2)
        axis.set_xticks(widths, [str(width) for width in widths])
        axis.minorticks_off()
        if column != "ceiling":
            axis.set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("canvas width [pixels]")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False, handlelength=3.2)
    return figure


def _draw_panel(axis: Axes, data: pd.DataFrame, column: str) -> None:
    for i, (name, rows) in enumerate(data.groupby("domain", sort=False)):
        style = STYLES[i % len(STYLES)]
        line = style | {"linewidth": 1.8, "markersize": 4.5, "clip_on": False}
        axis.plot(rows["width"], 100 * rows[column], label=str(name), **line)
        ring = rows[rows["suits"]]
        axis.plot(ring["width"], 100 * ring[column], "o", color=style["color"], clip_on=False, **_RING)
    axis.plot([], [], "o", color="black", label="width that suits", **_RING)
    if not np.isfinite(data[column].to_numpy(float)).any():
        axis.text(0.5, 0.5, "nothing to draw", ha="center", va="center", transform=axis.transAxes, color=GREY)

"""A search in parallel coordinates: an upright an axis, a line a point, its value at the last upright."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lidartune.figure_style import INK, RULE
from lidartune.report.figures.layout import panels
from lidartune.report.points import ABOUT
from lidartune.report.results import StudyResults
from lidartune.report.search_record import VALUE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = "cividis"
MOST_LINES = 300


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """The table `points`: one row a point, a column for what was drawn with more than one value, and the score."""
    frame = frames.get("points")
    if frame is None:
        return "the study is no search"
    frame = frame[frame[VALUE].notna()]
    axes = [name for name in frame.columns if name not in ABOUT and frame[name].astype(str).nunique() > 1]
    if len(frame) < 2 or not axes:
        return "the search has fewer than two points yet that differ and have a value"
    return frame[[*axes, VALUE]].sort_values(VALUE, kind="stable").tail(MOST_LINES)


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """Lines bend between uprights so that they can be followed; brighter and thicker is better, drawn last."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    names = list(data.columns)
    heights, ticks = zip(*(_upright(data[name]) for name in names), strict=True)
    figure, axes = panels(
        1, 1, size=(max(4.5, 1.25 * (len(names) - 1)), 2.7), left=0.95, right=0.8, top=0.4, bottom=0.12
    )
    axis = axes[0][0]
    axis.axis("off")
    t = np.linspace(0, 1, 12)
    bend = t**2 * (3 - 2 * t)
    table = np.stack(heights)
    y = np.concatenate([a[:, None] + (b - a)[:, None] * bend for a, b in zip(table, table[1:], strict=False)], axis=1)
    x = np.concatenate([number + t for number in range(len(names) - 1)])
    level = table[-1]
    axis.add_collection(
        LineCollection(
            [np.column_stack([x, line]) for line in y],
            colors=colormaps[COLOURS](0.9 * level), linewidths=0.6 + 1.6 * level**2, alpha=0.9,
        )
    )  # fmt: skip
    for number, (name, marks) in enumerate(zip(names, ticks, strict=True)):
        axis.plot([number, number], [0, 1], color=INK, linewidth=0.8, zorder=3)
        last = number == len(names) - 1
        for place, text in marks:
            box = {"facecolor": "#FFFFFF", "edgecolor": RULE, "linewidth": 0.4, "pad": 1.2, "alpha": 0.9}
            axis.text(
                number + (0.05 if last else -0.05), place, text, ha="left" if last else "right", va="center",
                fontsize=7, bbox=box, color="black", zorder=4,
            )  # fmt: skip
        axis.text(number, 1.09, str(name).replace("_", " "), ha="center", fontsize=8.5)
    axis.set_xlim(-0.05, len(names) - 0.95)
    axis.set_ylim(-0.05, 1.05)
    return (
        figure,
        f"{len(data)} points; the last upright is what the search looks at: the brighter and thicker, the better.",
    )


def _upright(column: pd.Series) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Heights 0..1 of the values, and ticks: numbers to scale, logarithmic over wide spans; words in their order."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(float)
        low, high = float(values.min()), float(values.max())
        if high - low < 1e-12:
            return np.full(len(values), 0.5), [(0.5, f"{low:.4g}")]
        logarithmic = low > 0 and high / low > 20
        scaled = np.log(values) if logarithmic else values
        heights = (scaled - scaled.min()) / (scaled.max() - scaled.min())
        known = sorted({(float(h), f"{v:.4g}") for h, v in zip(heights, values, strict=True)})
        if len(known) <= 6:
            return heights, known
        between = np.linspace(scaled.min(), scaled.max(), 4)
        shown = np.exp(between) if logarithmic else between
        return heights, [(place, f"{value:.3g}") for place, value in zip(np.linspace(0, 1, 4), shown, strict=True)]
    words = list(dict.fromkeys(sorted(column.astype(str))))
    places = {word: number / max(1, len(words) - 1) if len(words) > 1 else 0.5 for number, word in enumerate(words)}
    ticks = [(place, word) for word, place in places.items()]
    return column.astype(str).map(places).to_numpy(float), ticks if len(ticks) <= 12 else [ticks[0], ticks[-1]]

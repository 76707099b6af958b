"""The figures of a survey's page: histograms and class shares, one line or dot for each dataset, as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lidartune.figure_style import BLUE, FIGURE_STYLE, ORANGE
from lidartune.survey import texts
from lidartune.survey.overview import common_axes, histograms
from lidartune.survey.survey import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = (50, 20, 50)
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": ORANGE, "linestyle": "-"},
    {"color": BLUE, "linestyle": (0, (4, 1.5))},
)
_MARKERS = "so"


def draw_histograms(surveys: Sequence[Survey], names: Sequence[str]) -> str:
    """Range, elevation and remission of the usable points: an SVG."""
    axes_ends = common_axes(surveys)
    spans = (
        ("range [m]", 0.0, axes_ends.range_m),
        ("elevation [degrees]", axes_ends.down_deg, axes_ends.up_deg),
        ("remission", 0.0, axes_ends.remission),
    )
    shares = [histograms(survey, axes_ends, _BINS) for survey in surveys]

    def draw(axes: np.ndarray) -> None:
        for number, (axis, (label, low, high)) in enumerate(zip(axes, spans, strict=True)):
            edges = np.linspace(low, high, _BINS[number] + 1)
            for own, name, style in zip(shares, names, _STYLES, strict=False):
                axis.stairs(100 * own[number], edges, label=name, linewidth=1.6, **style)
            axis.set_xlabel(label)
            axis.set_xlim(low, high)
            axis.set_ylim(bottom=0)
        axes[0].set_ylabel("share of the points [%]")

    return _svg(9.6, 2.9, 3, draw, legend=len(surveys) > 1)


def draw_classes(surveys: Sequence[Survey], names: Sequence[str]) -> str:
    """Class shares on a logarithmic axis, a row a class: an SVG. A class without a point has no dot."""
    shares = [texts.class_shares(survey) for survey in surveys]
    every = list(dict.fromkeys(name for own in shares for name in own))

    def draw(axes: np.ndarray) -> None:
        (axis,) = axes
        for own, name, style, marker in zip(shares, names, _STYLES, _MARKERS, strict=False):
            rows = [(100 * own[class_], at) for at, class_ in enumerate(every) if own.get(class_)]
            x, y = zip(*rows, strict=True) if rows else ((), ())
            axis.plot(x, y, marker, color=style["color"], label=name, markersize=5.5, alpha=0.9)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_yticks(range(len(every)), every)
        axis.set_ylim(len(every) - 0.5, -0.5)
        axis.set_xlabel("share of the labelled points without the ignored ones [%], logarithmic")

    return _svg(7.2, 0.9 + 0.2 * len(every), 1, draw, legend=len(surveys) > 1)


def _svg(width: float, height: float, columns: int, draw: Any, *, legend: bool) -> str:
    import matplotlib
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes: list[Axes] = figure.subplots(1, columns, squeeze=False)[0]
        draw(axes)
        if legend:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, handlelength=3.2)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()

"""Figures in two steps: plain data (a data frame of what is drawn), then drawing; each as SVG and as PNG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import pandas as pd

from lidartune.figure_style import FIGURE_STYLE
from lidartune.report.figures import classes, confusion, curves, epochs, gains, heatmap, labels, rungs, search
from lidartune.report.figures.curves import curve_data
from lidartune.report.figures.layout import save
from lidartune.report.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "Drawn", "Kind", "curve_data", "draw_figures"]
Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A figure of the report: `rows` gives what is drawn, or why there is nothing; `draw` the figure and a note."""

    name: str
    title: str
    rows: Callable[[StudyResults, Frames], pd.DataFrame | str]
    draw: Callable[[pd.DataFrame], tuple[Figure, str]]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure's SVG (its PNG lies beside it) and what it shows; where `svg` is None, `note` says why."""

    name: str
    title: str
    note: str
    svg: Path | None


FIGURES = tuple(
    Kind(name=name, title=title, rows=module.rows, draw=module.draw)
    for name, title, module in (
        ("curves", "Learning curves", curves),
        ("gain", "Gain over training from scratch", gains),
        ("heatmap", "Gap and gain by backbone and width", heatmap),
        ("epochs", "Gain against pretraining epochs", epochs),
        ("labels", "Label efficiency", labels),
        ("ladder", "The ladder, rung by rung", rungs),
        ("classes", "Class by class", classes),
        ("confusion", "What is taken for what", confusion),
        ("search", "The search in parallel coordinates", search),
    )
)


def draw_figures(results: StudyResults, frames: Frames, folder: Path) -> dict[str, Drawn]:
    """Draws every figure that the study has data for into the folder, and removes those of an earlier report.

    Args:
        frames: the study's tables, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for kind in FIGURES:
        for ending in (".svg", ".png"):
            (folder / kind.name).with_suffix(ending).unlink(missing_ok=True)
        data = kind.rows(results, frames)
        svg, note = None, data if isinstance(data, str) else ""
        if not isinstance(data, str):
            with matplotlib.rc_context(FIGURE_STYLE):
                figure, note = kind.draw(data)
                svg = save(figure, folder / kind.name)
        drawn[kind.name] = Drawn(name=kind.name, title=kind.title, note=note, svg=svg)
    return drawn

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

__all__ = ["FIGURES", "Drawn", "Kind", "ToDraw", "curve_data", "draw", "to_draw"]
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


@dataclass(frozen=True, kw_only=True)
class ToDraw:
    """A figure before it is drawn: its data, or why there is none, and the stem of its files."""

    kind: str
    data: pd.DataFrame | str
    stem: Path


def to_draw(results: StudyResults, frames: Frames, folder: Path) -> list[ToDraw]:
    """The data of every figure; files of an earlier report are taken away.

    Args:
        frames: the study's tables, by name.
        folder: where the figures go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for kind in FIGURES:
        for ending in (".svg", ".png"):
            (folder / kind.name).with_suffix(ending).unlink(missing_ok=True)
    return [ToDraw(kind=kind.name, data=kind.rows(results, frames), stem=folder / kind.name) for kind in FIGURES]


def draw(wanted: ToDraw) -> Drawn:
    """Draws a figure that there is data for into its files."""
    (kind,) = (kind for kind in FIGURES if kind.name == wanted.kind)
    if isinstance(wanted.data, str):
        return Drawn(name=kind.name, title=kind.title, note=wanted.data, svg=None)
    with matplotlib.rc_context(FIGURE_STYLE):
        figure, note = kind.draw(wanted.data)
        return Drawn(name=kind.name, title=kind.title, note=note, svg=save(figure, wanted.stem))

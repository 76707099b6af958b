"""A figure's frame: panels at fixed places (a layout solver takes longer than the drawing), and its two files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.lines
import numpy as np

from lidartune.figure_style import BLUE, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI = 120
CHARACTER = 0.071  # inches, of the font's size in FIGURE_STYLE


def panels(
    rows: int,
    columns: int,
    *,
    size: tuple[float, float],
    left: float = 0.55,
    right: float = 0.12,
    top: float = 0.3,
    bottom: float = 0.45,
    between: tuple[float, float] = (0.3, 0.5),
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns panels; all lengths in inches.

    Args:
        size: of one panel.
        between: panels beside and below one another.

    Returns:
        The figure, and its axes (rows, columns).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: no global state, no display
    from matplotlib.figure import Figure

    width = left + columns * size[0] + (columns - 1) * between[0] + right
    height = top + rows * size[1] + (rows - 1) * between[1] + bottom
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height,
        wspace=between[0] / size[0], hspace=between[1] / size[1],
    )  # fmt: skip
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)


def legend(figure: Figure, handles: list[Any], columns: int) -> None:
    """A legend along the upper edge."""
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, handlelength=3.2,
        borderaxespad=0.3,
    )  # fmt: skip


def mark(label: str, marker: str, fill: str = PAPER, color: str = BLUE) -> matplotlib.lines.Line2D:
    """A legend's entry of a marker alone."""
    return matplotlib.lines.Line2D([], [], label=label, marker=marker, linestyle="", markerfacecolor=fill, color=color)


def save(figure: Figure, stem: Path) -> Path:
    """Writes STEM.png and STEM.svg, the same bytes for the same figure; returns the SVG."""
    figure.savefig(stem.with_suffix(".png"), dpi=PNG_DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 3})
    svg = stem.with_suffix(".svg")
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return svg

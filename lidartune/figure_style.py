"""How all figures look: quiet axes, colours for the colour-blind, the same bytes for the same data."""

from __future__ import annotations

from typing import Any

# Okabe and Ito's colours: told apart by colour-blind readers; figures add dash and marker for print.
ORANGE, BLUE, GREY, PURPLE = "#E69F00", "#0072B2", "#444444", "#CC79A7"
FIGURE_STYLE: Any = {
    "svg.hashsalt": "lidartune",
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "text.parse_math": False,
}

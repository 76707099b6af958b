"""How all figures look: quiet axes, colours for the colour-blind, the same bytes for the same data."""

from __future__ import annotations

from typing import Any

# Okabe and Ito's colours: told apart by colour-blind readers; figures add dash, marker and hatch for print.
ORANGE, BLUE, GREY, PURPLE = "#E69F00", "#0072B2", "#444444", "#CC79A7"
# What pages put their own colours for; nothing else is drawn in exactly these.
INK, PAPER, RULE = "#1B1F24", "#FEFEFE", "#E4E4E5"
# Lines that must be told from one another, with the marker and dash that do so without colour.
SERIES = (
    (BLUE, "o", "-"),
    (ORANGE, "s", (0, (5, 2))),
    ("#009E73", "^", (0, (1, 1.2))),
    (PURPLE, "D", (0, (6, 2, 1, 2))),
    (GREY, "v", (0, (3, 1.5))),
    ("#D55E00", "P", (0, (1, 3))),
    ("#56B4E9", "X", (0, (8, 2))),
    (INK, "*", (0, (2, 2, 6, 2))),
)
FIGURE_STYLE: Any = {
    "svg.hashsalt": "lidartune",
    "svg.fonttype": "none",
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.titley": 1.0,  # to look for a free place takes a tenth of the time of drawing
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.7,
    "text.parse_math": False,
}

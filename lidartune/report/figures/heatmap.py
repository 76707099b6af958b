"""The gap and the gains by backbone and width, as a map whose fields also say their figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lidartune.figure_style import GREY, PAPER
from lidartune.report.figures.layout import CHARACTER, panels
from lidartune.report.figures.telling import by_measure, held, with_pretraining
from lidartune.report.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "cividis"  # its lightness rises all the way: a grey print keeps the order
MAPS = {
    "domain_gap": "domain gap",
    "gain_equal_finetuning": "gain, equal fine-tuning",
    "gain_equal_total": "gain, equal total updates",
}


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """One row a backbone, width and measure: `mean`, `low`, `high` in points of mIoU; `held` says at which setting."""
    gap, said = held(with_pretraining(frames["gap"]), *("pretrain_epochs", "freeze", "labelled_scans"))
    if not len(gap) or len(gap[["backbone", "width"]].drop_duplicates()) < 2:
        return "one backbone at one width only"
    keys = {"backbone": gap["backbone"], "width": gap["width"]}
    data = by_measure(gap, "measure", MAPS, keys).assign(held=said)
    return data if data["mean"].notna().any() else "no setting has these figures yet"


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """A map a measure: backbones down, widths across; hatched where the interval holds 0 or is not there."""
    backbones, widths = list(dict.fromkeys(data["backbone"])), sorted(set(data["width"]))
    longest = max(len(str(backbone)) for backbone in backbones)
    panel = 0.2 + 0.88 * len(widths)
    apart = max(0.25, CHARACTER * max(map(len, MAPS.values())) - panel)  # titles may be wider than their maps
    figure, axes = panels(
        1, len(MAPS), size=(panel, 0.48 * len(backbones)), left=0.25 + CHARACTER * longest, right=apart,
        between=(apart, 0.3), sharey=True,
    )  # fmt: skip
    for axis, (name, title) in zip(axes[0], MAPS.items(), strict=True):
        table = data[data["measure"] == name].set_index(["backbone", "width"])
        table = table.reindex(pd.MultiIndex.from_product([backbones, widths]))
        shape = len(backbones), len(widths)
        mean, low, high = (table[end].to_numpy(float).reshape(shape) for end in ("mean", "low", "high"))
        _draw_map(axis, mean, (high - low) / 2, (table["certain"] == True).to_numpy().reshape(shape))  # noqa: E712
        axis.set_xticks(np.arange(len(widths)), [str(w) for w in widths])
        axis.set_yticks(np.arange(len(backbones)), [str(b) for b in backbones])
        axis.set_xlabel("width")
        axis.set_title(title, fontsize=8.5, loc="left")
    return figure, (
        f"Points of mIoU with the half width of the 95 % interval, {data['held'].iloc[0]}. Brighter is more, within "
        "one map; hatched: the interval holds 0, or there is none."
    )


def _draw_map(axis: Axes, mean: np.ndarray, half: np.ndarray, certain: np.ndarray) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    axis.grid(visible=False)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    least, most = (float(np.nanmin(mean)), float(np.nanmax(mean))) if np.isfinite(mean).any() else (0.0, 1.0)
    for (i, j), value in np.ndenumerate(mean):
        level = 0.5 if most - least < 1e-9 else (value - least) / (most - least)
        there = np.isfinite(value)
        colour = colormaps[COLOURS](0.12 + 0.83 * level) if there else PAPER
        text = ("black" if level > 0.45 else "white") if there else GREY
        axis.add_patch(
            Rectangle(
                (j - 0.48, i - 0.46), 0.96, 0.92, facecolor=colour, linewidth=0,
                edgecolor=text, hatch="///" if there and not certain[i, j] else None, alpha=1,
            )
        )  # fmt: skip
        spread = f"\n±{half[i, j]:.1f}" if np.isfinite(half[i, j]) else ""
        said = f"{value:+.1f}{spread}".replace("-", "\N{MINUS SIGN}") if there else "n/a"
        box = {"facecolor": colour, "edgecolor": "none", "pad": 1.5} if there else None
        axis.text(j, i, said, ha="center", va="center", color=text, bbox=box, fontsize=8, linespacing=1.05)
    axis.set_xlim(-0.5, mean.shape[1] - 0.5)
    axis.set_ylim(mean.shape[0] - 0.5, -0.5)

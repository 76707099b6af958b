"""Per class: zero-shot, from scratch and fine-tuned, and where pretraining does harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.patches
import numpy as np
import pandas as pd

from lidartune.figure_style import BLUE, INK, ORANGE, PAPER
from lidartune.report.figures.layout import CHARACTER, legend, mark, panels
from lidartune.report.figures.telling import best_and_worst, words
from lidartune.report.groups import KEY
from lidartune.report.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS: dict[str, tuple[str, dict[str, Any]]] = {
    "synthetic_to_real": ("zero-shot", {"facecolor": ORANGE, "hatch": "////"}),
    "scratch": ("from scratch", {"facecolor": "#DCDCDC"}),
    "finetuned": ("pretrained, then fine-tuned", {"facecolor": BLUE}),
}
HARM, LESS = "▼", "▽"


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """One row a class of the real test split, for the settings with the largest and the smallest gain.

    `harm` is `yes` where the interval of the gain lies below 0, `less` where only its mean does.
    """
    parts = []
    for what, setting in best_and_worst(frames["gap"]):
        frame = frames["per_class"]
        here = np.logical_and.reduce([frame[part].astype(str) == str(setting[part]) for part in KEY])
        frame = frame[here & (frame["in_real_test"] == "yes")]
        harm = np.where(
            frame["negative_transfer_equal_finetuning"].isin(["yes", "suggested"]), "yes",
            np.where(frame["gain_equal_finetuning"].astype(float) < 0, "less", ""),
        )  # fmt: skip
        part = pd.DataFrame({"what": what, "name": frame["name"], "harm": harm, "setting": words(setting)})
        for name in BARS:
            for end in ("", "_low", "_high"):
                part[name + end] = 100 * frame[name + end].astype(float)
        parts.append(part)
    data = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return data if len(data) else "no setting has been both fine-tuned and trained from scratch yet"


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """A panel a setting: a group of three bars a class, told apart by hatch as well as by colour."""
    names, parts = list(dict.fromkeys(data["name"])), list(data.groupby("what", sort=False))
    longest = max(len(str(name)) for name in names)
    figure, axes = panels(
        1, len(parts), size=(6.4 / len(parts), 0.3 + 0.3 * len(names)), left=0.2 + CHARACTER * longest, top=0.72,
        sharey=True, sharex=True,
    )  # fmt: skip
    most = 1.08 * float(np.nanmax([data[name] for name in (*BARS, "finetuned_high")], initial=1.0))
    for axis, (what, part) in zip(axes[0], parts, strict=True):
        _draw_group(axis, part.set_index("name").reindex(names))
        axis.set_title(what, fontsize=8.5, loc="left")
        axis.set_yticks(np.arange(len(names)), [str(name) for name in names])
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlim(0, most)
        axis.set_xlabel("IoU on real [%]")
    handles: list[Any] = [
        matplotlib.patches.Patch(label=label, edgecolor=INK, linewidth=0.5, **style) for label, style in BARS.values()
    ]
    handles.append(mark("harm: interval of the gain below 0", "v", INK, INK))
    handles.append(mark("less than from scratch, no verdict", "v", PAPER, INK))
    legend(figure, handles, 3)
    settings = "; ".join(f"{what}: {part['setting'].iloc[0]}" for what, part in parts)
    return figure, (
        f"{settings[0].upper()}{settings[1:]}. Black lines: 95 % interval of the fine-tuned. Triangles mark classes "
        "that pretraining makes worse: filled where the interval of the gain lies below 0. With many classes about one "
        "interval in forty does so by chance."
    )


def _draw_group(axis: Axes, part: pd.DataFrame) -> None:
    axis.grid(axis="y", visible=False)
    at = np.arange(len(part))
    ends = []
    for number, (name, (_, style)) in enumerate(BARS.items()):
        y, mean = at + 0.26 * (number - 1), part[name].to_numpy(float)
        _draw_bars(axis, y, np.nan_to_num(mean), style)
        low, high = (part[f"{name}{end}"].to_numpy(float) for end in ("_low", "_high"))
        if name == "finetuned":
            axis.hlines(y, np.maximum(low, 0), high, color=INK, linewidth=0.8)
        ends.append(np.fmax(mean, high if name == "finetuned" else mean))
    far = np.nan_to_num(np.fmax.reduce(ends))
    room = 0.03 * float(far.max(initial=1.0))
    for harm, fill in (("yes", INK), ("less", PAPER)):
        chosen = (part["harm"] == harm).to_numpy()
        axis.plot(far[chosen] + room, at[chosen], "v", color=INK, markerfacecolor=fill, markersize=5, clip_on=False)


def _draw_bars(axis: Axes, y: np.ndarray, ends: np.ndarray, style: dict[str, Any]) -> None:
    """All bars of a kind as one path: one hatch for all of them, where bar by bar each would bring its own."""
    from matplotlib.path import Path

    zero = np.zeros_like(ends)
    low, high = y - 0.125, y + 0.125
    corners = np.stack([zero, low, ends, low, ends, high, zero, high, zero, low], axis=1).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(y))
    axis.add_patch(matplotlib.patches.PathPatch(Path(corners, codes), linewidth=0.4, edgecolor=INK, **style))

"""Figures in two steps: plain data (a data frame), then drawing (an SVG that is the same for the same data)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.lines
import numpy as np
import pandas as pd

from lidartune.figure_style import BLUE, FIGURE_STYLE, GREY, ORANGE
from lidartune.report.curves import Curve, learning_curve
from lidartune.report.groups import KEY, Group, group_cells, measures
from lidartune.report.results import CHECKPOINT, CellResult, StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES: dict[str, dict[str, Any]] = {
    "pretraining on synthetic, scored on synthetic": {"color": ORANGE, "linestyle": "-", "linewidth": 1.8},
    "pretraining on synthetic, scored on real": {"color": ORANGE, "linestyle": (0, (4, 2)), "linewidth": 1.8},
    "fine-tuning on real, scored on real": {"color": BLUE, "linestyle": "-", "linewidth": 1.8},
    "from scratch on real, scored on real": {"color": GREY, "linestyle": (0, (1, 1.2)), "linewidth": 1.8},
}
_PRETRAINING, _ZERO_SHOT, _FINETUNING, _SCRATCH = _STYLES


def curve_data(results: StudyResults) -> pd.DataFrame:
    """Every validation point that `draw_curves` shows: one row a curve, setting, seed and epoch.

    `updates` counts from the start of pretraining: fine-tuning goes on where its pretraining ended; scratch starts at
    0 and runs for pretraining + fine-tuning updates. `miou` is on points of the validation subset.
    """
    rows: list[dict[str, Any]] = []
    drawn: set[tuple[Any, ...]] = set()
    for cell in sorted(results.cells, key=_longest_first):
        key = dict(zip(KEY, cell.key, strict=True)) | {"seed": cell.seed}
        for name, role, longer, domain in (
            (_PRETRAINING, "pretrained", (), "synthetic"),
            (_ZERO_SHOT, "pretrained", (), "real"),
            (_FINETUNING, "finetuned", (), "real"),
            (_SCRATCH, "scratch", ("scratch_longer",), "real"),
        ):
            if role == "pretrained" and cell.pretrain_epochs == CHECKPOINT:
                continue  # one point, at nobody knows which update
            curve = learning_curve(results, cell, role, *longer)
            if curve is None:
                continue
            offset = _epochs(cell) * results.updates_per_epoch if name == _FINETUNING else 0
            # One run serves many cells: draw it once a panel row.
            mark = (name, cell.roles[role].run, cell.labelled_scans, offset)
            if mark in drawn:
                continue
            drawn.add(mark)
            rows += _curve_rows(key | {"curve": name}, curve, domain, offset)
    columns = [*KEY, "seed", "curve", "epoch", "updates", "miou"]
    return pd.DataFrame(rows, columns=columns)


def _epochs(cell: CellResult) -> int:
    """Pretraining epochs; 0 for a checkpoint, whose length is unknown: its fine-tuning is drawn from update 0 on."""
    return cell.pretrain_epochs if isinstance(cell.pretrain_epochs, int) else 0


def _longest_first(cell: CellResult) -> int:
    """The longest pretraining first: it holds the shorter."""
    return -_epochs(cell)


def _curve_rows(key: dict[str, Any], curve: Curve, domain: str, offset: int) -> list[dict[str, Any]]:
    return [
        key | {"epoch": int(epoch), "updates": int(updates) + offset, "miou": float(miou)}
        for epoch, updates, miou in zip(curve.epochs, curve.updates, curve.miou[domain], strict=True)
        if np.isfinite(miou)
    ]


def draw_curves(data: pd.DataFrame, path: Path) -> None:
    """Learning curves, a panel for each backbone and labelled-scan count (rows) and width (columns).

    Thick = mean over the seeds that have the epoch, thin = single seeds; a circle marks a fine-tuning's epoch 0.
    """
    panel_rows = sorted({(r.backbone, r.labelled_scans) for r in data.itertuples()}, key=lambda r: (r[0], _scans(r[1])))
    widths = sorted({int(w) for w in data["width"]})
    freezes = sorted({str(f) for f in data.loc[data["curve"] == _FINETUNING, "freeze"]})
    with matplotlib.rc_context(FIGURE_STYLE):
        figure, axes = _grid(max(1, len(panel_rows)), max(1, len(widths)))
        top = 100 * float(data["miou"].max()) * 1.08 if len(data) else 100.0
        for i, (backbone, labelled) in enumerate(panel_rows):
            for j, width in enumerate(widths):
                panel = data[
                    (data["backbone"] == backbone) & (data["labelled_scans"] == labelled) & (data["width"] == width)
                ]
                axis = axes[i][j]
                _draw_panel(axis, panel, freezes)
                axis.set_title(f"{backbone}, width {width}, {_scans_words(labelled)}", fontsize=8.5, loc="left")
                axis.set_ylim(0, max(top, 1.0))
                axis.set_xlim(left=0)
                if j == 0:
                    axis.set_ylabel("validation mIoU [%]")
                if i == len(panel_rows) - 1:
                    axis.set_xlabel("updates")
        handles = [matplotlib.lines.Line2D([], [], label=name, **style) for name, style in _STYLES.items()]
        handles.append(_mark("epoch 0 of fine-tuning", "o", "white"))
        if len(freezes) > 1:
            handles += [_mark(f"end, freeze {freeze}", _marker(freezes, freeze), BLUE) for freeze in freezes]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, handlelength=3.2)
        _save(figure, path)


def _mark(label: str, marker: str, fill: str) -> matplotlib.lines.Line2D:
    return matplotlib.lines.Line2D([], [], label=label, marker=marker, linestyle="", markerfacecolor=fill, color=BLUE)


def _draw_panel(axis: Axes, panel: pd.DataFrame, freezes: list[str]) -> None:
    if panel.empty:
        axis.text(0.5, 0.5, "nothing there yet", ha="center", va="center", transform=axis.transAxes, color=GREY)
        return
    parts = {
        _PRETRAINING: ["curve"], _ZERO_SHOT: ["curve"],
        _FINETUNING: ["curve", "pretrain_epochs", "freeze"], _SCRATCH: ["curve"],
    }  # fmt: skip
    for name, by in parts.items():
        for key, line in panel[panel["curve"] == name].groupby(by, sort=True):
            style = _STYLES[name]
            # A seed has one curve here, but for prefix-sharing runs that differ in length: the rows are then the same.
            seeds = line.groupby(["seed", "updates", "epoch"], as_index=False)["miou"].mean()
            if seeds["seed"].nunique() > 1:
                for _, seed in seeds.groupby("seed", sort=True):
                    axis.plot(seed["updates"], 100 * seed["miou"], **style | {"linewidth": 0.5, "alpha": 0.55})
            mean = seeds.groupby(["updates", "epoch"], as_index=False)["miou"].mean()
            axis.plot(mean["updates"], 100 * mean["miou"], **style)
            if name != _FINETUNING:
                continue
            start, end = mean[mean["epoch"] == 0], mean.iloc[[-1]]
            axis.plot(start["updates"], 100 * start["miou"], "o", color=BLUE, markerfacecolor="white", zorder=4)
            if len(freezes) > 1:
                axis.plot(end["updates"], 100 * end["miou"], _marker(freezes, str(key[2])), color=BLUE, zorder=4)


def _marker(freezes: list[str], freeze: str) -> str:
    return "s^DvP*X"[freezes.index(freeze) % 7]


def gain_data(results: StudyResults) -> pd.DataFrame:
    """One row a setting with pretraining: both gains and the jumpstart with their intervals."""
    rows = []
    groups = [g for g in group_cells(results) if g.key[2] != 0]
    for group in groups:
        found = measures(results, group)
        row: dict[str, Any] = dict(zip(KEY, group.key, strict=True)) | {"label": _short_label(group, groups)}
        for name in ("gain_equal_finetuning", "gain_equal_total"):
            row |= {name: found[name].mean, f"{name}_low": found[name].low, f"{name}_high": found[name].high}
            row[f"{name}_seeds"] = int(found[name].seeds)
        rows.append(row)
    return pd.DataFrame(rows)


def draw_gains(data: pd.DataFrame, path: Path) -> None:
    """A dot plot: a row a setting, its gain over scratch at equal fine-tuning and at equal total with intervals."""
    with matplotlib.rc_context(FIGURE_STYLE):
        rows = len(data)
        longest = max((len(label) for label in data["label"]), default=0) if rows else 0
        figure = _figure(5.4 + 0.065 * longest, 1.2 + 0.34 * max(rows, 1))
        axis = figure.subplots()
        axis.axvline(0, color="black", linewidth=0.9, zorder=1)
        for name, label, colour, marker, shift in (
            ("gain_equal_finetuning", "equal fine-tuning updates", BLUE, "o", -0.16),
            ("gain_equal_total", "equal total updates", ORANGE, "s", 0.16),
        ):
            mean = 100 * data[name].to_numpy(float) if rows else np.empty(0)
            low, high = (
                100 * data[f"{name}_{end}"].to_numpy(float) if rows else np.empty(0) for end in ("low", "high")
            )
            at = np.arange(rows) + shift
            certain = (low > 0) | (high < 0)
            axis.hlines(at, low, high, color=colour, linewidth=1.6, zorder=2)
            for chosen, fill in ((certain, colour), (~certain, "white")):
                axis.plot(
                    mean[chosen], at[chosen], marker, color=colour, markerfacecolor=fill, markersize=5.5, zorder=3
                )
            axis.plot([], [], marker, linestyle="-", color=colour, label=label)
        axis.plot([], [], "o", color=GREY, markerfacecolor="white", label="interval holds 0, or none")
        for row in np.flatnonzero(data["gain_equal_finetuning"].isna()) if rows else []:
            axis.text(0, float(row), " n/a", va="center", color=GREY)
        axis.set_yticks(np.arange(rows), list(data["label"]) if rows else [])
        axis.set_ylim(max(rows, 1) - 0.4, -0.6)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel("gain over scratch [mIoU points], 95 % interval")
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
        _save(figure, path)


def _short_label(group: Group, groups: list[Group]) -> str:
    words = ("{}", "width {}", "epochs {}", "freeze {}", "scans {}")
    varying = [i for i in range(len(KEY)) if len({g.key[i] for g in groups}) > 1] or [0]
    parts = [words[i].format(group.key[i]) for i in varying]
    return ", ".join(part.removeprefix("epochs ") if group.from_checkpoint else part for part in parts)


def _scans(labelled: int | str) -> float:
    return float("inf") if labelled == "all" else float(labelled)


def _scans_words(labelled: int | str) -> str:
    return "all real scans" if labelled == "all" else f"{labelled} real scans"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # no pyplot: no global state, no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def _grid(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    figure = _figure(max(6.4, 3.6 * columns), 0.9 + 2.4 * rows)
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=True)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})

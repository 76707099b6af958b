"""Learning curves: pretraining and what follows in one frame, with epoch 0 of fine-tuning marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.lines
import numpy as np
import pandas as pd

from lidartune.figure_style import BLUE, GREY, ORANGE, PAPER
from lidartune.report.curves import Curve, learning_curve
from lidartune.report.figures.layout import legend, mark, panels
from lidartune.report.figures.telling import best_and_worst, number
from lidartune.report.groups import KEY
from lidartune.report.results import CHECKPOINT, CellResult, StudyResults
from lidartune.transfer import gap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: dict[str, dict[str, Any]] = {
    "pretraining on synthetic, scored on synthetic": {"color": ORANGE, "linestyle": "-", "linewidth": 1.8},
    "pretraining on synthetic, scored on real": {"color": ORANGE, "linestyle": (0, (4, 2)), "linewidth": 1.8},
    "fine-tuning on real, scored on real": {"color": BLUE, "linestyle": "-", "linewidth": 1.8},
    "from scratch on real, scored on real": {"color": GREY, "linestyle": (0, (1, 1.2)), "linewidth": 1.8},
}
PRETRAINING, ZERO_SHOT, FINETUNING, SCRATCH = STYLES
# name, role, roles of the same run that go on longer, domain whose validation scans score it
KINDS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (PRETRAINING, "pretrained", (), "synthetic"),
    (ZERO_SHOT, "pretrained", (), "real"),
    (FINETUNING, "finetuned", (), "real"),
    (SCRATCH, "scratch", ("scratch_longer",), "real"),
)
MOST_PANELS = 4
_PLACE = ["backbone", "labelled_scans", "width"]
_PARTS = {
    PRETRAINING: ["curve"], ZERO_SHOT: ["curve"], FINETUNING: ["curve", "pretrain_epochs", "freeze"],
    SCRATCH: ["curve"],
}  # fmt: skip


def curve_data(results: StudyResults) -> pd.DataFrame:
    """Every validation point that `draw` shows: one row a curve, setting, seed and epoch.

    `updates` counts from the start of pretraining: fine-tuning goes on where its pretraining ended; scratch starts at
    0 and runs for pretraining + fine-tuning updates. `miou` is on points of the validation subset.
    """
    columns: dict[str, list[Any]] = {name: [] for name in (*KEY, "seed", "curve", "epoch", "updates", "miou")}
    drawn: set[tuple[Any, ...]] = set()
    for cell in sorted(results.cells, key=_longest_first):
        for name, role, longer, domain in KINDS:
            if role == "pretrained" and cell.pretrain_epochs == CHECKPOINT:
                continue  # one point, at nobody knows which update
            curve = learning_curve(results, cell, role, *longer)
            if curve is None:
                continue
            offset = pretraining_epochs(cell) * results.updates_per_epoch if name == FINETUNING else 0
            # One run serves many cells: draw it once a panel row.
            once = (name, cell.roles[role].run, cell.labelled_scans, offset)
            if once not in drawn:
                drawn.add(once)
                _append(columns, (*cell.key, cell.seed, name), curve, domain, offset)
    return pd.DataFrame(columns)


def pretraining_epochs(cell: CellResult) -> int:
    """Pretraining epochs; 0 for a checkpoint, whose length is unknown: its fine-tuning is drawn from update 0 on."""
    return cell.pretrain_epochs if isinstance(cell.pretrain_epochs, int) else 0


def _longest_first(cell: CellResult) -> int:
    """The longest pretraining first: it holds the shorter."""
    return -pretraining_epochs(cell)


def _append(columns: dict[str, list[Any]], key: tuple[Any, ...], curve: Curve, domain: str, offset: int) -> None:
    there = np.isfinite(curve.miou[domain])
    for name, value in zip((*KEY, "seed", "curve"), key, strict=True):
        columns[name] += [value] * int(there.sum())
    columns["epoch"] += curve.epochs[there].tolist()
    columns["updates"] += (curve.updates[there] + offset).tolist()
    columns["miou"] += curve.miou[domain][there].tolist()


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """`curve_data` of the panels that are drawn; where there are too many, those of the best and the worst first."""
    data = curve_data(results)
    if not len(data):
        return "no epoch has been scored yet"
    every = data[_PLACE].drop_duplicates()
    every = every.iloc[np.lexsort([every["width"], every["labelled_scans"].map(number), every["backbone"]])]
    first = [tuple(row[_PLACE]) for _, row in best_and_worst(frames["gap"])]
    panels_wanted = list(dict.fromkeys([*first, *every.itertuples(index=False, name=None)]))[:MOST_PANELS]
    here = data[[tuple(p) in set(panels_wanted) for p in data[_PLACE].itertuples(index=False, name=None)]]
    return here.assign(panels=len(every))


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """A panel for each backbone, number of labelled scans and width.

    Thick = mean over the seeds that have the epoch, thin = single seeds; a circle marks a fine-tuning's epoch 0.
    """
    places = list(data[_PLACE].drop_duplicates().itertuples(index=False, name=None))
    places.sort(key=lambda place: (place[0], number(place[1]), place[2]))
    freezes = sorted({str(f) for f in data.loc[data["curve"] == FINETUNING, "freeze"]})
    handles = [matplotlib.lines.Line2D([], [], label=name, **style) for name, style in STYLES.items()]
    handles.append(mark("epoch 0 of fine-tuning", "o"))
    if len(freezes) > 1:
        handles += [mark(f"end, freeze {freeze}", marker(freezes, freeze), BLUE) for freeze in freezes]
    columns = min(2, len(places))
    down = -(-len(places) // columns)
    figure, axes = panels(
        down, columns, size=(5.6 if columns == 1 else 3.3, 1.95), sharey=True,
        top=0.36 + 0.185 * -(-len(handles) // columns),
    )  # fmt: skip
    top = 100 * float(data["miou"].max()) * 1.08
    for axis, (backbone, labelled, width) in zip(axes.flat, places, strict=False):
        here = (data["backbone"] == backbone) & (data["labelled_scans"] == labelled) & (data["width"] == width)
        _draw_panel(axis, data[here], freezes)
        scans = "all real scans" if labelled == "all" else f"{labelled} real scans"
        axis.set_title(f"{backbone}, width {width}, {scans}", fontsize=8.5, loc="left")
        axis.set_ylim(0, max(top, 1.0))
        axis.set_xlim(left=0)
    for axis in axes.flat[len(places) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("validation mIoU [%]")
    for axis in axes[-1]:
        axis.set_xlabel("updates")
    legend(figure, handles, columns)
    note = (
        "Validation scores after each epoch; thick: mean over seeds, thin: single seeds. Fine-tuning begins where its "
        "pretraining ended, and its epoch 0 is scored before the first update."
    )
    there = int(data["panels"].iloc[0])
    if there > len(places):
        note += f" {len(places)} of {there} settings are drawn, first those with the largest and the smallest gain."
    return figure, note


def _draw_panel(axis: Axes, panel: pd.DataFrame, freezes: list[str]) -> None:
    for name, by in _PARTS.items():
        style = STYLES[name]
        for key, line in panel[panel["curve"] == name].groupby(by, sort=True):
            updates, epochs, seeds = _by_seed(line)
            if len(seeds) > 1:  # as one line with breaks: a line a seed takes several times as long to draw
                broken = np.column_stack([100 * seeds, np.full(len(seeds), np.nan)]).ravel()
                at = np.tile(np.append(updates, updates[-1]), len(seeds))
                axis.plot(at, broken, **style | {"linewidth": 0.5, "alpha": 0.55})
            mean = 100 * gap.nan_mean(seeds, 0)
            axis.plot(updates, mean, **style)
            if name == FINETUNING:
                start = epochs == 0
                axis.plot(updates[start], mean[start], "o", color=BLUE, markerfacecolor=PAPER, zorder=4)
                if len(freezes) > 1:
                    axis.plot(updates[-1:], mean[-1:], marker(freezes, str(key[2])), color=BLUE, zorder=4)
    return None


def _by_seed(line: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(U,) updates and epochs, and (seeds, U) scores, nan where a seed lacks the epoch.

    A seed may have a point twice, from runs of different length that share their beginning: it is the same score.
    """
    updates, column = np.unique(line["updates"], return_inverse=True)
    seeds, row = np.unique(line["seed"], return_inverse=True)
    epochs = np.zeros(len(updates), dtype=int)
    epochs[column] = line["epoch"]
    scores = np.full((len(seeds), len(updates)), np.nan)
    scores[row, column] = line["miou"]
    return updates, epochs, scores


def marker(freezes: list[str], freeze: str) -> str:
    """A marker for each of the freeze policies."""
    return "s^DvP*X"[freezes.index(freeze) % 7]

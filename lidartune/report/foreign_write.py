"""The figure and the files of somebody else's curves: plain data first, then drawing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import pandas as pd

from lidartune.figure_style import BLUE, FIGURE_STYLE, GREY, ORANGE
from lidartune.report import figures, foreign
from lidartune.report.csv_files import csv_text
from lidartune.report.foreign import FINETUNING, PRETRAINING, SCRATCH, Curves
from lidartune.report.foreign_log import BONNETAL
from lidartune.report.results import StudyResults
from lidartune.whole_file import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES: dict[str, dict[str, Any]] = {
    PRETRAINING: {"color": ORANGE, "linestyle": "-", "marker": "s"},
    FINETUNING: {"color": BLUE, "linestyle": "-", "marker": "o"},
    SCRATCH: {"color": GREY, "linestyle": (0, (1, 1.2)), "marker": "^"},
}
_STUDY_STYLES: dict[str, dict[str, Any]] = {
    "pretraining on synthetic, scored on synthetic": {"color": ORANGE, "linestyle": (0, (6, 2))},
    "pretraining on synthetic, scored on real": {"color": ORANGE, "linestyle": (0, (2, 2))},
    "fine-tuning on real, scored on real": {"color": BLUE, "linestyle": (0, (6, 2))},
    "from scratch on real, scored on real": {"color": GREY, "linestyle": (0, (6, 2))},
}


def write_curves(curves: Curves, folder: Path, study: StudyResults | None = None) -> list[str]:
    """Writes curves.csv, start.csv, learning.csv, curves.svg, curves.png and curves.txt; returns the text's lines.

    Args:
        study: its curves are drawn in the same frame, and its settings are rows of the same table.
    """
    data = foreign.curve_data(curves)
    rows = [foreign.learning_row(curves)]
    if study is not None:
        data = pd.concat([data, study_data(study)], ignore_index=True)
        rows += foreign.study_rows(study)
    tables = {"curves": data, "start": foreign.start_table(curves), "learning": pd.DataFrame(rows)}
    svg, png = draw(curves, data)
    lines = text(curves, tables["start"], study)
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", csv_text(table))
    write_whole(folder / "curves.svg", svg)
    write_whole(folder / "curves.png", png)
    write_whole(folder / "curves.txt", "\n".join(lines) + "\n")
    return lines


def study_data(study: StudyResults) -> pd.DataFrame:
    """A study's curves as rows beside foreign.curve_data: means over its seeds, in its own epochs."""
    data = figures.curve_data(study)
    data["position"] = data["updates"] / study.updates_per_epoch
    keys = [column for column in data.columns if column not in ("seed", "updates", "miou")]
    mean = data.groupby(keys, as_index=False, sort=False)["miou"].mean().sort_values("epoch", kind="stable")
    setting = [
        f"{r.backbone}, width {r.width}, pretraining {r.pretrain_epochs}, freeze {r.freeze}, {r.labelled_scans} scans"
        for r in mean.itertuples()
    ]
    return mean.assign(setting=setting, tag="")[["curve", "setting", "tag", "epoch", "position", "miou"]]


def draw(curves: Curves, data: pd.DataFrame) -> tuple[bytes, bytes]:
    """(SVG, PNG) of the rows of foreign.curve_data and study_data in one frame."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        for name, log in curves.named().items():
            line = data[(data["curve"] == name) & (data["setting"] == "")]
            every = max(1, len(line) // 12)
            style = _STYLES[name] | {"linewidth": 1.8, "markersize": 4, "markevery": every}
            tag = line["tag"].iloc[0]
            axis.plot(line["position"], 100 * line["miou"], label=f"{name} ({log.writer}: {tag})", **style)
        _mark_start(axis, curves)
        for (name, _), line in data[data["setting"] != ""].groupby(["curve", "setting"], sort=True):
            axis.plot(line["position"], 100 * line["miou"], linewidth=0.9, zorder=1.5, **_STUDY_STYLES[name])
        there = set(data.loc[data["setting"] != "", "curve"])
        for name in (name for name in _STUDY_STYLES if name in there):
            axis.plot([], [], linewidth=0.9, label=f"study: {name}", **_STUDY_STYLES[name])
        axis.set_ylabel("validation mIoU [%]")
        axis.set_xlabel(f"{curves.clock} trained, pretraining and then fine-tuning" if curves.clock == "epochs" else
                        "steps as logged, pretraining and then fine-tuning")  # fmt: skip
        axis.set_ylim(0, max(1.0, 108 * float(data["miou"].max())))
        axis.set_xlim(left=0)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, handlelength=3.2)
        files = io.BytesIO(), io.BytesIO()
        figure.savefig(files[0], format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(files[1], format="png", dpi=150, metadata={"Software": None})
    return files[0].getvalue(), files[1].getvalue()


def _mark_start(axis: Axes, curves: Curves) -> None:
    """Epoch 0 of fine-tuning where it was logged, else the place where it is not; pretraining's level goes on."""
    before, after = curves.pretraining, curves.finetuning
    last = 100 * float(before.scores[-1])
    end = curves.start + int(after.trained[-1])
    axis.plot([curves.start, end], [last, last], color=ORANGE, linewidth=0.8, linestyle=(0, (1, 2)),
              label="pretraining's last score")  # fmt: skip
    if after.trained[0] == 0 and curves.clock == "epochs":
        axis.plot(curves.start, 100 * float(after.scores[0]), "o", color=BLUE, markerfacecolor="white", markersize=7,
                  zorder=4, linestyle="", label="epoch 0 of fine-tuning")  # fmt: skip
    else:
        label = "fine-tuning begins (epoch 0 not logged)" if curves.clock == "epochs" else "fine-tuning begins"
        axis.axvline(curves.start, color=BLUE, linewidth=0.9, linestyle=(0, (4, 3)), label=label)
    if before.writer == BONNETAL:
        axis.plot(before.trained[before.best], 100 * before.scores[before.best], "D", color=ORANGE, zorder=4,
                  markerfacecolor="white", markersize=7, linestyle="",
                  label="pretraining's best (what -p loads)")  # fmt: skip


def text(curves: Curves, start: pd.DataFrame, study: StudyResults | None) -> list[str]:
    """What is printed and stands in curves.txt."""
    unit = "epoch" if curves.clock == "epochs" else "step"
    lines = [f"{'':38}{unit:>8}{'mIoU %':>9}"]
    for row in start.itertuples():
        score = "unknown" if pd.isna(row.miou) else f"{100 * row.miou:.1f}"
        lines.append(f"{f'{row.curve}, {row.which}':38}{row.epoch:>8}{score:>9}")
    lines += ["", *foreign.answer(curves)]
    for title, items in (
        ("Known", foreign.known(curves)),
        ("Left out or guessed", foreign.notes(curves)),
        ("Unknown", foreign.unknown(curves)),
    ):
        if items:
            lines += ["", title, *(f"- {item}" for item in items)]
    if study is not None:
        lines += ["", "The study's curves are means over its seeds, on points, in its own epochs of "
                  f"{study.updates_per_epoch:,} updates: not the epochs of the logs."]  # fmt: skip
    return lines

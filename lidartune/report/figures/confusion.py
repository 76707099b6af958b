"""What is taken for what on real scans: before and after fine-tuning, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lidartune.figure_style import INK
from lidartune.report.figures.layout import CHARACTER, panels
from lidartune.report.figures.telling import best_and_worst, key_of, words
from lidartune.report.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "Blues"  # from white to dark: a grey print keeps the order
STAGES = {"start": "zero-shot", "finetuned": "fine-tuned"}
NAMED = 10.0  # per cent; smaller shares are shades without their figure


def rows(results: StudyResults, frames: dict[str, pd.DataFrame]) -> pd.DataFrame | str:
    """One row a stage, true class and predicted class: `percent` of the class's points, over all seeds together.

    Of the setting with the largest gain; `ignored` is a column where it was predicted on labelled points.
    """
    chosen = best_and_worst(frames["gap"])
    if not chosen:
        return "no setting has been both fine-tuned and trained from scratch yet"
    setting = chosen[0][1]
    cells = [cell for cell in results.cells if cell.key == key_of(setting)]
    parts = []
    for role, stage in STAGES.items():
        counts = [matrix for cell in cells if (matrix := cell.matrix(role, "real")) is not None]
        if not counts:
            return f"the {stage} networks have no scores yet"
        total = np.sum(counts, axis=0)
        there = np.flatnonzero(total[1:].sum(1)) + 1
        shares = 100 * total[there] / total[there].sum(1, keepdims=True)
        predicted = [*there, *([0] if shares[:, 0].any() else [])]
        others = [c for c in range(1, len(total)) if c not in set(there) and shares[:, c].any()]
        predicted = [*there, *others, *predicted[len(there) :]]
        names = np.array(results.classes, dtype=object)
        grid = np.meshgrid(names[there], names[predicted], indexing="ij")
        parts.append(
            pd.DataFrame(
                {"stage": stage, "truth": grid[0].ravel(), "predicted": grid[1].ravel()}
                | {"percent": shares[:, predicted].ravel(), "setting": words(setting), "seeds": len(counts)}
            )
        )
    return pd.concat(parts, ignore_index=True)


def draw(data: pd.DataFrame) -> tuple[Figure, str]:
    """Two matrices, rows = truth, each row 100 %."""
    stages = list(data.groupby("stage", sort=False))
    truth = list(dict.fromkeys(data["truth"]))
    predicted = list(dict.fromkeys(data["predicted"]))
    predicted.sort(key=lambda name: truth.index(name) if name in truth else len(truth))
    longest = max(len(str(name)) for name in (*truth, *predicted))
    side = 0.2
    figure, axes = panels(
        1, len(stages), size=(side * len(predicted), side * len(truth)), left=0.3 + CHARACTER * longest,
        bottom=0.25 + 0.85 * CHARACTER * longest, between=(0.25, 0.3), sharey=True, top=0.34,
    )  # fmt: skip
    for axis, (stage, part) in zip(axes[0], stages, strict=True):
        table = part.pivot(index="truth", columns="predicted", values="percent").reindex(truth)
        _draw_matrix(axis, table.reindex(columns=predicted).fillna(0.0).to_numpy(float))
        axis.set_title(stage, fontsize=8.5, loc="left")
        axis.set_xticks(np.arange(len(predicted)), [str(name) for name in predicted], rotation=90, fontsize=7)
        axis.set_yticks(np.arange(len(truth)), [str(name) for name in truth], fontsize=7)
        axis.set_xlabel("predicted")
    axes[0][0].set_ylabel("truth")
    seeds = int(data["seeds"].iloc[0])
    return figure, (
        f"Per cent of each true class's points on the real test split, {seeds} {'seed' if seeds == 1 else 'seeds'} "
        f"together, of the setting with the largest gain: {data['setting'].iloc[0]}. From {NAMED:.0f} % on the figure "
        "stands in its field."
    )


def _draw_matrix(axis: Axes, percent: np.ndarray) -> None:
    axis.grid(visible=False)
    axis.tick_params(length=0)
    # Shades by the root of the share: small confusions are seen beside a diagonal near 100 %.
    axis.imshow(np.sqrt(percent / 100), cmap=COLOURS, vmin=0, vmax=1, interpolation="none", aspect="auto")
    for (i, j), share in np.ndenumerate(percent):
        if share >= NAMED:
            colour = "white" if share > 35 else INK if share < 1 else "black"
            axis.text(j, i, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=5.5)

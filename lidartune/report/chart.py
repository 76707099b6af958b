"""What the page's chart of learning curves is drawn from: every setting's curves, each run's points once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.curves import Curve, learning_curve
from lidartune.report.figures.curves import KINDS, pretraining_epochs
from lidartune.report.figures.telling import best_and_worst, key_of, labels
from lidartune.report.groups import KEY, Group, group_cells
from lidartune.report.results import StudyResults

MOST_POINTS = 60  # of one curve; longer ones are thinned, their first and last points stay
SHORT = ("pretraining, on synthetic", "pretraining, on real", "fine-tuning, on real", "from scratch, on real")


def chart_data(results: StudyResults, gap: pd.DataFrame) -> dict[str, Any]:
    """Settings and the lines that they are made of, as plain values for JSON.

    A setting names, for each of KINDS, a line or null, the epoch where its part of it ends, and by how many updates
    it is shifted to the right. Lines are shared: one pretraining serves many settings. `y` holds a list a seed, in
    per cent with two decimals, null where the seed lacks the epoch.
    """
    groups = [group for group in group_cells(results) if any("finetuned" in cell.roles for cell in group.cells)]
    lines: dict[tuple[Any, ...], dict[str, Any]] = {}
    settings = [_setting(results, group, lines) for group in groups]
    numbers = {key: number for number, key in enumerate(lines)}
    for setting in settings:
        setting["lines"] = [None if p is None else [numbers[p[0]], *p[1:]] for p in setting["lines"]]
    rows = pd.DataFrame([group.key for group in groups], columns=list(KEY))
    chosen = [key_of(row) for _, row in best_and_worst(gap)][:1]
    for setting, label, group in zip(settings, labels(rows) if len(rows) else [], groups, strict=True):
        setting |= {"label": label, "chosen": group.key in chosen or (not chosen and group is groups[0])}
    return {
        "axes": [name for name in KEY if rows[name].astype(str).nunique() > 1],
        "kinds": list(SHORT),
        "settings": settings,
        "lines": list(lines.values()),
        "updates_per_epoch": results.updates_per_epoch,
    }


def _setting(results: StudyResults, group: Group, lines: dict[tuple[Any, ...], dict[str, Any]]) -> dict[str, Any]:
    places: list[tuple[Any, ...] | None] = []
    offset = pretraining_epochs(group.cells[0]) * results.updates_per_epoch
    for name, role, longer, domain in KINDS:
        curves = {
            cell.seed: (cell.roles[role].run, curve)
            for cell in group.cells
            if (curve := learning_curve(results, cell, role, *longer)) is not None and len(curve.epochs)
        }
        if not curves or (role == "pretrained" and group.from_checkpoint):
            places.append(None)
            continue
        last = max(int(curve.epochs[-1]) for _, curve in curves.values())
        key = (name, *(run for run, _ in curves.values()))
        if key not in lines or lines[key]["epochs"][-1] < last:
            lines[key] = _line({seed: curve for seed, (_, curve) in curves.items()}, domain)
        places.append((key, last, offset if role == "finetuned" else 0))
    return {"key": {part: str(value) for part, value in zip(KEY, group.key, strict=True)}, "lines": places}


def _line(curves: dict[int, Curve], domain: str) -> dict[str, Any]:
    epochs = np.unique(np.concatenate([curve.epochs for curve in curves.values()]))
    if len(epochs) > MOST_POINTS:
        epochs = epochs[np.unique(np.linspace(0, len(epochs) - 1, MOST_POINTS).round().astype(int))]
    updates = dict(pair for curve in curves.values() for pair in zip(curve.epochs, curve.updates, strict=True))
    scores = []
    for curve in curves.values():
        own = dict(zip(curve.epochs, curve.miou[domain], strict=True))
        values = [own.get(epoch, np.nan) for epoch in epochs]
        scores.append([round(100 * float(v), 2) if np.isfinite(v) else None for v in values])
    return {
        "seeds": list(curves),
        "epochs": [int(epoch) for epoch in epochs],
        "updates": [int(updates[epoch]) for epoch in epochs],
        "y": scores,
    }

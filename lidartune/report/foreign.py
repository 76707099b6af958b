"""Somebody else's pretraining and fine-tuning, side by side: does the second start where the first ended?

The logs are read by foreign_log.py. What they do not say is listed as unknown, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lidartune.errors import UserError
from lidartune.report.foreign_log import BONNETAL, BONNETAL_TAG, OTHER, OURS, Log
from lidartune.report.groups import KEY, group_cells
from lidartune.report.learning import curve_pair, learning_fields
from lidartune.report.plain_text import plain_name
from lidartune.report.results import StudyResults
from lidartune.transfer import gap

PRETRAINING, FINETUNING, SCRATCH = "pretraining", "fine-tuning", "from scratch"
START_COLUMNS = ["curve", "which", "epoch", "miou"]
FIRST_SCORES = 3
TAGS_SHOWN = 8
SHORT_TAG = 60  # characters of a tag in the figure


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Logs of one transfer, all counted alike: `clock` is `epochs`, or `steps` where a writer's are not known."""

    pretraining: Log
    finetuning: Log
    scratch: Log | None = None

    def __post_init__(self) -> None:
        if self.pretraining.path.resolve() == self.finetuning.path.resolve():
            raise UserError("pretraining and fine-tuning are the same log", where=self.pretraining.path, do="name two")
        kinds = {log.writer == OTHER for log in self.named().values()}
        if len(kinds) > 1:
            found = ", ".join(f"{name}: {log.writer} ({plain_name(log.tag)})" for name, log in self.named().items())
            raise UserError(
                "these logs count differently: what a step is, is known of some only",
                found=found,
                wanted="logs of one program",
                do="give the logs of one program",
            )

    def named(self) -> dict[str, Log]:
        """The logs that are there, by the names of their curves."""
        logs = {PRETRAINING: self.pretraining, FINETUNING: self.finetuning, SCRATCH: self.scratch}
        return {name: log for name, log in logs.items() if log is not None}

    @property
    def clock(self) -> str:
        """What `trained` counts."""
        return "steps" if self.pretraining.writer == OTHER else "epochs"

    @property
    def start(self) -> int:
        """Where fine-tuning begins on the common axis: after the last score of pretraining."""
        return int(self.pretraining.trained[-1])


def curve_data(curves: Curves) -> pd.DataFrame:
    """Every point of the figure: `epoch` (or step) of its own run, `position` counted from pretraining's start."""
    frames = [
        pd.DataFrame(
            {
                "curve": name,
                "setting": "",
                "tag": plain_name(log.tag, SHORT_TAG),
                "epoch": log.trained,
                "position": log.trained + (curves.start if name == FINETUNING else 0),
                "miou": log.scores,
            }
        )
        for name, log in curves.named().items()
    ]
    return pd.concat(frames, ignore_index=True)


def start_table(curves: Curves) -> pd.DataFrame:
    """Where pretraining ended and fine-tuning began; `miou` nan = not logged."""
    rows: list[tuple[str, str, int, float]] = []
    for name, log in curves.named().items():
        points = [(int(e), float(s)) for e, s in zip(log.trained, log.scores, strict=True)]
        if name != PRETRAINING:
            if points[0][0] != 0 and curves.clock == "epochs":
                rows.append((name, "before its first update", 0, float("nan")))
            rows += [(name, "first score" if i == 0 else "next", *p) for i, p in enumerate(points[:FIRST_SCORES])]
        rows += [(name, "best", *points[log.best]), (name, "last", *points[-1])]
    return pd.DataFrame(rows, columns=START_COLUMNS)


def learning_row(curves: Curves) -> dict[str, Any]:
    """These logs as one row of the learning-curve table: its measures, of one seed, over what `clock` counts."""
    tuned, scratch = curves.finetuning, curves.scratch
    if scratch is None:
        pair = tuned.trained, tuned.scores, np.full(len(tuned.scores), np.nan)
    else:
        both, mine, its = np.intersect1d(tuned.trained, scratch.trained, return_indices=True)
        pair = both, tuned.scores[mine], scratch.scores[its]
    there = len(pair[0]) > 0
    fields = learning_fields([pair] if there else [], curves.clock)
    if scratch is None or not there:  # no threshold: neither reached nor missed
        fields |= {name: "" for name in fields if "_to_" in name}
    key = tuned.backbone or "", tuned.width or "", curves.start, tuned.freeze, ""
    return {"source": "logs", **dict(zip(KEY, key, strict=True)), "seeds": int(there), **fields}


def study_rows(results: StudyResults) -> list[dict[str, Any]]:
    """A study's settings as rows beside `learning_row`, over its own epochs."""
    rows = []
    for group in group_cells(results):
        found = [pair for cell in group.cells if (pair := curve_pair(results, cell)) is not None]
        pairs = [(updates / results.updates_per_epoch, tuned, scratch) for updates, tuned, scratch in found]
        key = dict(zip(KEY, group.key, strict=True))
        rows.append({"source": "study", **key, "seeds": len(pairs), **learning_fields(pairs, "epochs")})
    return rows


def answer(curves: Curves) -> list[str]:
    """The memo's question in words, with what stands against taking them at face value."""
    before, after = curves.pretraining, curves.finetuning
    unit = "epoch" if curves.clock == "epochs" else "step"
    first, last, best = (100 * float(s) for s in (after.scores[0], before.scores[-1], before.scores[before.best]))
    said = f"Fine-tuning's first score ({unit} {after.trained[0]}) is {_apart(first - last)} pretraining's last"
    if before.best != len(before.scores) - 1:
        said += f" and {_apart(first - best)} its best"
    lines = [said + "."]
    reached = gap.updates_to_threshold(after.trained, after.scores, before.scores[-1])
    if np.isinf(reached):
        lines.append(f"It does not reach pretraining's last score in the {after.trained[-1]} {curves.clock} logged.")
    elif reached != after.trained[0]:
        lines.append(f"It reaches pretraining's last score at {unit} {int(reached)}.")
    if curves.scratch is not None:
        both, mine, its = np.intersect1d(after.trained, curves.scratch.trained, return_indices=True)
        if len(both):
            ahead = [100 * float(after.scores[mine[i]] - curves.scratch.scores[its[i]]) for i in (0, -1)]
            lines.append(
                f"Against from scratch it is {ahead[0]:+.1f} points at {unit} {both[0]}, {ahead[1]:+.1f} at {both[-1]}."
            )
    lines.append("Both are validation scores, each on its own log's scans: a difference is no measure of transfer yet.")
    return lines


def known(curves: Curves) -> list[str]:
    """What tags and configurations say of each log, a line each."""
    lines = []
    for name, log in curves.named().items():
        parts = [f"logged as {log.writer} does" if log.writer != OTHER else "writer not known"]
        parts.append(f"tag {plain_name(log.tag)}")
        if log.backbone or log.width:
            parts.append(" ".join(filter(None, (log.backbone, f"width {log.width}" if log.width else ""))))
        if log.batch_size:
            parts.append(f"batches of {log.batch_size}")
        if log.freeze:
            parts.append(f"frozen: {log.freeze}")
        if log.rates and any(rate.any() for rate in log.rates.values()):
            rate = max((r for r in log.rates.values()), key=lambda r: float(r.max()))
            parts.append(f"learning rate at most {rate.max():.3g}, at last {rate[-1]:.3g}")
        if log.classes is not None:
            parts.append(f"{len(log.classes)} classes")
        if log.valid_sequences is not None:
            parts.append(f"validated on sequences {plain_name(', '.join(log.valid_sequences))}")
        lines.append(f"{name}: " + "; ".join(parts))
    lines += _differences(curves)
    return lines


def notes(curves: Curves) -> list[str]:
    """What was left out or read with a guess, a line each."""
    return [f"{name}: {note}" for name, log in curves.named().items() for note in log.notes]


def unknown(curves: Curves) -> list[str]:
    """What neither tags nor configurations tell, and why it matters."""
    return list(_unknown(curves, list(curves.named().values())))


def _unknown(curves: Curves, logs: list[Log]) -> Iterator[str]:
    writers = {log.writer for log in logs}
    if curves.clock == "steps":
        yield "what a step is (epoch or update), and whether it was scored before or after that step's training"
    elif curves.finetuning.trained[0] != 0:
        why = " (lidar-bonnetal validates only after an epoch of updates)" if BONNETAL in writers else ""
        yield (
            f"the score of fine-tuning's epoch 0{why}, and with it the jumpstart: the first score has both in it, "
            "what pretraining brought and what the first epoch changed"
        )
    if BONNETAL in writers:
        best = curves.pretraining
        yield (
            "which weights fine-tuning began from: lidar-bonnetal's -p loads those of the best validation epoch "
            f"(here {best.trained[best.best]}), not the last, and goes on from random ones where a file does not fit"
        )
    if writers != {OURS}:
        yield "pretraining's score on real scans, and fine-tuning's on synthetic ones: domain gap and forgetting"
        if BONNETAL in writers:
            batches = any(log.tag != BONNETAL_TAG for log in logs)
            yield (
                "scores on points: lidar-bonnetal's are on pixels of its canvas, without the neighbour vote, the last "
                "partial batch left out, a class that is absent counted as 0"
                + ("; train_iou is a mean over batches while the weights change" if batches else "")
            )
        else:
            yield "whether the scores are on points or on pixels, and which classes a mean holds"
    for name, log in curves.named().items():
        if log.other_tags:
            shown = ", ".join(plain_name(tag, SHORT_TAG) for tag in log.other_tags[:TAGS_SHOWN])
            rest = len(log.other_tags) - TAGS_SHOWN
            yield f"what else {name} logs, which is not used: {shown}" + (f" and {rest} more" if rest > 0 else "")
    if any(log.classes is None for log in logs):
        yield "whether the logs have the same classes (lidar-bonnetal's data_cfg.yaml would say)"
    if any(log.valid_sequences is None for log in logs):
        yield "which scans each log is validated on"
    yield "how many labelled scans" + (", and how many updates an epoch has" if curves.clock == "epochs" else "")
    yield "how much of a difference is chance: each log is one run, without a second seed"


def _differences(curves: Curves) -> Iterator[str]:
    before, after = curves.pretraining, curves.finetuning
    for what, a, b in (("backbone", before.backbone, after.backbone), ("width", before.width, after.width)):
        if a is not None and b is not None and a != b:
            yield f"not the same {what}: {a} in pretraining, {b} in fine-tuning"
    if before.classes is None or after.classes is None:
        return
    if before.classes == after.classes:
        yield f"both have the same {len(after.classes)} classes"
        return
    only = [sorted(set(a) - set(b)) for a, b in ((before.classes, after.classes), (after.classes, before.classes))]
    yield "not the same classes" + "".join(
        f"; in {name} only: {', '.join(names[:8])}{' ...' if names[8:] else ''}"
        for name, names in zip((PRETRAINING, FINETUNING), only, strict=True)
        if names
    )


def _apart(points: float) -> str:
    return f"{abs(points):.1f} points {'below' if points < 0 else 'above'}"

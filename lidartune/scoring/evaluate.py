"""From predictions to confusion matrices: on points, by the rule of every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lidartune.scans import NUM_CLASSES, ScanFile
from lidartune.scoring.confusion import ConfusionMatrix
from lidartune.scoring.predict import own_pixel_classes, point_classes
from lidartune.training.loader import PreparedScan

Classify = Callable[[PreparedScan], np.ndarray]
"""Predicted classes `(H, W)` of a scan."""


def _empty() -> ConfusionMatrix:
    return ConfusionMatrix(NUM_CLASSES)


@dataclass(kw_only=True)
class Block:
    """A few consecutive scans of one sequence: neighbours resemble each other, blocks hardly."""

    sequence: str
    first: str
    last: str
    scans: int = 0
    points: ConfusionMatrix = field(default_factory=_empty)

    def as_dict(self) -> dict[str, Any]:
        return {
            "sequence": self.sequence,
            "first": self.first,
            "last": self.last,
            "points": self.points.matrix.tolist(),
        }


def score_briefly(classify: Classify, scans: Iterable[PreparedScan]) -> dict[str, Any]:
    """Confusion matrices of `points` (after the vote) and `pixels`, for watching a run."""
    points, pixels = _empty(), _empty()
    for scan in scans:
        image = classify(scan)
        points.add(point_classes(scan, image), scan.truth)
        pixels.add(image[scan.canvas.mask], scan.truth_image[scan.canvas.mask])
    return {"points": points.matrix.tolist(), "pixels": pixels.matrix.tolist()}


def score_fully(classify: Classify, scans: Iterable[tuple[ScanFile, PreparedScan]], *, block: int) -> dict[str, Any]:
    """Confusion matrices for the tables.

    `points`: every labelled point after the neighbour vote, which is the score. Beside it `pixels`, `no_vote` (each
    point takes its own pixel's class), `ceiling` (the true pixel classes through the same vote: what the canvas
    allows), and `blocks`: `points` for each `block` consecutive scans, for the test set's own uncertainty.
    """
    matrices = {name: _empty() for name in ("points", "pixels", "no_vote", "ceiling")}
    blocks: list[Block] = []
    for file, scan in scans:
        image = classify(scan)
        if not blocks or blocks[-1].sequence != file.sequence or blocks[-1].scans == block:
            blocks.append(Block(sequence=file.sequence, first=file.name, last=file.name))
        blocks[-1].last = file.name
        blocks[-1].scans += 1
        blocks[-1].points.add(point_classes(scan, image), scan.truth)
        matrices["pixels"].add(image[scan.canvas.mask], scan.truth_image[scan.canvas.mask])
        matrices["no_vote"].add(own_pixel_classes(scan, image), scan.truth)
        matrices["ceiling"].add(point_classes(scan, scan.truth_image), scan.truth)
    for entry in blocks:
        matrices["points"] += entry.points
    named = {name: matrix.matrix.tolist() for name, matrix in matrices.items()}
    return named | {"blocks": [entry.as_dict() for entry in blocks]}

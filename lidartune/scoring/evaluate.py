"""From predictions to confusion matrices: on points, by the rule of every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lidartune.scans import NUM_CLASSES, ScanFile
from lidartune.scoring.blocks import Block, consecutive
from lidartune.scoring.confusion import ConfusionMatrix
from lidartune.scoring.predict import own_pixel_classes, point_classes
from lidartune.training.loader import PreparedScan

Classify = Callable[[PreparedScan], np.ndarray]
"""Predicted classes `(H, W)` of a scan."""


def _empty() -> ConfusionMatrix:
    return ConfusionMatrix(NUM_CLASSES)


def score_briefly(classify: Classify, scans: Iterable[PreparedScan]) -> dict[str, Any]:
    """Confusion matrices of `points` (after the vote) and `pixels`, for watching a run."""
    points, pixels = _empty(), _empty()
    for scan in scans:
        image = classify(scan)
        points.add(point_classes(scan, image), scan.truth)
        pixels.add(image[scan.canvas.mask], scan.truth_image[scan.canvas.mask])
    return {"points": points.matrix.tolist(), "pixels": pixels.matrix.tolist()}


def score_fully(
    classify: Classify, files: Sequence[ScanFile], scans: Iterable[PreparedScan], *, block: int
) -> dict[str, Any]:
    """Confusion matrices for the tables, of `scans`, which are those of `files` in their order.

    `points`: every labelled point after the neighbour vote, which is the score. Beside it `pixels`, `no_vote` (each
    point takes its own pixel's class), `ceiling` (the true pixel classes through the same vote: what the canvas
    allows), and `blocks`: `points` for each `block` consecutive scans, for the test set's own uncertainty.
    """
    matrices = {name: _empty() for name in ("points", "pixels", "no_vote", "ceiling")}
    blocks = [Block.of(group, _empty()) for group in consecutive(files, block)]
    block_of_scan = (entry for entry in blocks for _ in range(entry.scans))
    for entry, scan in zip(block_of_scan, scans, strict=True):
        image = classify(scan)
        entry.points.add(point_classes(scan, image), scan.truth)
        matrices["pixels"].add(image[scan.canvas.mask], scan.truth_image[scan.canvas.mask])
        matrices["no_vote"].add(own_pixel_classes(scan.canvas, image), scan.truth)
        matrices["ceiling"].add(point_classes(scan, scan.truth_image), scan.truth)
    for entry in blocks:
        matrices["points"] += entry.points
    named = {name: matrix.matrix.tolist() for name, matrix in matrices.items()}
    return named | {"blocks": [entry.as_dict() for entry in blocks]}

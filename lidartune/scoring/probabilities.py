"""How probable a network thought each class at points that are of it, and at points that are not."""

from __future__ import annotations

import numpy as np

from lidartune.canvas import Canvas
from lidartune.kernels import kernel

PROBABILITY_STEPS = 50
SCANS_A_COUNT = 4
"""One test scan in so many is counted: of all it would take 3 % of the demo's time."""


class ProbabilityCounts:
    """Labelled points, counted for each class by the probability that the network gives that class at their own pixel.

    All that precision-recall curves need, in whole steps of 1 / PROBABILITY_STEPS. A point on no pixel counts with
    probability 0; one whose truth is ignored does not count.

    Attributes:
        counts: (2, num_classes - 1, PROBABILITY_STEPS + 1) int64: points of other classes, points of this class.
    """

    def __init__(self, num_classes: int):
        self.counts = np.zeros((2, num_classes - 1, PROBABILITY_STEPS + 1), dtype=np.int64)

    def add(self, levels: np.ndarray, canvas: Canvas, truth: np.ndarray) -> None:
        """Adds a scan.

        Args:
            levels: (num_classes - 1, H, W) uint8 whole steps of probability, from `probable_images`.
            truth: (N,) uint8 classes of the canvas's points, 0 = ignored.
        """
        classes = self.counts.shape[1]
        if levels.shape != (classes, *canvas.index.shape):
            raise ValueError(f"probabilities {levels.shape} of {classes} classes on {canvas.index.shape}")
        if len(truth) != len(canvas.row) or (len(truth) and int(truth.max()) > classes):
            raise ValueError(f"{len(truth)} points with classes up to {truth.max()} on a canvas of {len(canvas.row)}")
        by_pixel = np.ascontiguousarray(levels.reshape(classes, -1).T)
        pixels = canvas.row * np.int32(canvas.index.shape[1]) + canvas.column
        _count(by_pixel, np.where(canvas.row < 0, np.int32(-1), pixels), truth, self.counts)

    def as_dict(self) -> dict[str, list[list[int]]]:
        """`right` and `wrong` -> (num_classes - 1, PROBABILITY_STEPS + 1) counts."""
        wrong, right = self.counts.tolist()
        return {"right": right, "wrong": wrong}


@kernel
def _count(by_pixel: np.ndarray, pixels: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> None:
    classes, last = counts.shape[1], counts.shape[2] - 1
    for point in range(len(truth)):
        if truth[point] == 0:
            continue
        for index in range(classes):
            level = by_pixel[pixels[point], index] if pixels[point] >= 0 else 0
            if level > last:  # what a probability that is no number came to
                level = 0
            counts[1 if truth[point] == index + 1 else 0, index, level] += 1

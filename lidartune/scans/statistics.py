"""What training needs to know of a dataset: means and deviations of its canvases, weights of its classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from lidartune.errors import UserError
from lidartune.scans.taxonomy import NUM_CLASSES


class HasImage(Protocol):
    """What `canvas_statistics` reads of a canvas."""

    @property
    def image(self) -> np.ndarray: ...
    @property
    def mask(self) -> np.ndarray: ...


def canvas_statistics(canvases: Iterable[HasImage]) -> tuple[np.ndarray, np.ndarray]:
    """Means and population standard deviations, each (C,) float64, over the valid pixels of all canvases.

    Reads one canvas at a time in the order given and keeps float64 sums, joined by the pairwise update of Chan, Golub
    and LeVeque (1983); the same canvases in the same order give the same bits.

    Raises:
        UserError: not one valid pixel.
    """
    count, mean, squares = 0, np.zeros(0), np.zeros(0)
    for canvas in canvases:
        pixels = canvas.image[:, canvas.mask].astype(np.float64)
        added = pixels.shape[1]
        if not added:
            continue
        mean_here = pixels.mean(axis=1)
        squares_here = np.square(pixels - mean_here[:, None]).sum(axis=1)
        if not count:
            count, mean, squares = added, mean_here, squares_here
            continue
        total, step = count + added, mean_here - mean
        mean = mean + step * (added / total)
        squares = squares + squares_here + step**2 * (count * added / total)
        count = total
    if not count:
        raise UserError(
            "no valid pixel to measure means and deviations on",
            wanted="at least one point that falls on a canvas",
            do="check that the training sequences hold scans with points",
        )
    return mean, np.sqrt(squares / count)


def class_counts(labels: Iterable[np.ndarray], num_classes: int = NUM_CLASSES) -> np.ndarray:
    """(num_classes,) int64: how often each class stands in the arrays of classes."""
    counts = np.zeros(num_classes, dtype=np.int64)
    for classes in labels:
        here = np.bincount(np.asarray(classes).ravel(), minlength=num_classes)
        if len(here) > num_classes:
            raise ValueError(f"class {len(here) - 1} among labels of {num_classes} classes")
        counts += here
    return counts


def class_weights(counts: np.ndarray, epsilon: float = 0.001) -> np.ndarray:
    """(num_classes,) float32 loss weights 1 / (share + epsilon), and 0 for class 0 (ignored).

    A share is of all points, the ignored ones included, as in lidar-bonnetal's `content`. `counts` may be counts or
    shares.

    Raises:
        UserError: nothing was counted.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if not counts.sum() > 0:
        raise UserError("no labelled point to weigh the classes by", do="check that the training sequences hold labels")
    weights = 1.0 / (counts / counts.sum() + epsilon)
    weights[0] = 0.0
    return weights.astype(np.float32)

"""What training needs to know of a dataset: means and deviations of its canvases, weights of its classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from lidartune.errors import UserError
from lidartune.scans.classes import NUM_CLASSES


class HasImage(Protocol):
    """What `canvas_statistics` reads of a canvas."""

    @property
    def image(self) -> np.ndarray: ...
    @property
    def mask(self) -> np.ndarray: ...


def canvas_statistics(canvases: Iterable[HasImage]) -> tuple[np.ndarray, np.ndarray]:
    """Means and population standard deviations, each (C,) float64, over the valid pixels of all canvases.

    Reads one canvas at a time in the order given; the same canvases in the same order give the same bits.

    Raises:
        UserError: not one valid pixel.
    """
    moments = Moments()
    for canvas in canvases:
        moments = moments.joined(canvas_moments(canvas))
    return moments.mean_and_std()


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over `count` valid pixels: their means and summed squared deviations, each (C,) float64.

    Made by `canvas_moments` for one canvas and joined canvas by canvas; the order decides the last bits.
    """

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def joined(self, other: Moments) -> Moments:
        """Of the pixels of both, by the pairwise update of Chan, Golub and LeVeque (1983)."""
        if not self.count or not other.count:
            return other if other.count else self
        total, step = self.count + other.count, other.mean - self.mean
        mean = self.mean + step * (other.count / total)
        squares = self.squares + other.squares + step**2 * (self.count * other.count / total)
        return Moments(total, mean, squares)

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and population standard deviations, each (C,) float64; UserError where there is no pixel."""
        if not self.count:
            raise UserError(
                "no valid pixel to measure means and deviations on",
                wanted="at least one point that falls on a canvas",
                do="check that the training sequences hold scans with points",
            )
        return self.mean, np.sqrt(self.squares / self.count)


def canvas_moments(canvas: HasImage) -> Moments:
    """The moments of one canvas's valid pixels: float64 sums of the pixels one after the other, by rows."""
    shown = np.flatnonzero(canvas.mask)
    channels = canvas.image.reshape(len(canvas.image), -1)
    if not len(shown):
        return Moments()
    mean, squares = np.empty(len(channels)), np.empty(len(channels))
    for c, channel in enumerate(channels):
        values = channel[shown].astype(np.float64)
        mean[c] = _sum_in_order(values) / len(values)
        values -= mean[c]
        squares[c] = _sum_in_order(np.square(values, out=values))
    return Moments(len(shown), mean, squares)


def _sum_in_order(values: np.ndarray) -> float:
    """Runs keep the bits of their normalisation by this order; np.sum adds in another one."""
    return float(np.add.accumulate(values)[-1])


def class_counts(labels: Iterable[np.ndarray], num_classes: int = NUM_CLASSES) -> np.ndarray:
    """(num_classes,) int64: how often each class stands in the arrays of classes."""
    counts = np.zeros(num_classes, dtype=np.int64)
    for classes in labels:
        here = np.bincount(np.asarray(classes).ravel(), minlength=num_classes)
        if len(here) > num_classes:
            raise ValueError(f"class {len(here) - 1} among labels of {num_classes} classes")
        counts += here
    return counts


def class_weights(
    counts: np.ndarray,
    epsilon: float = 0.001,
    *,
    rule: Literal["inverse", "sqrt", "effective_number"] = "inverse",
    beta: float = 0.9999,
) -> np.ndarray:
    """(num_classes,) float32 loss weights, and 0 for class 0 (ignored).

    | rule | weight of a class |
    |---|---|
    | `inverse` | 1 / (share + epsilon); a share is of all points, the ignored ones included, as in lidar-bonnetal |
    | `sqrt` | the square root of that |
    | `effective_number` | see `effective_number_weights` |

    Args:
        counts: how often each class was counted. `inverse` and `sqrt` take shares as well.
        epsilon: keeps the weight of a class that was never counted finite; `inverse` and `sqrt` only.
        beta: `effective_number` only.

    Raises:
        UserError: nothing was counted.
    """
    if rule == "effective_number":
        return effective_number_weights(counts, beta)
    counts = np.asarray(counts, dtype=np.float64)
    _refuse_nothing(counts)
    weights = 1.0 / (counts / counts.sum() + epsilon)
    weights[0] = 0.0
    weights = weights.astype(np.float32)
    return np.sqrt(weights) if rule == "sqrt" else weights


def effective_number_weights(counts: np.ndarray, beta: float) -> np.ndarray:
    """(num_classes,) float32 loss weights (1 - beta) / (1 - beta^n) of the classes' counts n, and 0 for class 0.

    Scaled to a mean of 1 over the classes but 0: Cui, Jia, Lin, Song and Belongie, "Class-balanced loss based on
    effective number of samples", CVPR 2019. A class that was never counted weighs as one that was counted once.

    The paper counts pictures; here points are counted, far more. What a class has beyond some 1 / (1 - beta) points
    makes no difference: with 0.9999 all classes of more than some 50,000 points weigh alike. Towards beta 1 the weights
    become those of 1 / n, at 0 all are 1. They depend on how many scans were counted, as shares do not.

    Raises:
        UserError: nothing was counted.
        ValueError: `counts` are no whole numbers, or `beta` is outside [0, 1).
    """
    counts = np.asarray(counts)
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"effective numbers are of whole counts, not of {counts.dtype}")
    if not 0 <= beta < 1:
        raise ValueError(f"a beta of {beta}; it is in [0, 1)")
    _refuse_nothing(counts)
    seen = np.maximum(counts, 1).astype(np.float64)
    # -expm1(n log beta) is 1 - beta^n without cancellation
    weights = 1.0 / -np.expm1(seen * np.log(beta)) if beta > 0 else np.ones(len(seen))
    weights[0] = 0.0
    return (weights * (len(weights) - 1) / weights.sum()).astype(np.float32)


def _refuse_nothing(counts: np.ndarray) -> None:
    if not counts.sum() > 0:
        raise UserError("no labelled point to weigh the classes by", do="check that the training sequences hold labels")

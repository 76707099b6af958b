"""Counts of (truth, prediction) pairs and the figures that come from them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class ConfusionMatrix:
    """How often each class was predicted for each true class.

    SemanticKITTI's rule: points whose truth is ignored are left out; a prediction "ignored" on a labelled point is an
    error. `ignore_predicted=True` gives lidar-bonnetal's rule instead: points predicted as ignored are left out too.

    Attributes:
        matrix: (num_classes, num_classes) int64, rows are truth, columns predicted. It counts ignored truth as
            well; the figures do not.
        ignore: the ignored classes.
    """

    def __init__(self, num_classes: int, ignore: Iterable[int] = (0,)):
        self.ignore = tuple(sorted(set(ignore)))
        if num_classes < 1 or any(not 0 <= c < num_classes for c in self.ignore):
            raise ValueError(f"ignored classes {self.ignore} of {num_classes} classes")
        self.matrix = np.zeros((num_classes, num_classes), dtype=np.int64)

    @classmethod
    def from_matrix(cls, matrix: object, ignore: Iterable[int] = (0,)) -> ConfusionMatrix:
        """From stored counts, rows truth and columns predicted; copies them."""
        counts = np.array(matrix)
        if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
            raise ValueError(f"a confusion matrix is square, not {counts.shape}")
        if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
            raise ValueError("a confusion matrix holds counts: whole numbers from 0")
        confusion = cls(len(counts), ignore)
        confusion.matrix += counts.astype(np.int64)
        return confusion

    @property
    def num_classes(self) -> int:
        return len(self.matrix)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Counts predictions against truth: two arrays of classes with the same shape."""
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        if predicted.shape != truth.shape:
            raise ValueError(f"predictions {predicted.shape} against truth {truth.shape}")
        if not truth.size:
            return
        for name, classes in (("predicted", predicted), ("true", truth)):
            if not np.issubdtype(classes.dtype, np.integer):
                raise ValueError(f"{name} classes must be integers, not {classes.dtype}")
            if int(classes.min()) < 0 or int(classes.max()) >= self.num_classes:
                raise ValueError(f"a {name} class outside 0..{self.num_classes - 1}: {classes.min()}..{classes.max()}")
        pairs = truth.astype(np.int64).ravel() * self.num_classes + predicted.astype(np.int64).ravel()
        self.matrix += np.bincount(pairs, minlength=self.matrix.size).reshape(self.matrix.shape)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        if (self.num_classes, self.ignore) != (other.num_classes, other.ignore):
            raise ValueError("two confusion matrices with other classes, or other ignored ones")
        return ConfusionMatrix.from_matrix(self.matrix + other.matrix, self.ignore)

    def iou(self, *, ignore_predicted: bool = False) -> np.ndarray:
        """(num_classes,) float64 intersection over union; nan for ignored classes and those without ground truth."""
        counted = self._counted(ignore_predicted)
        hits, truth = np.diag(counted), self.matrix.sum(axis=1)
        union = counted.sum(axis=0) + counted.sum(axis=1) - hits
        iou = np.where(truth > 0, hits / np.maximum(union, 1), np.nan)
        iou[list(self.ignore)] = np.nan
        return iou

    def miou(self, *, ignore_predicted: bool = False) -> float:
        """Mean of `iou` over the classes in the ground truth; nan where there are none."""
        iou = self.iou(ignore_predicted=ignore_predicted)
        present = iou[~np.isnan(iou)]
        return float(present.mean()) if present.size else float("nan")

    def accuracy(self, *, ignore_predicted: bool = False) -> float:
        """Share of the labelled points that are right; nan where there are none."""
        counted = self._counted(ignore_predicted)
        total = int(counted.sum())
        return int(np.trace(counted)) / total if total else float("nan")

    def _counted(self, ignore_predicted: bool) -> np.ndarray:
        counted = self.matrix.copy()
        counted[list(self.ignore)] = 0
        if ignore_predicted:
            counted[:, list(self.ignore)] = 0
        return counted

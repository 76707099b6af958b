"""Counts of (truth, prediction) pairs and the figures that come from them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

BYTE = 256


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
        if not 1 <= num_classes <= BYTE or any(not 0 <= c < num_classes for c in self.ignore):
            raise ValueError(f"ignored classes {self.ignore} of {num_classes} classes (at most {BYTE})")
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
        """Counts predictions against truth: two arrays of classes with the same shape; uint8 ones are the fastest.

        Raises:
            ValueError: other shapes, no integers, or what is no class; nothing is counted then.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        if predicted.shape != truth.shape:
            raise ValueError(f"predictions {predicted.shape} against truth {truth.shape}")
        if not truth.size:
            return
        pairs = self._as_bytes(truth, "true").astype(np.uint16)
        pairs <<= 8
        pairs |= self._as_bytes(predicted, "predicted")
        # What is no class lands beside the matrix: below it a truth, right of it a prediction.
        counts = np.bincount(pairs, minlength=self.num_classes * BYTE)
        self._check("true", counts.size > self.num_classes * BYTE, truth)
        counts = counts.reshape(-1, BYTE)
        self._check("predicted", bool(counts[:, self.num_classes :].any()), predicted)
        self.matrix += counts[:, : self.num_classes]

    def _as_bytes(self, classes: np.ndarray, name: str) -> np.ndarray:
        if classes.dtype == np.uint8:
            return classes.ravel()
        if not np.issubdtype(classes.dtype, np.integer):
            raise ValueError(f"{name} classes must be integers, not {classes.dtype}")
        self._check(name, int(classes.min()) < 0 or int(classes.max()) >= self.num_classes, classes)
        return classes.ravel().astype(np.uint8)

    def _check(self, name: str, outside: bool, classes: np.ndarray) -> None:
        if outside:
            raise ValueError(f"a {name} class outside 0..{self.num_classes - 1}: {classes.min()}..{classes.max()}")

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        if (self.num_classes, self.ignore) != (other.num_classes, other.ignore):
            raise ValueError("two confusion matrices with other classes, or other ignored ones")
        return ConfusionMatrix.from_matrix(self.matrix + other.matrix, self.ignore)

    def iou(self, *, ignore_predicted: bool = False) -> np.ndarray:
        """(num_classes,) float64 intersection over union; nan for ignored classes and those without ground truth."""
        counted = self.counted(ignore_predicted)
        hits, truth = np.diag(counted), self.matrix.sum(axis=1)
        union = counted.sum(axis=0) + counted.sum(axis=1) - hits
        iou = np.where(truth > 0, hits / np.maximum(union, 1), np.nan)
        iou[list(self.ignore)] = np.nan
        return iou

    def miou(self, *, ignore_predicted: bool = False, absent_as_zero: bool = False) -> float:
        """Mean of `iou` over the classes in the ground truth; nan where there are none.

        `absent_as_zero` gives the mean of semantic-kitti-api and lidar-bonnetal instead: over all classes that are not
        ignored, those without ground truth counted as 0.
        """
        iou = self.iou(ignore_predicted=ignore_predicted)
        counted = np.delete(np.nan_to_num(iou), self.ignore) if absent_as_zero else iou[~np.isnan(iou)]
        return float(counted.mean()) if counted.size else float("nan")

    def accuracy(self, *, ignore_predicted: bool = False) -> float:
        """Share of the labelled points that are right; nan where there are none."""
        counted = self.counted(ignore_predicted)
        total = int(counted.sum())
        return int(np.trace(counted)) / total if total else float("nan")

    def counted(self, ignore_predicted: bool) -> np.ndarray:
        """(num_classes, num_classes) the counts that enter the figures: ignored truth, and where asked ignored
        predictions, are 0."""
        counted = self.matrix.copy()
        counted[list(self.ignore)] = 0
        if ignore_predicted:
            counted[:, list(self.ignore)] = 0
        return counted

"""Scans as a network sees them: read ahead by other threads, and kept in memory while there is room."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from lidartune.canvas import Canvas, Sensor, neighbours, project
from lidartune.scans import Dataset, ScanFile, read_points
from lidartune.threads import in_order, thread_pool
from lidartune.training.memory import Memory
from lidartune.training.unlabelled import unlabelled

T = TypeVar("T")
Read = Callable[[ScanFile], tuple[np.ndarray, np.ndarray]]
"""Points `(N, 4)` and common classes `(N,)` of a scan."""
VOTERS = 5

Alteration = Callable[[int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""New points and classes of the draw with this number, from a scan's own; a pure function that changes neither."""


@dataclass(kw_only=True)
class PreparedScan:
    """A labelled scan on a canvas, with all that scoring needs.

    `truth` `(N,)` and `truth_image` `(H, W)` hold common classes, 0 where unlabelled or empty.
    """

    canvas: Canvas
    points: np.ndarray
    truth: np.ndarray

    @property
    def image(self) -> np.ndarray:
        return self.canvas.image

    @property
    def mask(self) -> np.ndarray:
        return self.canvas.mask

    @cached_property
    def truth_image(self) -> np.ndarray:
        return _pixel_classes(self.canvas, self.truth)

    @cached_property
    def neighbour_index(self) -> np.ndarray:
        """`(N, 5)` pixels that vote on each point. Geometry alone decides it, so that it serves every network."""
        return neighbours(self.canvas, self.points, k=VOTERS)

    def nbytes(self) -> int:
        """Bytes of its arrays, with those that are made when they are first asked for."""
        canvas = self.canvas
        arrays = (canvas.image, canvas.mask, canvas.index, canvas.row, canvas.column, self.points, self.truth)
        later = self.truth.itemsize * canvas.index.size + 4 * VOTERS * len(self.points)
        return sum(a.nbytes for a in arrays) + later


@dataclass(frozen=True, kw_only=True)
class TrainingScan:
    """What training needs of a labelled scan on a canvas: a third of a PreparedScan's memory at 64 x 2048.

    All are those of a PreparedScan: `image` `(5, H, W)`, `mask` and `truth_image` `(H, W)`, `truth` `(N,)`.
    """

    image: np.ndarray
    mask: np.ndarray
    truth_image: np.ndarray
    truth: np.ndarray

    def nbytes(self) -> int:
        return sum(a.nbytes for a in (self.image, self.mask, self.truth_image, self.truth))


Drawn = TrainingScan | PreparedScan
"""A scan that training has drawn, with its points where it is to be mixed."""


@dataclass(frozen=True, kw_only=True)
class LabelledPoints:
    """A scan as its files hold it: points `(N, 4)` and common classes `(N,)`."""

    points: np.ndarray
    truth: np.ndarray

    def nbytes(self) -> int:
        return self.points.nbytes + self.truth.nbytes


class ScanReader:
    """Reads scans of one domain onto canvases, and remembers as many as fit.

    Whatever is read by how many threads, and whatever is still in memory, the same scans come out in the same order.

    Args:
        memory_bytes: how much may be kept; what was not used for longest goes first.
        threads: how many scans are read ahead at once, while another is in use; 0 reads each when it is asked for.
    """

    def __init__(self, dataset: Dataset, *, memory_bytes: int, threads: int = 1):
        self._dataset = dataset
        self._threads = threads
        self._memory = Memory(memory_bytes)

    def read(self, scan: ScanFile, sensor: Sensor) -> PreparedScan:
        """One scan, for scoring."""
        return self._memory.recall((PreparedScan, scan, sensor), lambda: self._prepare(scan, sensor))

    def stream(self, scans: Sequence[ScanFile], sensor: Sensor) -> Generator[PreparedScan, None, None]:
        """The scans in this order, for scoring, the next ones under way meanwhile."""
        return self._ahead(lambda draw: self.read(scans[draw], sensor), len(scans))

    def training_stream(
        self, scans: Sequence[ScanFile], sensor: Sensor, alter: Alteration | None = None
    ) -> Generator[TrainingScan, None, None]:
        """The scans in this order, for training, the next ones under way meanwhile.

        Args:
            alter: changes each draw's points and classes before they are projected. Then points are kept in memory
                instead of canvases, since no two draws of a scan look the same.
        """
        return self._for_training(scans, sensor, alter, self._dataset.read)

    def unlabelled_stream(
        self, scans: Sequence[ScanFile], sensor: Sensor, alter: Alteration | None = None
    ) -> Generator[TrainingScan, None, None]:
        """As `training_stream`, but no label file is ever opened: every truth is 0, whatever the files say."""
        return self._for_training(unlabelled(scans), sensor, alter, _without_truth)

    def mixing_stream(
        self, scans: Sequence[ScanFile], sensor: Sensor, alter: Alteration | None = None, *, labelled: bool
    ) -> Generator[PreparedScan, None, None]:
        """As `training_stream`, with the points, for training that mixes them.

        Args:
            labelled: if not, no label file is ever opened, as in `unlabelled_stream`.
        """
        drawn = scans if labelled else unlabelled(scans)
        read = self._dataset.read if labelled else _without_truth

        def prepared(draw: int) -> PreparedScan:
            kept = self._points(drawn[draw], read)
            points, truth = alter(draw, kept.points, kept.truth) if alter else (kept.points, kept.truth)
            return PreparedScan(canvas=project(points, sensor), points=points, truth=truth)

        return self._ahead(prepared, len(drawn))

    def _prepare(self, scan: ScanFile, sensor: Sensor) -> PreparedScan:
        points, truth = self._dataset.read(scan)
        return PreparedScan(canvas=project(points, sensor), points=points, truth=truth)

    def _for_training(
        self, scans: Sequence[ScanFile], sensor: Sensor, alter: Alteration | None, read: Read
    ) -> Generator[TrainingScan, None, None]:
        """The scans as `read` has them, one that names no labels remembered apart from the same with them."""

        def as_it_is(draw: int) -> TrainingScan:
            scan = scans[draw]
            return self._memory.recall((TrainingScan, scan, sensor), lambda: for_training(*read(scan), sensor))

        def altered(draw: int) -> TrainingScan:
            assert alter is not None
            kept = self._points(scans[draw], read)
            return for_training(*alter(draw, kept.points, kept.truth), sensor)

        return self._ahead(altered if alter else as_it_is, len(scans))

    def _points(self, scan: ScanFile, read: Read) -> LabelledPoints:
        def kept() -> LabelledPoints:
            points, truth = read(scan)
            return LabelledPoints(points=points, truth=truth)

        return self._memory.recall((LabelledPoints, scan), kept)

    def _ahead(self, make: Callable[[int], T], count: int) -> Generator[T, None, None]:
        """`make(0)`, `make(1)`, ... in this order, made by other threads before they are asked for."""
        if not self._threads:
            yield from map(make, range(count))
            return
        with thread_pool(self._threads) as pool:
            yield from in_order(pool, make, range(count), 2 * self._threads)


def _without_truth(scan: ScanFile) -> tuple[np.ndarray, np.ndarray]:
    points = read_points(scan.points)
    return points, np.zeros(len(points), dtype=np.uint8)


def for_training(points: np.ndarray, truth: np.ndarray, sensor: Sensor) -> TrainingScan:
    """Points `(N, 4)` and their classes `(N,)` on a canvas."""
    canvas = project(points, sensor)
    return TrainingScan(
        image=canvas.image, mask=canvas.mask, truth_image=_pixel_classes(canvas, truth), truth=truth
    )


def _pixel_classes(canvas: Canvas, truth: np.ndarray) -> np.ndarray:
    """Classes `(H, W)` of the points that are shown; the index of an empty pixel, -1, meets a 0 at the end."""
    return np.append(truth, np.zeros(1, truth.dtype)).take(canvas.index)

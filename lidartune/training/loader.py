"""Scans as a network sees them: projected once, kept in memory while there is room, read ahead where there is none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lidartune.canvas import Canvas, Sensor, neighbours, project
from lidartune.scans import Dataset, ScanFile


@dataclass(kw_only=True)
class PreparedScan:
    """A labelled scan on a canvas.

    `canvas` holds the image `(5, H, W)`; `truth` `(N,)` and `truth_image` `(H, W)` hold common classes, 0 where
    unlabelled or empty.
    """

    canvas: Canvas
    points: np.ndarray
    truth: np.ndarray

    @cached_property
    def truth_image(self) -> np.ndarray:
        index = self.canvas.index
        return np.where(index >= 0, self.truth[index], 0).astype(np.uint8)

    @cached_property
    def neighbour_index(self) -> np.ndarray:
        """`(N, k)` pixels that vote on each point. Geometry alone decides it, so that it serves every network."""
        return neighbours(self.canvas, self.points)

    def nbytes(self) -> int:
        arrays = (self.canvas.image, self.canvas.index, self.points, self.truth)
        return sum(a.nbytes for a in arrays) + 4 * 7 * len(self.points)


class ScanReader:
    """Reads scans of one domain onto canvases, and remembers as many as fit.

    Args:
        memory_bytes: how much may be kept; the oldest go first.
        threads: how many scans are read ahead at once, while another is in use.
    """

    def __init__(self, dataset: Dataset, *, memory_bytes: int, threads: int = 1):
        self._dataset = dataset
        self._memory_bytes = memory_bytes
        self._threads = threads
        self._kept: OrderedDict[tuple[ScanFile, Sensor], PreparedScan] = OrderedDict()
        self._kept_bytes = 0

    def read(self, scan: ScanFile, sensor: Sensor) -> PreparedScan:
        kept = self._kept.get((scan, sensor))
        return kept if kept is not None else self._keep(scan, sensor, self._prepare(scan, sensor))

    def stream(self, scans: Sequence[ScanFile], sensor: Sensor) -> Iterator[PreparedScan]:
        """The scans in this order, the next ones read by other threads meanwhile."""
        with ThreadPoolExecutor(self._threads) as pool:
            ahead: list[tuple[ScanFile, PreparedScan | Future[PreparedScan]]] = []
            for scan in scans:
                kept = self._kept.get((scan, sensor))
                ahead.append((scan, kept if kept is not None else pool.submit(self._prepare, scan, sensor)))
                if len(ahead) > 2 * self._threads:
                    yield self._finish(*ahead.pop(0), sensor)
            for scan, item in ahead:
                yield self._finish(scan, item, sensor)

    def _finish(self, scan: ScanFile, item: PreparedScan | Future[PreparedScan], sensor: Sensor) -> PreparedScan:
        return item if isinstance(item, PreparedScan) else self._keep(scan, sensor, item.result())

    def _prepare(self, scan: ScanFile, sensor: Sensor) -> PreparedScan:
        points, truth = self._dataset.read(scan)
        return PreparedScan(canvas=project(points, sensor), points=points, truth=truth)

    def _keep(self, scan: ScanFile, sensor: Sensor, prepared: PreparedScan) -> PreparedScan:
        if (scan, sensor) in self._kept:
            return self._kept[scan, sensor]
        self._kept[scan, sensor] = prepared
        self._kept_bytes += prepared.nbytes()
        while self._kept_bytes > self._memory_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.nbytes()
        return prepared

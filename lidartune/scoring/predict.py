"""Classes for a scan: on its canvas by the network, on its points by the neighbour vote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from lidartune.canvas import Canvas, Sensor, neighbours, project, vote
from lidartune.scans import ScanFile, read_points
from lidartune.scoring.images import class_images
from lidartune.threads import in_order, thread_pool
from lidartune.training.state import TrainingState

if TYPE_CHECKING:
    from lidartune.scoring.trained import TrainedNetwork
    from lidartune.training.loader import PreparedScan

Result = TypeVar("Result")


def predict_image(state: TrainingState, scan: PreparedScan, device: torch.device) -> np.ndarray:
    """Predicted classes `(H, W)` uint8 of one scan, as `class_images`."""
    return class_images(state.model, state.normalization, [scan.canvas], device)[0]


def point_classes(scan: PreparedScan, class_image: np.ndarray) -> np.ndarray:
    """Classes `(N,)` of the points by the neighbour vote; 0 for points that are on no pixel."""
    return vote(scan.neighbour_index, scan.canvas, class_image)


def own_pixel_classes(canvas: Canvas, class_image: np.ndarray) -> np.ndarray:
    """Classes `(N,)` of the points' own pixels; 0 for points that are on no pixel."""
    return np.where(canvas.row >= 0, class_image[canvas.row, canvas.column], 0).astype(np.uint8)


# -- scans without labels -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PlacedScan:
    """A scan's points on a canvas; `neighbour_index` `(N, k)` says which pixels vote on each, None without a vote."""

    canvas: Canvas
    neighbour_index: np.ndarray | None

    def classes(self, class_image: np.ndarray) -> np.ndarray:
        """Classes `(N,)` uint8 of the points from those of the pixels; 0 for points that are on no pixel."""
        if self.neighbour_index is None:
            return own_pixel_classes(self.canvas, class_image)
        return vote(self.neighbour_index, self.canvas, class_image)


def place_points(points: np.ndarray, sensor: Sensor, *, use_vote: bool = True) -> PlacedScan:
    """Points `(N, 4)` on the canvas, and who votes on them."""
    canvas = project(points, sensor)
    return PlacedScan(canvas=canvas, neighbour_index=neighbours(canvas, points) if use_vote else None)


def predict_points(network: TrainedNetwork, points: np.ndarray, *, use_vote: bool = True) -> np.ndarray:
    """Classes `(N,)` uint8 of points `(N, 4)`; 0 for those that no canvas holds (at the origin, NaN, infinite).

    Without the vote each point takes the class of its own pixel.
    """
    placed = place_points(points, network.spec.canvas, use_vote=use_vote)
    return placed.classes(network.class_images([placed.canvas])[0])


def predict_scans(
    network: TrainedNetwork,
    scans: Iterable[ScanFile],
    finish: Callable[[ScanFile, np.ndarray], Result],
    *,
    use_vote: bool = True,
    batch: int = 1,
    threads: int = 1,
) -> Iterator[Result]:
    """`finish(scan, classes (N,))` of each scan, in their order, while the network is busy with the next ones.

    Threads read the points, place them, vote and finish. Only so many scans are under way as keep the network busy.

    Args:
        batch: how many scans go through the network at once.
        threads: how many work beside it.

    Raises:
        UserError: a scan's points cannot be read.
    """
    ahead = batch + 2 * threads

    def read(scan: ScanFile) -> tuple[ScanFile, PlacedScan]:
        return scan, place_points(read_points(scan.points), network.spec.canvas, use_vote=use_vote)

    def classified(placed: Iterator[tuple[ScanFile, PlacedScan]]) -> Iterator[tuple[ScanFile, PlacedScan, np.ndarray]]:
        while group := list(islice(placed, batch)):
            images = network.class_images([scan.canvas for _, scan in group])
            yield from ((*pair, image) for pair, image in zip(group, images, strict=True))

    def end(item: tuple[ScanFile, PlacedScan, np.ndarray]) -> Result:
        scan, placed, image = item
        return finish(scan, placed.classes(image))

    with thread_pool(threads) as pool:
        yield from in_order(pool, end, classified(in_order(pool, read, scans, ahead)), ahead)

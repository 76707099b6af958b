"""Canvas widths compared: what each shows of a domain's points and hides of them, and the score that it allows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from lidartune.canvas import Sensor, neighbour_vote, project
from lidartune.errors import UserError
from lidartune.processes import Progress, in_processes
from lidartune.scans import Dataset, ScanFile
from lidartune.scoring.confusion import ConfusionMatrix
from lidartune.survey.width_advice import widths_advice, widths_table
from lidartune.survey.width_counts import WidthFigures
from lidartune.survey.width_drawing import draw_widths

__all__ = ["WidthFigures", "draw_widths", "measure_widths", "widths_advice", "widths_table"]


def measure_widths(
    dataset: Dataset,
    scans: Sequence[ScanFile],
    *,
    height: int,
    fov_up_deg: float,
    fov_down_deg: float,
    widths: Sequence[int],
    processes: int | None = None,
    progress: Progress = True,
) -> list[WidthFigures]:
    """The figures of each width over these labelled scans, the narrowest width first, each width once.

    Each scan is read once and projected onto every width; counts are exact, so the order of the scans and the number of
    processes change nothing.

    Raises:
        UserError: no width, a canvas that cannot be, a scan that cannot be read or has no labels.
    """
    if not widths:
        raise UserError("no canvas widths to compare", do="name at least one, such as 512,1024,2048")
    sensors = [Sensor(height, width, fov_up_deg, fov_down_deg) for width in sorted(set(widths))]
    sums = [_nothing(dataset, sensor) for sensor in sensors]
    work = partial(_figures_of, dataset, sensors)
    for _, found in in_processes(work, scans, processes=processes, progress=progress, title="widths"):
        sums = [a + b for a, b in zip(sums, found, strict=True)]
    return sums


def _nothing(dataset: Dataset, sensor: Sensor) -> WidthFigures:
    return WidthFigures(
        width=sensor.width, height=sensor.height, scans=0, points=0, usable=0, shown=0, other_class=0,
        ceiling=ConfusionMatrix(dataset.taxonomy.num_classes, ignore=dataset.taxonomy.ignore),
    )  # fmt: skip


def _figures_of(dataset: Dataset, sensors: Sequence[Sensor], scan: ScanFile) -> list[WidthFigures]:
    points, truth = dataset.read(scan)
    return [_nothing(dataset, sensor) + _figures(dataset, sensor, points, truth) for sensor in sensors]


def _figures(dataset: Dataset, sensor: Sensor, points: np.ndarray, truth: np.ndarray) -> WidthFigures:
    canvas = project(points, sensor)
    usable = canvas.row >= 0
    behind = canvas.index[canvas.row[usable], canvas.column[usable]]  # the point shown where each usable one is
    truth_image = np.zeros(canvas.index.shape, np.uint8)
    truth_image[canvas.mask] = truth[canvas.index[canvas.mask]]
    ceiling = ConfusionMatrix(dataset.taxonomy.num_classes, ignore=dataset.taxonomy.ignore)
    ceiling.add(neighbour_vote(canvas, points, truth_image), truth)
    return WidthFigures(
        width=sensor.width,
        height=sensor.height,
        scans=1,
        points=len(points),
        usable=int(usable.sum()),
        shown=int(canvas.mask.sum()),
        other_class=int((truth[behind] != truth[usable]).sum()),
        ceiling=ceiling,
    )

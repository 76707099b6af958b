"""What there is to see of one scan: its points, and where known their true and predicted classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lidartune.errors import UserError
from lidartune.pictures.bands import Swatch, outcome, rgb, share
from lidartune.scans import Taxonomy, read_labels, read_points
from lidartune.scoring import ConfusionMatrix


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledScan:
    """Points (N, 4), true and predicted classes (N,) uint8 or None, and the taxonomy that says what they mean."""

    title: str
    points: np.ndarray
    truth: np.ndarray | None = None
    prediction: np.ndarray | None = None
    taxonomy: Taxonomy | None = None

    @cached_property
    def confusion(self) -> ConfusionMatrix | None:
        """Prediction against truth on all points; None where one of the two is missing."""
        if self.truth is None or self.prediction is None or self.taxonomy is None:
            return None
        confusion = ConfusionMatrix(self.taxonomy.num_classes, self.taxonomy.ignore)
        confusion.add(self.prediction, self.truth)
        return confusion

    @cached_property
    def outcomes(self) -> np.ndarray | None:
        """IGNORED, RIGHT or WRONG for each point (N,); None without truth or prediction."""
        if self.truth is None or self.prediction is None or self.taxonomy is None:
            return None
        return outcome(self.prediction, self.truth, self.taxonomy.ignore)

    def score_line(self) -> str | None:
        """Accuracy and mean IoU of this one scan; None without truth or prediction."""
        if self.confusion is None:
            return None
        scored = int((~np.isnan(self.confusion.iou())).sum())
        if not scored:
            return "no labelled point, so no score"
        return (
            f"accuracy {100 * self.confusion.accuracy():.1f} %, "
            f"mIoU {100 * self.confusion.miou():.1f} % over {scored} classes"
        )

    def class_swatches(self) -> tuple[Swatch, ...]:
        """The classes that occur among truth and predictions, with their shares of all points; class 0 comes last."""
        if self.taxonomy is None:
            return ()
        names, colors, total = self.taxonomy.names, self.taxonomy.colors, len(self.points)
        counts = {
            noun: np.bincount(classes, minlength=len(names))
            for noun, classes in (("truth", self.truth), ("predicted", self.prediction))
            if classes is not None
        }
        iou = np.full(len(names), np.nan) if self.confusion is None else self.confusion.iou()
        swatches = []
        for number in [*range(1, len(names)), 0]:
            if not any(count[number] for count in counts.values()):
                continue
            parts = [
                share(int(count[number]), total) if len(counts) == 1 else f"{noun} {share(int(count[number]), total)}"
                for noun, count in counts.items()
            ]
            parts += [] if np.isnan(iou[number]) else [f"IoU {100 * iou[number]:.1f} %"]
            swatches.append(Swatch(color=rgb(colors[number]), text=names[number], detail="   ".join(parts)))
        return tuple(swatches)


def read_labelled_scan(
    points: Path, *, taxonomy: Taxonomy | None = None, labels: Path | None = None, prediction: Path | None = None
) -> LabelledScan:
    """A scan from its files: points, and labels and a prediction in raw ids of the taxonomy.

    Raises:
        UserError: a file that is missing, cut short or of another scan's size, or holds ids that the taxonomy does not
            know; a scan without a single point.
    """
    if taxonomy is None and (labels is not None or prediction is not None):
        raise ValueError("raw ids need a taxonomy")
    found = read_points(points)
    if not len(found):
        raise UserError("this scan has no points", where=points, do="choose another scan")

    def classes(path: Path | None, noun: str) -> np.ndarray | None:
        if path is None or taxonomy is None:
            return None
        ids = read_labels(path)
        if len(ids) != len(found):
            raise UserError(
                f"this {noun} file belongs to another scan: it does not have one id for each point",
                where=path,
                found=f"{len(ids):,} ids",
                wanted=f"{len(found):,}, the points of {points}",
                do=f"name the {noun} file of this scan",
            )
        return taxonomy.to_common(ids, where=path)

    return LabelledScan(
        title=title_of(points),
        points=found,
        truth=classes(labels, "label"),
        prediction=classes(prediction, "prediction"),
        taxonomy=taxonomy,
    )


def label_path(points: Path) -> Path:
    """Where a scan's labels lie in a dataset: ../labels/NAME.label beside the folder of its points."""
    return points.absolute().parent.parent / "labels" / f"{points.stem}.label"


def title_of(points_path: Path) -> str:
    """`sequence 08, scan 000002` where the file lies in a sequence, else the file's name."""
    folder = points_path.absolute().parent
    if folder.name == "velodyne" and folder.parent.name.isdecimal():
        return f"sequence {folder.parent.name}, scan {points_path.stem}"
    return points_path.name

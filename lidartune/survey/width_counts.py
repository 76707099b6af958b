"""One canvas width's counts over scans: what it shows of the points, what it hides, and the score that it allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lidartune.scoring.confusion import ConfusionMatrix


@dataclass(frozen=True, kw_only=True, eq=False)
class WidthFigures:
    """One width of the canvas, summed over scans.

    Attributes:
        width, height: columns and rows of the canvas.
        scans, points: what was projected.
        usable: points that land on a pixel, shown or hidden; the others have no finite values or are the origin.
        shown: points shown, which is pixels filled.
        other_class: hidden points whose pixel shows a point of another class; "ignored" is a class here.
        ceiling: the true classes of the pixels, brought to all points by the neighbour vote, against the truth.
    """

    width: int
    height: int
    scans: int
    points: int
    usable: int
    shown: int
    other_class: int
    ceiling: ConfusionMatrix = field(repr=False)

    @property
    def pixels(self) -> int:
        return self.scans * self.height * self.width

    @property
    def hidden(self) -> int:
        """Points on a pixel that shows a nearer one."""
        return self.usable - self.shown

    @property
    def lost(self) -> int:
        """Points that no pixel shows: hidden or unusable."""
        return self.points - self.shown

    @property
    def fill(self) -> float:
        """Share of the pixels that show a point; nan without scans."""
        return share(self.shown, self.pixels)

    def __add__(self, other: WidthFigures) -> WidthFigures:
        if (self.width, self.height) != (other.width, other.height):
            raise ValueError("figures of two canvases")
        return WidthFigures(
            width=self.width,
            height=self.height,
            scans=self.scans + other.scans,
            points=self.points + other.points,
            usable=self.usable + other.usable,
            shown=self.shown + other.shown,
            other_class=self.other_class + other.other_class,
            ceiling=self.ceiling + other.ceiling,
        )

    def as_dict(self) -> dict[str, Any]:
        """Counts and shares for JSON; None where a share has no denominator."""
        shares = {
            "fill": self.fill,
            "shown_share": share(self.shown, self.points),
            "lost_share": share(self.lost, self.points),
            "other_class_share": share(self.other_class, self.points),
            "ceiling_miou": self.ceiling.miou(),
            "ceiling_accuracy": self.ceiling.accuracy(),
        }
        counts = {
            name: getattr(self, name)
            for name in ("width", "height", "scans", "points", "usable", "shown", "hidden", "lost", "other_class")
        }
        return counts | {name: None if np.isnan(value) else value for name, value in shares.items()}


def share(part: int, whole: int) -> float:
    """part / whole; nan of nothing."""
    return part / whole if whole else float("nan")

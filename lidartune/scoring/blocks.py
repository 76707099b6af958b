"""Blocks of consecutive scans: what the uncertainty of a test set is resampled from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lidartune.scans import ScanFile
from lidartune.scoring.confusion import ConfusionMatrix


@dataclass(kw_only=True)
class Block:
    """A few consecutive scans of one sequence: neighbours resemble each other, blocks hardly."""

    sequence: str
    first: str
    last: str
    scans: int
    points: ConfusionMatrix

    @classmethod
    def of(cls, scans: Sequence[ScanFile], points: ConfusionMatrix) -> Block:
        """The block of these scans, with what is counted of them so far."""
        return cls(
            sequence=scans[0].sequence, first=scans[0].name, last=scans[-1].name, scans=len(scans), points=points
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "sequence": self.sequence,
            "first": self.first,
            "last": self.last,
            "points": self.points.matrix.tolist(),
        }


def consecutive(scans: Iterable[ScanFile], size: int) -> list[tuple[ScanFile, ...]]:
    """The scans, cut into runs of `size`, the last of each sequence shorter where they do not come out even."""
    groups: list[list[ScanFile]] = []
    for scan in scans:
        if not groups or groups[-1][-1].sequence != scan.sequence or len(groups[-1]) == size:
            groups.append([])
        groups[-1].append(scan)
    return [tuple(group) for group in groups]

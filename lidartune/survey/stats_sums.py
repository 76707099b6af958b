"""Sums over scans, joined one scan at a time; they go into the journal and come back the same to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lidartune.scans import Taxonomy
from lidartune.scans.statistics import Moments


@dataclass(frozen=True)
class Fault:
    """A scan (sequence/name) that cannot be counted, and why."""

    scan: str
    reason: str


@dataclass(frozen=True, eq=False)
class ScanSums:
    """One scan: raw id -> points, the moments of its canvas, and points that are farther or brighter than can be."""

    counts: Mapping[int, int]
    moments: Moments
    far: int = 0
    odd_remissions: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """Of the first `done` scans.

    Attributes:
        done: scans looked at, the faulty ones included.
        largest: points of the largest scan.
        counts: raw id -> points, exact; ids that never occur are not there.
        moments: of all valid pixels, by channel.
        far, odd_remissions: points beyond what a lidar reaches, and with remission that cannot be; both are counted.
        faults: the scans that were left out.
    """

    done: int = 0
    largest: int = 0
    counts: Mapping[int, int] = field(default_factory=dict)
    moments: Moments = field(default_factory=Moments)
    far: int = 0
    odd_remissions: int = 0
    faults: tuple[Fault, ...] = ()

    @property
    def scans(self) -> int:
        """Scans that were counted."""
        return self.done - len(self.faults)

    @property
    def points(self) -> int:
        return sum(self.counts.values())

    def joined(self, scan: ScanSums | Fault) -> Sums:
        """With one more scan."""
        if isinstance(scan, Fault):
            return replace(self, done=self.done + 1, faults=(*self.faults, scan))
        counts = dict(self.counts)
        for raw, points in scan.counts.items():
            counts[raw] = counts.get(raw, 0) + points
        return Sums(
            done=self.done + 1,
            largest=max(self.largest, sum(scan.counts.values())),
            counts=counts,
            moments=self.moments.joined(scan.moments),
            far=self.far + scan.far,
            odd_remissions=self.odd_remissions + scan.odd_remissions,
            faults=self.faults,
        )

    def class_counts(self, taxonomy: Taxonomy) -> np.ndarray:
        """(num_classes,) int64 points of each common class."""
        totals = np.zeros(taxonomy.num_classes, dtype=np.int64)
        for raw, points in self.counts.items():
            totals[taxonomy.learning_map[raw]] += points
        return totals

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which keeps every bit of a float."""
        return {
            "done": self.done,
            "largest": self.largest,
            "counts": sorted(self.counts.items()),
            "pixels": self.moments.count,
            "mean": self.moments.mean.tolist(),
            "squares": self.moments.squares.tolist(),
            "far": self.far,
            "odd_remissions": self.odd_remissions,
            "faults": [[fault.scan, fault.reason] for fault in self.faults],
        }

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Sums:
        """What `as_dict` gave; KeyError, TypeError or ValueError for anything else."""
        return cls(
            done=int(entry["done"]),
            largest=int(entry["largest"]),
            counts={int(raw): int(points) for raw, points in entry["counts"]},
            moments=Moments(int(entry["pixels"]), np.array(entry["mean"], float), np.array(entry["squares"], float)),
            far=int(entry["far"]),
            odd_remissions=int(entry["odd_remissions"]),
            faults=tuple(Fault(str(scan), str(reason)) for scan, reason in entry["faults"]),
        )

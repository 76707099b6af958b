"""What one scan is counted into, and how the counts of many become one: by additions of integers, in any order."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lidartune.canvas import ring_numbers
from lidartune.errors import UserError
from lidartune.scans.dataset import ScanFile
from lidartune.scans.files import read_labels, read_points
from lidartune.survey import bins
from lidartune.survey.ground import ground_height_m, road_height_m
from lidartune.survey.kernels import DISTINCT, FAR, INFINITE, NAN, ODD_REMISSION, ORIGIN, count_points, distinct_bits
from lidartune.survey.turn import turn_of

SUM_UNIT = 2**20  # sums are kept as whole numbers of 1 / 2**20, so that their order does not matter
ANGLE_UNIT_DEG = 0.01
HEIGHT_UNIT_M = 0.01


def _zeros(count: int) -> np.ndarray:
    return np.zeros(count, np.int64)


@dataclass(kw_only=True, eq=False)
class Tally:
    """Counts over scans. Memory does not grow with their number: histograms, and counters with few possible keys.

    Attributes:
        labelled_scans, labelled_points: of scans whose labels fit their points.
        far_points: farther than FARTHEST_M.
        odd_remissions: usable points whose remission is negative or larger than LARGEST_REMISSION.
        ranges, elevations, azimuths: usable points in the bins of `lidartune.survey.bins`.
        remissions: those of them without odd_remissions.
        range_sum, remission_sum: in units of 1 / SUM_UNIT.
        raw_ids: points of each raw label id.
        orders, beams, columns, columns_from, top, bottom: how many of the scans whose order was looked at have each
            order, beams, ...; angles in units of ANGLE_UNIT_DEG.
        road_heights, ground_heights: how many scans show the sensor so high, in units of HEIGHT_UNIT_M, over the road
            or, where they do not tell, over what lies lower than it.
        remission_values: all values that occur, or None where there are more than 512.
    """

    scans: int = 0
    empty_scans: int = 0
    labelled_scans: int = 0
    points: int = 0
    labelled_points: int = 0
    nan_points: int = 0
    infinite_points: int = 0
    origin_points: int = 0
    far_points: int = 0
    odd_remissions: int = 0
    range_sum: int = 0
    remission_sum: int = 0
    ranges: np.ndarray = field(default_factory=lambda: _zeros(bins.RANGE_BINS))
    elevations: np.ndarray = field(default_factory=lambda: _zeros(bins.ELEVATION_BINS))
    azimuths: np.ndarray = field(default_factory=lambda: _zeros(bins.AZIMUTH_BINS))
    remissions: np.ndarray = field(default_factory=lambda: _zeros(bins.REMISSION_BINS))
    raw_ids: Counter[int] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    beams: Counter[int] = field(default_factory=Counter)
    columns: Counter[int] = field(default_factory=Counter)
    columns_from: Counter[str] = field(default_factory=Counter)
    top: Counter[int] = field(default_factory=Counter)
    bottom: Counter[int] = field(default_factory=Counter)
    road_heights: Counter[int] = field(default_factory=Counter)
    ground_heights: Counter[int] = field(default_factory=Counter)
    remission_values: frozenset[float] | None = frozenset()

    @property
    def usable_points(self) -> int:
        """Points that are neither NaN, nor infinite, nor at the origin, nor beyond any lidar's reach."""
        return self.points - self.nan_points - self.infinite_points - self.origin_points - self.far_points

    @property
    def remission_points(self) -> int:
        """The usable points whose remission is usable too."""
        return self.usable_points - self.odd_remissions

    def add(self, other: Tally) -> None:
        """Adds another's counts to these."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if isinstance(value, np.ndarray):
                mine += value
            elif isinstance(value, Counter):
                mine.update(value)
            elif name == "remission_values":
                together = None if mine is None or value is None else mine | value
                self.remission_values = None if together is None or len(together) > DISTINCT else together
            else:
                setattr(self, name, mine + value)


@dataclass(frozen=True, kw_only=True)
class ScanResult:
    """One scan's counts; where a file could not be read, why. `unknown` holds points of ids without a class."""

    tally: Tally
    unknown: dict[int, int] = field(default_factory=dict)
    error: UserError | None = None
    digest: bytes = b""
    """Of all points: scans with the same one are the same, byte for byte."""
    seconds: float = 0.0


def tally_scan(job: tuple[ScanFile, bool], *, lookup: np.ndarray, road_class: int | None) -> ScanResult:
    """Counts one scan. A file that cannot be read is the result's `error`; its points are counted if they can be.

    Args:
        job: the scan, whose `labels` is None where there are none or where they do not fit the points, and whether to
            look at its order too: that takes several times as long as all the rest.
        lookup: (65536,) uint8 as Taxonomy.lookup.
        road_class: number of the class that the sensor's height is measured on.
    """
    started = time.monotonic()
    scan, look_at_order = job
    try:
        points = read_points(scan.points)
    except UserError as unreadable:
        return ScanResult(tally=Tally(), error=unreadable)
    ids, error = _labels_of(scan.labels, len(points))
    tally = Tally(scans=1, empty_scans=int(not len(points)), points=len(points))
    unknown: dict[int, int] = {}
    road = None
    if ids is not None:
        classes = lookup[ids]
        road = None if road_class is None else classes == road_class
        counts = np.bincount(ids)
        present = np.flatnonzero(counts)
        tally.labelled_scans, tally.labelled_points = 1, len(ids)
        tally.raw_ids = Counter({int(i): int(counts[i]) for i in present})
        unknown = {int(i): int(counts[i]) for i in present if lookup[i] == 255}
    angles = _count(points, road, tally)
    if look_at_order and tally.usable_points:
        _note_turn(points, angles, tally)
    return ScanResult(
        tally=tally, unknown=unknown, error=error, digest=hashlib.blake2b(points.data, digest_size=12).digest(),
        seconds=time.monotonic() - started,
    )  # fmt: skip


def _labels_of(path: Path | None, points: int) -> tuple[np.ndarray | None, UserError | None]:
    if path is None:
        return None, None
    try:
        ids = read_labels(path)
    except UserError as unreadable:
        return None, unreadable
    if len(ids) != points:
        return None, UserError("this file changed while it was read", where=path, do="run again when it is written")
    return ids, None


def _count(points: np.ndarray, road: np.ndarray | None, tally: Tally) -> np.ndarray:
    """Counts the points; returns their angles (N, 2) as `count_points` does."""
    faults = _zeros(5)
    angles, near = np.empty((len(points), 2)), np.empty(len(points), np.bool_)
    range_sum, remission_sum = count_points(
        points, faults, tally.ranges, tally.elevations, tally.azimuths, tally.remissions, angles, near
    )
    tally.range_sum, tally.remission_sum = round(range_sum * SUM_UNIT), round(remission_sum * SUM_UNIT)
    tally.nan_points, tally.infinite_points, tally.origin_points = (int(faults[i]) for i in (NAN, INFINITE, ORIGIN))
    tally.far_points, tally.odd_remissions = int(faults[FAR]), int(faults[ODD_REMISSION])
    _note_height(points, near, road, tally)
    remission = points[:, 3]
    if faults.any():
        remission = remission[~np.isnan(angles[:, 0]) & (remission >= 0) & (remission <= bins.LARGEST_REMISSION)]
    values = distinct_bits(np.ascontiguousarray(remission).view(np.uint32))
    tally.remission_values = None if len(values) > DISTINCT else frozenset(values.view(np.float32).tolist())
    return angles


def _note_height(points: np.ndarray, near: np.ndarray, road: np.ndarray | None, tally: Tally) -> None:
    height = None if road is None else road_height_m(points[near & road, :3])
    if height is not None:
        tally.road_heights[round(height / HEIGHT_UNIT_M)] += 1
        return
    height = ground_height_m(points[near, :3])
    if height is not None:
        tally.ground_heights[round(height / HEIGHT_UNIT_M)] += 1


def _note_turn(points: np.ndarray, angles: np.ndarray, tally: Tally) -> None:
    ring, usable = ring_numbers(points), ~np.isnan(angles[:, 0])
    turn = turn_of(ring[usable], angles[usable, 0], angles[usable, 1])
    tally.orders[turn.order] += 1
    if turn.beams is not None:
        tally.beams[turn.beams] += 1
    if turn.columns is not None and turn.columns_from is not None:
        tally.columns[turn.columns] += 1
        tally.columns_from[turn.columns_from] += 1
    if turn.top_deg is not None and turn.bottom_deg is not None:
        tally.top[round(turn.top_deg / ANGLE_UNIT_DEG)] += 1
        tally.bottom[round(turn.bottom_deg / ANGLE_UNIT_DEG)] += 1

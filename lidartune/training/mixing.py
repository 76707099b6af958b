"""Two labelled scans made into one, point by point: LaserMix and PolarMix. Deterministic in the seed.

Points are `(N, 4)` x, y, z in metres and remission, classes `(N,)` with 0 for ignored; neither is changed in place.
Kept points stay in their order, those of scan a before those of scan b. A mixed scan is no whole turn of a sensor any
more, ring after ring: it cannot be put onto a canvas whose `rows` are "ring".
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

Probability = Annotated[float, Field(ge=0, le=1)]


class Mixed(NamedTuple):
    """A mixed scan: points `(N, 4)` float32, their classes `(N,)`, and which of them came from scan b, `(N,)` bool."""

    points: np.ndarray
    truth: np.ndarray
    from_b: np.ndarray


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LaserMix:
    """Scans interleaved by elevation: Kong, Ren, Pan and Liu, "LaserMix for semi-supervised LiDAR semantic
    segmentation", CVPR 2023. Both domains' sensors are taken to look through one field of view.

    Attributes:
        areas: in how many areas the field of view is cut; one of these is drawn for each pair of scans.
        fov_up_deg, fov_down_deg: elevations between which all areas are equally high. What lies above belongs to the
            first area, what lies below to the last one.
    """

    areas: tuple[Annotated[int, Field(ge=2)], ...] = Field(default=(3, 4, 5, 6), min_length=1)
    fov_up_deg: float = Field(default=3.0, gt=-90, lt=90)
    fov_down_deg: float = Field(default=-25.0, gt=-90, lt=90)

    @model_validator(mode="after")
    def _is_a_field_of_view(self) -> LaserMix:
        if self.fov_up_deg <= self.fov_down_deg:
            raise ValueError("fov_up_deg must be above fov_down_deg: an HDL-64 has up 3, down -25")
        return self


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PolarMix:
    """A sector exchanged and objects pasted: Xiao, Huang, Guan, Cui, Lu and Shao, "PolarMix: a general data
    augmentation technique for LiDAR point clouds", NeurIPS 2022. The defaults are those of its authors' code.

    Attributes:
        swap: probability that scan a's points in a sector are replaced by scan b's.
        sector_deg: width of that sector in azimuth; where it begins is drawn from the whole circle.
        paste: probability that scan b's points of `classes` are added.
        classes: what is pasted; the default is all vehicles, people and riders.
        turned_copies: how often what is pasted is added again, turned about the vertical axis. Copy k of n is turned by
            an angle from the k-th of n + 1 equal parts of the circle.
    """

    swap: Probability = 0.5
    sector_deg: float = Field(default=180.0, gt=0, lt=360)
    paste: Probability = 1.0
    classes: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    turned_copies: int = Field(default=2, ge=0)


def laser_mix(
    points_a: np.ndarray, truth_a: np.ndarray, points_b: np.ndarray, truth_b: np.ndarray, settings: LaserMix, seed: int
) -> Mixed:
    """Areas of elevation, taken from the two scans in turn; whose the uppermost is, is drawn.

    An area holds its lower edge. The two results of the paper's figure are those of the two draws.
    """
    _check(points_a, truth_a, points_b, truth_b)
    random = np.random.default_rng(seed)
    count = settings.areas[random.integers(len(settings.areas))]
    b_begins = bool(random.integers(2))
    keep_a = (_area(points_a, count, settings) % 2 == 0) != b_begins
    keep_b = (_area(points_b, count, settings) % 2 == 0) == b_begins
    return _joined([(points_a, truth_a, keep_a)], [(points_b, truth_b, keep_b)])


def polar_mix(
    points_a: np.ndarray, truth_a: np.ndarray, points_b: np.ndarray, truth_b: np.ndarray, settings: PolarMix, seed: int
) -> Mixed:
    """Scan a with a sector of scan b and with objects of scan b.

    The order: what is left of a, b's points in the sector, b's other points of the pasted classes where they are, then
    one turned copy after the other of all b's points of these classes. A point is never there twice in one place: what
    came with the sector is not pasted unturned (in the authors' code it is).
    """
    _check(points_a, truth_a, points_b, truth_b)
    draws = np.random.default_rng(seed).random(3 + settings.turned_copies)
    swapped, added = draws[0] < settings.swap, draws[2] < settings.paste
    sector_a = _in_sector(points_a, draws[1], settings.sector_deg) & swapped
    sector_b = _in_sector(points_b, draws[1], settings.sector_deg) & swapped
    pasted = np.isin(truth_b, settings.classes) & added
    parts = settings.turned_copies + 1
    turns = [2 * math.pi * (k + draw) / parts for k, draw in enumerate(draws[3:])]
    return _joined(
        [(points_a, truth_a, ~sector_a)],
        [
            (points_b, truth_b, sector_b),
            (points_b, truth_b, pasted & ~sector_b),
            *((_turned(points_b[pasted], turn), truth_b[pasted], slice(None)) for turn in turns),
        ],
    )


def _area(points: np.ndarray, count: int, settings: LaserMix) -> np.ndarray:
    """The area `(N,)` of each point, 0 the uppermost; points above and below the field of view in the outermost ones.

    Slopes z / sqrt(x^2 + y^2) are compared with the edges' tangents, so that no angle is computed.
    """
    x, y, z = (points[:, k].astype(np.float64) for k in range(3))
    with np.errstate(invalid="ignore"):  # infinities, which land on no canvas
        slope = z / np.maximum(np.sqrt(x * x + y * y), np.finfo(np.float64).tiny)
    step = (settings.fov_up_deg - settings.fov_down_deg) / count
    area = np.zeros(len(points), np.int64)
    for k in range(1, count):
        area += slope < math.tan(math.radians(settings.fov_down_deg + step * k))
    return area


def _in_sector(points: np.ndarray, begin: float, width_deg: float) -> np.ndarray:
    """Which points `(N,)` are in the sector that begins at this share of the circle, counted from azimuth -pi.

    It goes on counter-clockwise, beyond azimuth pi if it must, and holds its first edge, not its last.
    """
    azimuth = np.arctan2(points[:, 1].astype(np.float64), points[:, 0].astype(np.float64))
    beyond = azimuth - math.pi * (2 * begin - 1)
    beyond[beyond < 0] += 2 * math.pi
    beyond[beyond >= 2 * math.pi] -= 2 * math.pi
    return beyond < math.radians(width_deg)


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    """New points, turned counter-clockwise about the z axis; computed in float64 and rounded once."""
    x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    turned = points.copy()
    with np.errstate(invalid="ignore"):
        turned[:, 0] = x * math.cos(angle) - y * math.sin(angle)
        turned[:, 1] = x * math.sin(angle) + y * math.cos(angle)
    return turned


Part = tuple[np.ndarray, np.ndarray, np.ndarray | slice]
"""Points, their classes, and which of them are taken."""


def _joined(of_a: list[Part], of_b: list[Part]) -> Mixed:
    points = [points[kept].astype(np.float32, copy=False) for points, _, kept in of_a + of_b]
    truth = [truth[kept] for _, truth, kept in of_a + of_b]
    count_a = sum(len(classes) for classes in truth[: len(of_a)])
    joined = np.concatenate(truth)
    return Mixed(np.concatenate(points), joined, np.arange(len(joined)) >= count_a)


def _check(points_a: np.ndarray, truth_a: np.ndarray, points_b: np.ndarray, truth_b: np.ndarray) -> None:
    for points, truth in ((points_a, truth_a), (points_b, truth_b)):
        if points.ndim != 2 or points.shape[1] != 4 or truth.shape != points.shape[:1]:
            raise ValueError(f"points must be (N, 4) and classes (N,), not {points.shape} and {truth.shape}")
    if truth_a.dtype != truth_b.dtype:
        raise ValueError(f"classes of two kinds: {truth_a.dtype} and {truth_b.dtype}")

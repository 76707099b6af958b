"""Changes to training scans that leave their labels true: turned, mirrored, thinned out, shaken. All off by default."""

from __future__ import annotations

import math

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from lidartune.kernels import inlined, kernel

JITTER_CUT = 131070 / 37837.2272
"""No coordinate is moved by more than these 3.46 standard deviations."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Augmentation:
    """What happens to a scan each time it is drawn for training, before it is projected.

    Scoring, channel statistics and class counts see the scans as they are.

    Attributes:
        rotate: turned about the vertical axis by an angle drawn from the whole circle.
        flip: probability that left and right are exchanged (y to -y).
        drop: a share of the points, itself drawn from 0 to this, is left out with its labels, each point by chance.
        jitter_m: standard deviation of the noise added to x, y and z, in metres; nearly normal (a sum of four uniform
            numbers), so never more than 3.46 deviations.
    """

    rotate: bool = False
    flip: float = Field(default=0.0, ge=0, le=1)
    drop: float = Field(default=0.0, ge=0, lt=1)
    jitter_m: float = Field(default=0.0, ge=0, le=10)

    @property
    def off(self) -> bool:
        return self == Augmentation()


def augmented(
    points: np.ndarray, truth: np.ndarray, augmentation: Augmentation, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """New points `(N', 4)` float32 and their classes `(N',)`, the same for the same seed; nothing is changed in place.

    Coordinates are computed in float64 and rounded once. Points at the origin, which stand for no measurement in some
    datasets, stay there. Every point has random numbers of its own, so what is switched on changes nothing else that
    the seed draws.
    """
    share, turn, side = np.random.default_rng(seed).random(3)
    angle = 2 * math.pi * turn if augmentation.rotate else 0.0
    mirror = -1.0 if side < augmentation.flip else 1.0
    changed, left = np.empty(points.shape, np.float32), np.empty(truth.shape, truth.dtype)
    count = _change(
        np.ascontiguousarray(points, dtype=np.float32), truth, changed, left, np.uint64(seed),
        augmentation.drop * share, augmentation.jitter_m, math.cos(angle), math.sin(angle), mirror,
    )  # fmt: skip
    return changed[:count], left[:count]


@kernel
def _change(
    points: np.ndarray,
    truth: np.ndarray,
    changed: np.ndarray,
    left: np.ndarray,
    seed: np.uint64,
    drop: float,
    jitter_m: float,
    cosine: float,
    sine: float,
    mirror: float,
) -> int:
    """Writes the points that are left, moved, and their classes; returns how many."""
    count = 0
    for i in range(len(points)):
        if drop > 0 and _uniform(seed, 4 * i) < drop:
            continue
        x, y, z = np.float64(points[i, 0]), np.float64(points[i, 1]), np.float64(points[i, 2])
        if jitter_m > 0 and (x != 0 or y != 0 or z != 0):
            x += jitter_m * _noise(seed, 4 * i + 1)
            y += jitter_m * _noise(seed, 4 * i + 2)
            z += jitter_m * _noise(seed, 4 * i + 3)
        changed[count, 0] = x * cosine - y * sine
        changed[count, 1] = mirror * (x * sine + y * cosine)
        changed[count, 2] = z
        changed[count, 3] = points[i, 3]
        left[count] = truth[i]
        count += 1
    return count


@inlined
def _bits(seed: np.uint64, counter: int) -> np.uint64:
    """64 random bits, number `counter` of SplitMix64 (Steele, Lea and Flood 2014): the same on every machine."""
    z = seed + (np.uint64(counter) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inlined
def _uniform(seed: np.uint64, counter: int) -> float:
    """A number in [0, 1)."""
    return np.float64(_bits(seed, counter) >> np.uint64(11)) * 2.0**-53


@inlined
def _noise(seed: np.uint64, counter: int) -> float:
    """A number of mean 0 and deviation 1: the sum of four uniform ones of 16 bits, centred and scaled."""
    bits, low = _bits(seed, counter), np.uint64(0xFFFF)
    total = (bits & low) + ((bits >> np.uint64(16)) & low) + ((bits >> np.uint64(32)) & low) + (bits >> np.uint64(48))
    return (np.float64(total) - 131070.0) / 37837.2272

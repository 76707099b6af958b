"""The building site of one street: its cross-section, ground and mesh so far, and where there is still room."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lidartune.streetworld.domains import StreetStyle
from lidartune.streetworld.ground import Ground, draw_profile
from lidartune.streetworld.mesh import Collector
from lidartune.streetworld.parts import Part
from lidartune.streetworld.scenery import add_bushes, add_trees
from lidartune.streetworld.shapes import Array
from lidartune.streetworld.vehicles import VEHICLES

LENGTH_M = 160.0
_SCANNER_ROOM_M = (3.0, 1.4)  # half length, half width around a station: nothing stands in the scanner
_LANE_M = 3.2
_LARGE = ("pick-up", "truck", "bus", "other-vehicle")
_LARGE_SHARES = (0.1, 0.4, 0.22, 0.28)

Make = Callable[[], list[Part]]


class Spot(NamedTuple):
    """A place in street coordinates: metres along and to the left of the middle line, and a direction in radians."""

    x: float
    y: float
    yaw: float


class Site:
    """What the makers of plots and traffic share while they build one street.

    Attributes:
        profile, ground, street: its cross-section, its patches of ground, its triangles.
        lanes: distance of each lane's middle from the street's, metres.
        stations: `(scans, 2)` street coordinates of the scanner.
        crossings: x0, x1 and side (+1 left, -1 right) of the side streets.
    """

    def __init__(self, rng: np.random.Generator, style: StreetStyle, scans: int):
        self.rng, self.style, self.irregularity = rng, style, style.irregularity
        self.profile = draw_profile(rng, style)
        self.ground = Ground(self.profile)
        self.street = Collector()
        width = self.profile.road - self.profile.median
        lanes = max(1, int(width / _LANE_M))
        self.lanes = self.profile.median + (np.arange(lanes) + 0.5) * width / lanes
        spread = (LENGTH_M - 56) / scans
        x = 28 + spread * (np.arange(scans) + 0.5 + rng.uniform(-0.25, 0.25, scans))
        self.stations = np.column_stack([x, np.full(scans, -rng.choice(self.lanes))])
        self.crossings: list[tuple[float, float, int]] = []
        self._taken = [(x, y, *_SCANNER_ROOM_M) for x, y in self.stations]

    def height(self, x: float, y: float) -> float:
        """Height of the ground at a place, before the street is bent [m]."""
        return float(self.profile.height(x, y))

    def side(self) -> int:
        """One side of the street at random: +1 left, -1 right."""
        return int(self.rng.choice((-1, 1)))

    def count(self, per_100_m: float) -> int:
        """How many things of a density stand in the street; the fraction is left to chance."""
        return int(per_100_m * LENGTH_M / 100 + self.rng.random())

    def is_crossing(self, x: float, side: int, margin_m: float = 0.0) -> bool:
        """A side street opens here."""
        return any(side == s and x0 - margin_m < x < x1 + margin_m for x0, x1, s in self.crossings)

    def is_free(self, x: float, y: float, half_x: float, half_y: float) -> bool:
        """Nothing stands within this rectangle, the scanner at its stations included."""
        taken = np.array(self._taken)
        near = np.abs(taken[:, :2] - (x, y)) < taken[:, 2:] + (half_x, half_y)
        return not bool(near.all(axis=1).any())

    def take(self, x: float, y: float, half_x: float, half_y: float) -> None:
        """Marks a rectangle as no longer free."""
        self._taken.append((x, y, half_x, half_y))

    def put(self, spot: Spot, half_x: float, half_y: float, make: Make) -> bool:
        """Places an object if its footprint is free."""
        if not self.is_free(spot.x, spot.y, half_x, half_y):
            return False
        self.take(spot.x, spot.y, half_x, half_y)
        self.street.place(make(), spot.x, spot.y, self.height(spot.x, spot.y), spot.yaw)
        return True

    def put_somewhere(self, draw: Callable[[], Spot], half_x: float, half_y: float, make: Make) -> None:
        """Places an object at the first free one of a few drawn spots."""
        for _ in range(6):
            if self.put(draw(), half_x, half_y, make):
                return

    def put_vehicle(
        self, draw: Callable[[], Spot], *, moving: bool, large: float | None = None, tries: int = 1
    ) -> None:
        """A vehicle, of a large kind with the given probability (default: the style's)."""
        name = "car"
        if self.rng.random() < (self.style.large_vehicles if large is None else large):
            name = str(self.rng.choice(_LARGE, p=_LARGE_SHARES))
        vehicle = VEHICLES[name]
        kind = vehicle.driving if moving else vehicle.standing
        for _ in range(tries):
            x, y, yaw = draw()
            half_x, half_y = vehicle.half_length_m, vehicle.half_width_m
            if abs(np.sin(yaw)) > 0.7:
                half_x, half_y = half_y, half_x
            spot = Spot(x, y, yaw + 0.05 * self.irregularity * self.rng.normal())
            if self.put(spot, half_x, half_y, lambda: vehicle.make(self.rng, self.irregularity, kind)):
                return

    def plant_trees(self, x: ArrayLike, y: ArrayLike) -> None:
        """Trees at street coordinates."""
        add_trees(self.street, self.rng, self.style, self._feet(x, y))

    def plant_bushes(
        self, x: tuple[float, float], side: int, out: tuple[float, float], n: int, scale: float = 1.0
    ) -> None:
        """`n` bushes at random within x0..x1 and a range of distances from the middle."""
        if n and out[1] > out[0]:
            feet = self._feet(self.rng.uniform(*x, n), side * self.rng.uniform(*out, n))
            add_bushes(self.street, self.rng, self.style, feet, scale)

    def _feet(self, x: ArrayLike, y: ArrayLike) -> Array:
        x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        return np.column_stack([x, y, self.profile.height(x, y)])

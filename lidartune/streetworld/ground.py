"""The ground of a street: its cross-section, heights, what each patch is, and the bend that turns it into a world."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lidartune.streetworld.domains import StreetStyle
from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.mesh import Collector
from lidartune.streetworld.parts import reflectance
from lidartune.streetworld.shapes import Array, quads

START_M, END_M, STEP_M = -42.0, 204.0, 3.0
KERB_M = 0.13
_RISE_M = 1e-4  # a rise is this steep: nearly upright, yet a function of the place
STRIP_M, STRIP_LEVEL_M = 2.5, 0.06
STONE_M, STONE_LEVEL_M = 0.35, 0.21
MEDIAN_LEVEL_M = 0.18
_YARD_M = np.array([1.5, 3.0, 4.5, 6.0, 8.0, 10.0, 12.5, 15.0, 18.0, 22.0, 27.0, 34.0, 43.0])
_MATERIAL = {"road": "asphalt", "lane-marking": "marking", "terrain": "grass", "parking": "paving"}
_MARKING, _ROAD, _STRIP, _KERB, _WALK, _YARD, _MEDIAN = range(7)


@dataclasses.dataclass(frozen=True)
class Profile:
    """A street's cross-section (distances from its middle, metres) and relief."""

    median: float  # half the island's width, 0 where there is none
    road: float  # end of the lanes
    kerb: float  # end of the roadside strip, where the kerb rises
    walk: float  # end of the sidewalk
    kerb_stone: bool  # a raised edge along the sidewalk
    bank: tuple[float, float]  # slope of the land beside it, right and left
    roughness_m: float
    phases: tuple[float, ...]  # of the relief
    bend: tuple[float, float]  # curvature amplitude [1/m], phase
    climb: tuple[float, float]  # slope amplitude, phase

    @property
    def has_strip(self) -> bool:
        """There is room beside the lanes for parked vehicles or grass."""
        return self.kerb - self.road > 1.0

    def height(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Height above the straight, level street [m], before the bend."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        out = np.abs(y) - self.walk
        a, b, c = self.phases
        bank = np.where(y < 0, self.bank[0], self.bank[1]) * (1 + 0.8 * np.sin(x / 23 + a))
        rough = np.sin(x / 3.1 + a + y / 7) + np.sin(y / 2.3 + b - x / 11) + 0.8 * np.sin(x / 1.3 + y / 1.7 + c)
        ramp = np.clip(out / 2, 0, 1)
        at = np.abs(y)
        stone = STONE_LEVEL_M if self.kerb_stone else KERB_M
        where = [at >= self.kerb + STONE_M, at >= self.kerb, at >= self.road, at < self.median]
        level = np.select(where, [KERB_M, stone, STRIP_LEVEL_M, MEDIAN_LEVEL_M], 0.0)
        return level + bank * np.clip(out, 0, 25) + 0.5 * self.roughness_m * ramp * rough

    def bent(self, points: Array) -> Array:
        """Street coordinates `(..., 3)` to the world: along the curved, climbing middle line."""
        x_grid = np.arange(START_M - 20, END_M + 21, 1.0)
        amplitude, phase = self.bend
        heading = -amplitude * 60 * (np.cos(x_grid / 60 + phase) - np.cos(phase))
        slope, slope_phase = self.climb
        middle = np.stack(
            [
                np.cumsum(np.cos(heading)),
                np.cumsum(np.sin(heading)),
                -slope * 35 * (np.cos(x_grid / 35 + slope_phase) - np.cos(slope_phase)),
                heading,
            ]
        )
        at_x, at_y, at_z, turn = (np.interp(points[..., 0], x_grid, values) for values in middle)
        across = points[..., 1]
        return np.stack([at_x - np.sin(turn) * across, at_y + np.cos(turn) * across, at_z + points[..., 2]], axis=-1)


def draw_profile(rng: np.random.Generator, style: StreetStyle) -> Profile:
    """A random cross-section in the style of a domain."""
    vary = 1 + 0.25 * style.irregularity * rng.uniform(-1, 1)
    median = rng.uniform(0.5, 1.1) if rng.random() < style.median else 0.0
    road = style.road_half_width_m * vary + median
    kerb = road + (STRIP_M if rng.random() < style.strip else 0.1)
    walk = kerb + style.sidewalk_m * (rng.uniform(0.85, 1.15) + 0.25 * style.irregularity * rng.uniform(-1, 1))
    return Profile(
        median=median,
        road=road,
        kerb=kerb,
        walk=walk,
        kerb_stone=bool(rng.random() < 0.5),
        bank=(style.slope * rng.normal(0.4, 1.0), style.slope * rng.normal(0.4, 1.0)),
        roughness_m=style.unevenness_m * rng.uniform(0.3, 1.3),
        phases=tuple(rng.uniform(0, 2 * np.pi, 3)),
        bend=(style.curvature_per_m * rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)),
        climb=(style.slope * rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)),
    )


class Ground:
    """The patches of ground, first by cross-section, then painted over by plots and roadside sections."""

    def __init__(self, profile: Profile):
        self.profile = p = profile
        self.x = np.arange(START_M, END_M + 0.5 * STEP_M, STEP_M)
        side = [(p.median, _ROAD)] if p.median else [(0.14, _ROAD)]
        side += [(p.road - _RISE_M, _STRIP), (p.road, _STRIP), (p.kerb - _RISE_M, _KERB), (p.kerb, _KERB)]
        side += [(p.kerb + STONE_M - _RISE_M, _KERB), (p.kerb + STONE_M, _WALK), (p.walk, _YARD)]
        if p.median:
            side.insert(0, (p.median - _RISE_M, _MEDIAN))
        side += [(p.walk + d, _YARD) for d in _YARD_M]
        lines = np.array([line for line, _ in side])
        beyond = np.array([strip for _, strip in side])[:-1]
        self.y = np.concatenate([-lines[::-1], lines])
        self.strip = np.concatenate([beyond[::-1], [_MEDIAN if p.median else _MARKING], beyond])
        by_strip = [
            KIND["lane-marking"],
            KIND["road"],
            KIND["road"],
            KIND["other-ground" if p.kerb_stone else "sidewalk"],
            KIND["sidewalk"],
        ]
        by_strip += [KIND["terrain"], KIND["other-ground"]]
        self.kind = np.tile(np.array(by_strip, np.uint8)[self.strip], (len(self.x) - 1, 1))
        middle = 0.5 * (self.y[1:] + self.y[:-1])
        self._middle_x, self._middle_y = 0.5 * (self.x[1:] + self.x[:-1]), middle

    def _cells(self, x0: float, x1: float, side: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return (self._middle_x > x0) & (self._middle_x < x1), self._middle_y * side > 0

    def paint_strip(self, x0: float, x1: float, side: int, kind: int) -> None:
        """The roadside strip of one side (+1 left, -1 right) between x0 and x1."""
        rows, columns = self._cells(x0, x1, side)
        self.kind[np.ix_(rows, columns & (self.strip == _STRIP))] = kind

    def paint_yard(self, x0: float, x1: float, side: int, kind: int, depth_m: float = 99.0) -> None:
        """The land beyond the sidewalk, to a depth."""
        rows, columns = self._cells(x0, x1, side)
        near = np.abs(self._middle_y) - self.profile.walk < depth_m
        self.kind[np.ix_(rows, columns & (self.strip == _YARD) & near)] = kind

    def paint_crossing(self, x0: float, x1: float, side: int) -> None:
        """A side street: road from the lanes out to the end of the world."""
        rows, columns = self._cells(x0, x1, side)
        self.kind[np.ix_(rows, columns & (np.abs(self._middle_y) > self.profile.road))] = KIND["road"]

    def add_to(self, street: Collector, rng: np.random.Generator) -> None:
        """The patches as triangles; reflectance changes from section to section, and from patch to patch."""
        grid_x, grid_y = np.meshgrid(self.x, self.y, indexing="ij")
        grid = np.stack([grid_x, grid_y, self.profile.height(grid_x, grid_y)], -1)
        corners = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=2)
        tone = np.empty(self.kind.shape)
        names = {KIND[name]: material for name, material in _MATERIAL.items()}
        for start in range(0, len(tone), 7):
            for strip in range(7):
                for kind in np.unique(self.kind[start : start + 7, self.strip == strip]):
                    where = (self.kind[start : start + 7] == kind) & (self.strip == strip)
                    tone[start : start + 7][where] = reflectance(rng, names.get(int(kind), "concrete"))
        tone = np.clip(tone * np.exp(rng.normal(0, 0.3, tone.shape)), 0.01, 0.95)
        street.add(quads(corners), np.repeat(self.kind.ravel(), 2), np.repeat(tone.ravel(), 2))

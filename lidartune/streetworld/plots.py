"""Plots of land along a street: houses with gardens, parks, car parks, side streets."""

from __future__ import annotations

import numpy as np

from lidartune.streetworld.furniture import bench
from lidartune.streetworld.ground import END_M, START_M, STEP_M
from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.scenery import add_building, add_fence, add_hedge
from lidartune.streetworld.site import Site, Spot

_SHORTEST_M = 12.0
_HEDGE_PIECE_M = 6.0


def line_with_plots(site: Site, side: int) -> None:
    """Fills one side of a street beyond the sidewalk (+1 left, -1 right), from one end to the other."""
    rng, style = site.rng, site.style
    shares = np.array([style.plot_building, style.plot_park, style.plot_lot, style.plot_crossing])
    makers = (_building_plot, _park_plot, _lot_plot, _crossing)
    x, last = START_M, -1
    while x < END_M - _SHORTEST_M:
        choice = int(rng.choice(4, p=shares / shares.sum()))
        if choice == 3 and last == 3:
            choice = 0
        cells = 3 if choice == 3 else int(rng.integers(5, 9 + round(2 * site.irregularity)))
        end = x + cells * STEP_M
        if END_M - end < _SHORTEST_M and choice != 3:
            end = END_M
        makers[choice](site, x, end, side)
        x, last = end, choice


def _building_plot(site: Site, x0: float, x1: float, side: int) -> None:
    """A house behind a garden or pavement, with a border and perhaps a driveway."""
    rng, style, walk = site.rng, site.style, site.profile.walk
    odd = site.irregularity
    setback = style.setback_m * (1 + 0.7 * odd * rng.uniform(-1, 1))
    green = rng.random() < style.green_yard
    site.ground.paint_yard(x0, x1, side, KIND["terrain" if green else "sidewalk"], depth_m=setback + 1)
    gap0, gap1 = np.minimum(rng.uniform(0.3, 1.5 + 2.5 * odd, 2), 0.2 * (x1 - x0))
    floor = site.height(0.5 * (x0 + x1), side * (walk + setback))
    add_building(site.street, rng, style, (x0 + gap0, x1 - gap1), walk + setback, rng.uniform(8, 13), side, floor)
    if setback < 1.8:
        return
    _border(site, x0, x1 - float(rng.choice([0.0, 3.5])), side, walk + 0.3)
    if rng.random() < 0.35:
        drive = x1 - 3.0
        site.ground.paint_yard(drive, x1, side, KIND["parking"], depth_m=setback + 8)
        if rng.random() < style.parked and setback > 3.5:
            spot = Spot(drive + 1.5, side * (walk + 2.8), np.pi / 2)
            site.put_vehicle(lambda: spot, moving=False, large=0.0)
    if green:
        n = int(rng.poisson(style.bushes * (x1 - x0) / 100))
        site.plant_bushes((x0, x1), side, (walk + 0.8, walk + setback - 0.4), n)
        if setback > 3 and rng.random() < 0.5:
            site.plant_trees(rng.uniform(x0 + 1, x1 - 1), side * (walk + setback / 2))


def _park_plot(site: Site, x0: float, x1: float, side: int) -> None:
    """Grass, trees and bushes; behind them a thicket, a fence or nothing."""
    rng, style, walk = site.rng, site.style, site.profile.walk
    depth = rng.uniform(9, 22)
    site.ground.paint_yard(x0, x1, side, KIND["terrain"])
    n = int(rng.poisson((x1 - x0) * depth / (14 * style.tree_spacing_m)))
    site.plant_trees(rng.uniform(x0 + 1, x1 - 1, n), side * (walk + rng.uniform(2, depth, n)))
    site.plant_bushes((x0, x1), side, (walk + 1, walk + depth), int(rng.poisson(style.bushes * (x1 - x0) / 60)))
    if rng.random() < 0.25 + 0.35 * site.irregularity:
        site.plant_bushes((x0, x1), side, (walk + depth, walk + depth + 2), int((x1 - x0) * 0.8), scale=1.5)
    elif rng.random() < 0.5:
        back = side * (walk + depth)
        add_fence(site.street, rng, style, (x0, back), (x1, back), site.height(0.5 * (x0 + x1), back))
    _border(site, x0, x1, side, walk + 0.3 if rng.random() < 0.5 else walk + 4)
    if rng.random() < 0.5:
        spot = Spot(rng.uniform(x0 + 2, x1 - 2), side * (walk + 1), 0.0 if side > 0 else np.pi)
        site.put(spot, 0.9, 0.4, lambda: bench(rng, site.irregularity))


def _lot_plot(site: Site, x0: float, x1: float, side: int) -> None:
    """A car park, two rows deep, with its back to a building or a border."""
    rng, style, walk = site.rng, site.style, site.profile.walk
    depth = 15.0
    site.ground.paint_yard(x0, x1, side, KIND["parking"], depth_m=depth)
    for row in (3.4, 11.0):
        for x in np.arange(x0 + 2, x1 - 1.2, 2.9):
            if rng.random() < 0.8 * style.parked:
                spot = Spot(float(x), side * (walk + row), side * np.pi / 2)
                site.put_vehicle(lambda s=spot: s, moving=False, large=0.6 * style.large_vehicles)  # type: ignore[misc]
    back = walk + depth + 0.8
    if rng.random() < 0.5:
        floor = site.height(x0, side * back)
        add_building(site.street, rng, style, (x0 + 0.5, x1 - 0.5), back, 9.0, side, floor)
    else:
        _border(site, x0, x1, side, back)


def _crossing(site: Site, x0: float, x1: float, side: int) -> None:
    """A side street."""
    site.ground.paint_crossing(x0, x1, side)
    site.crossings.append((x0, x1, side))


def _border(site: Site, x0: float, x1: float, side: int, distance: float) -> None:
    """A hedge, a fence or nothing along the street, at a distance from its middle."""
    rng, style = site.rng, site.style
    choice = rng.random()
    floor = site.height(0.5 * (x0 + x1), side * distance)
    if x1 - x0 < 3:
        return
    if choice < style.hedge:
        near, far = sorted((side * distance, side * (distance + rng.uniform(0.7, 1.1))))
        for a in np.arange(x0, x1 - 0.5, _HEDGE_PIECE_M):
            add_hedge(site.street, rng, style, (a, min(a + _HEDGE_PIECE_M, x1), near, far), floor)
    elif choice < style.hedge + style.fence:
        add_fence(site.street, rng, style, (x0, side * distance), (x1, side * distance), floor)

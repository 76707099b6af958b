"""What comes and goes in a street: parked and moving vehicles, people, and the small things on its sidewalks."""

from __future__ import annotations

import numpy as np

from lidartune.streetworld.furniture import FURNITURE, Maker, pole, traffic_sign
from lidartune.streetworld.ground import END_M, START_M, STEP_M
from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.people import bicycle, bicyclist, motorcycle, motorcyclist, person
from lidartune.streetworld.site import LENGTH_M, Site, Spot


def fill_strip(site: Site, side: int) -> None:
    """Sections of the strip between lanes and kerb of one side: parked vehicles, grass with trees, or simply road."""
    rng, style, profile = site.rng, site.style, site.profile
    middle = 0.5 * (profile.road + profile.kerb)
    x = START_M if profile.has_strip else END_M
    while x < END_M - STEP_M:
        end = min(x + STEP_M * int(rng.integers(4, 11)), END_M)
        choice = rng.random()
        if choice < style.strip_parking:
            site.ground.paint_strip(x, end, side, KIND["parking"])
            for along in np.arange(x + 3, end - 2.5, 5.8):
                if rng.random() < style.parked and not site.is_crossing(along, side, 2):
                    spot = Spot(float(along), side * middle, _with_traffic(side))
                    site.put_vehicle(lambda s=spot: s, moving=False)  # type: ignore[misc]
        elif choice < style.strip_parking + style.strip_green:
            site.ground.paint_strip(x, end, side, KIND["terrain"])
            feet = np.arange(x + 2, end - 1, 0.8 * style.tree_spacing_m) + rng.uniform(0, 2)
            feet = np.array([foot for foot in feet if not site.is_crossing(foot, side)])
            site.plant_trees(feet, np.full(len(feet), side * middle))
            n = int(rng.poisson(0.02 * style.bushes * (end - x)))
            site.plant_bushes((x, end), side, (middle - 0.6, middle + 0.6), n, scale=0.6)
        x = end
    for x0, x1, crossing_side in site.crossings:
        if crossing_side == side:
            site.ground.paint_crossing(x0, x1, side)


def plant_street_trees(site: Site, side: int) -> None:
    """A row of trees on the sidewalk, in some streets."""
    rng = site.rng
    if rng.random() > 0.6:
        return
    spacing = site.style.tree_spacing_m * (1 + 0.4 * site.irregularity * rng.uniform(-1, 1))
    along = np.arange(START_M + 5, END_M - 2, spacing)
    along = along + site.irregularity * rng.uniform(-2, 2, len(along))
    y = side * (site.profile.kerb + 0.8)
    feet = [x for x in along if not site.is_crossing(x, side) and site.is_free(x, y, 0.5, 0.3)]
    for x in feet:
        site.take(x, y, 0.5, 0.3)
    site.plant_trees(feet, np.full(len(feet), y))


def put_traffic(site: Site) -> None:
    """Bicyclists, motorcyclists and moving vehicles on the lanes."""
    rng, style, odd = site.rng, site.style, site.irregularity

    def on_lane() -> Spot:
        side = site.side()
        return Spot(rng.uniform(0, LENGTH_M), side * float(rng.choice(site.lanes)), _with_traffic(side))

    def at_edge() -> Spot:
        side = site.side()
        return Spot(rng.uniform(0, LENGTH_M), side * (site.profile.road - rng.uniform(0.3, 1.2)), _with_traffic(side))

    for _ in range(site.count(style.bicyclists)):
        kind = KIND["moving-bicyclist" if rng.random() < 0.85 else "bicyclist"]
        site.put_somewhere(at_edge, 1.0, 0.5, lambda k=kind: bicyclist(rng, odd, k))  # type: ignore[misc]
    for _ in range(site.count(style.motorcyclists)):
        kind = KIND["moving-motorcyclist" if rng.random() < 0.85 else "motorcyclist"]
        site.put_somewhere(on_lane, 1.2, 0.6, lambda k=kind: motorcyclist(rng, odd, k))  # type: ignore[misc]
    for _ in range(site.count(style.traffic)):
        site.put_vehicle(on_lane, moving=True, tries=6)


def put_sidewalk_things(site: Site) -> None:
    """Parked two-wheelers, poles, signs, people and furniture."""
    style, profile = site.style, site.profile
    for _ in range(site.count(style.bicycle_groups)):
        _put_row(site, bicycle, int(site.rng.integers(3, 7)), pitch=0.6, half_length=1.0)
    for _ in range(site.count(style.motorcycle_groups)):
        _put_row(site, motorcycle, int(site.rng.integers(2, 4)), pitch=1.1, half_length=1.1)
    for _ in range(site.count(style.poles)):
        _put_beside(site, pole, profile.kerb + 0.75, 0.3, 0.3, turn=np.pi / 2)
    for _ in range(site.count(style.signs)):
        _put_beside(site, traffic_sign, profile.kerb + 0.75, 0.3, 0.3, turn=np.pi)
    for _ in range(site.count(style.people)):
        _put_people(site)
    for _ in range(site.count(style.street_furniture)):
        maker = FURNITURE[int(site.rng.integers(len(FURNITURE)))]
        _put_beside(site, maker, profile.walk - 0.4, 0.9, 0.4, turn=0.0)


def _with_traffic(side: int) -> float:
    """Direction of travel: the right side drives along the street, the left towards its start."""
    return 0.0 if side < 0 else np.pi


def _put_beside(site: Site, maker: Maker, distance: float, half_x: float, half_y: float, turn: float) -> None:
    """An object at a distance from the street's middle, turned against the traffic of its side."""
    rng, odd = site.rng, site.irregularity

    def draw() -> Spot:
        side = site.side()
        yaw = _with_traffic(side) + turn + 0.15 * odd * rng.normal()
        return Spot(rng.uniform(0, LENGTH_M), side * distance, yaw)

    for _ in range(6):
        spot = draw()
        side = 1 if spot.y > 0 else -1
        if not site.is_crossing(spot.x, side) and site.put(spot, half_x, half_y, lambda: maker(rng, odd)):
            return


def _put_row(site: Site, maker: Maker, n: int, pitch: float, half_length: float) -> None:
    """Parked two-wheelers side by side, on the sidewalk or in the roadside strip."""
    rng, profile = site.rng, site.profile
    for _ in range(6):
        side, x = site.side(), rng.uniform(4, LENGTH_M - 4)
        on_sidewalk = rng.random() < 0.6 or not profile.has_strip
        y = side * (profile.kerb + (1.4 if on_sidewalk else -1.2))
        if site.is_crossing(x, side, 4) or not site.is_free(x, y, n * pitch / 2, half_length):
            continue
        site.take(x, y, n * pitch / 2, half_length)
        for i in range(n):
            yaw = side * np.pi / 2 + rng.normal(0, 0.05 + 0.2 * site.irregularity)
            along = x + (i - (n - 1) / 2) * pitch
            site.street.place(maker(rng, site.irregularity), along, y, site.height(along, y), yaw)
        return


def _put_people(site: Site) -> None:
    """One person or a small crowd, mostly on the sidewalk."""
    rng, profile, odd = site.rng, site.profile, site.irregularity

    def draw() -> Spot:
        at = rng.uniform(profile.kerb + 0.5, profile.walk - 0.2)
        if rng.random() < 0.2:
            at = rng.uniform(profile.road - 1, profile.kerb + 0.5)
        return Spot(rng.uniform(2, LENGTH_M - 2), site.side() * at, rng.uniform(0, 2 * np.pi))

    if rng.random() < 0.12:
        middle = draw()
        for _ in range(int(rng.integers(3, 6))):
            x, y = middle.x + rng.uniform(-1.1, 1.1), middle.y + rng.uniform(-0.6, 0.6)
            spot = Spot(x, y, rng.uniform(0, 2 * np.pi))
            site.put(spot, 0.25, 0.25, lambda: person(rng, odd, KIND["crowd"]))
        return
    name = str(rng.choice(["woman", "man", "child"], p=[0.42, 0.43, 0.15]))
    kind = KIND[f"walking-{name}" if rng.random() < 0.6 else name]
    site.put_somewhere(draw, 0.3, 0.3, lambda: person(rng, odd, kind))

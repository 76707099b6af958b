"""One street: a 160 m stretch of road and everything along it, as a labelled triangle mesh."""

from __future__ import annotations

import dataclasses

import numpy as np

from lidartune.streetworld.domains import StreetStyle
from lidartune.streetworld.ground import Profile
from lidartune.streetworld.mesh import Mesh
from lidartune.streetworld.plots import line_with_plots
from lidartune.streetworld.shapes import Array
from lidartune.streetworld.site import Site
from lidartune.streetworld.traffic import fill_strip, plant_street_trees, put_sidewalk_things, put_traffic


@dataclasses.dataclass(frozen=True)
class Street:
    """A street's mesh in world coordinates, and the scanner's stations.

    Attributes:
        mesh: the triangles.
        stations: `(scans, 6)` x, y, z of the road under the car, then its heading, climb and bank in radians.
        wetness: factor 0..1 on every reflectance: streets differ in how much light comes back.
    """

    mesh: Mesh
    stations: Array
    wetness: float


def make_street(rng: np.random.Generator, style: StreetStyle, scans: int) -> Street:
    """A random street in the style of a domain, with stations spread along it."""
    site = Site(rng, style, scans)
    for side in (-1, 1):
        line_with_plots(site, side)
        fill_strip(site, side)
        plant_street_trees(site, side)
    put_traffic(site)
    put_sidewalk_things(site)
    site.ground.add_to(site.street, rng)
    straight = site.street.mesh()
    bent = site.profile.bent(straight.triangles.astype(np.float64)).astype(np.float32)
    wetness = float(np.exp(rng.uniform(np.log(0.25), np.log(1.0))))
    return Street(dataclasses.replace(straight, triangles=bent), _poses(site.profile, site.stations), wetness)


def _poses(profile: Profile, stations: Array) -> Array:
    """Pose of the car at `(n, 2)` street coordinates, as `Street.stations`."""
    ground = np.column_stack([stations, np.zeros(len(stations))])
    here, front, left = (profile.bent(ground + step) for step in ((0, 0, 0), (1, 0, 0), (0, 1, 0)))
    forward, aside = front - here, left - here
    heading = np.arctan2(forward[:, 1], forward[:, 0])
    climb, bank = (np.arcsin(np.clip(step[:, 2], -1, 1)) for step in (forward, aside))
    return np.column_stack([here, heading, climb, bank])

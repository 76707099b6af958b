"""The two domains: how their streets look and how their sensors see, and anything in between."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

Style = TypeVar("Style", "StreetStyle", "SensorStyle")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreetStyle:
    """What a street of a domain is made of. Metres, shares 0..1, or counts per 100 m of street."""

    road_half_width_m: float
    irregularity: float  # 0: every object and street of the same regular make, 1: all vary
    curvature_per_m: float  # largest curvature
    slope: float  # largest slope along the street and beside it
    unevenness_m: float  # of terrain
    sidewalk_m: float
    strip: float  # share of streets with a strip for parking or grass between lanes and kerb
    setback_m: float  # from sidewalk to building
    strip_parking: float  # share of the roadside strip that is parking
    strip_green: float  # share of it that is grass with trees
    median: float  # share of streets with a raised island in the middle
    plot_building: float  # shares of the plots beside the street, up to a common factor
    plot_park: float
    plot_lot: float
    plot_crossing: float
    green_yard: float  # share of front yards that are terrain, not pavement
    fence: float  # share of plots with a fence
    hedge: float  # share of plots with a hedge
    tree_spacing_m: float
    bushes: float
    foliage: float  # fullness and depth of crowns and bushes
    parked: float  # share of the parking places taken
    traffic: float  # moving vehicles
    large_vehicles: float  # share of vehicles that are trucks, buses, trailers, ...
    people: float
    bicyclists: float
    motorcyclists: float
    bicycle_groups: float
    motorcycle_groups: float
    poles: float
    signs: float
    street_furniture: float


SYNTHETIC_STREET = StreetStyle(
    road_half_width_m=5.0,
    irregularity=0.1,
    curvature_per_m=0.0,
    slope=0.0,
    unevenness_m=0.0,
    sidewalk_m=4.0,
    strip=0.5,
    setback_m=3.0,
    strip_parking=0.35,
    strip_green=0.15,
    median=0.35,
    plot_building=0.5,
    plot_park=0.4,
    plot_lot=0.1,
    plot_crossing=0.08,
    green_yard=0.7,
    fence=0.45,
    hedge=0.25,
    tree_spacing_m=12.0,
    bushes=16.0,
    foliage=1.0,
    parked=0.25,
    traffic=8.0,
    large_vehicles=0.5,
    people=14.0,
    bicyclists=4.5,
    motorcyclists=4.5,
    bicycle_groups=2.2,
    motorcycle_groups=1.8,
    poles=9.0,
    signs=8.0,
    street_furniture=6.0,
)

REAL_STREET = StreetStyle(
    road_half_width_m=2.8,
    irregularity=1.0,
    curvature_per_m=1 / 160,
    slope=0.07,
    unevenness_m=0.16,
    sidewalk_m=3.6,
    strip=0.55,
    setback_m=5.0,
    strip_parking=0.5,
    strip_green=0.35,
    median=0.2,
    plot_building=0.5,
    plot_park=0.5,
    plot_lot=0.1,
    plot_crossing=0.05,
    green_yard=0.8,
    fence=0.4,
    hedge=0.55,
    tree_spacing_m=8.0,
    bushes=46.0,
    foliage=1.0,
    parked=0.7,
    traffic=2.0,
    large_vehicles=0.3,
    people=6.0,
    bicyclists=2.2,
    motorcyclists=2.0,
    bicycle_groups=1.5,
    motorcycle_groups=1.6,
    poles=6.0,
    signs=6.0,
    street_furniture=6.0,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SensorStyle:
    """How a domain's scanner departs from an ideal one. At 0 each quirk is absent."""

    mount_height_m: float
    range_limit_m: float
    uneven_beams: float  # 0: equal steps from +3 to -25 degrees, 1: the HDL-64's two blocks of different spacing
    origin_offset_m: float  # height of the upper laser block above the lower one, halved
    extra_columns: float  # share of azimuth steps beyond the nominal number
    range_noise_m: float
    angle_noise_deg: float
    drop: float  # strength of lost returns on glass, dark and grazing surfaces
    intensity_model: float  # strength of remission's dependence on range and incidence
    remission_step: float  # 0: continuous
    speed_m_s: float  # of the car while one turn of 0.1 s is taken
    tilt_deg: float  # spread of pitch and roll
    unlabelled: float  # share of points without a label


IDEAL_SENSOR = SensorStyle(
    mount_height_m=1.8,
    range_limit_m=100.0,
    uneven_beams=0.0,
    origin_offset_m=0.0,
    extra_columns=0.0,
    range_noise_m=0.0,
    angle_noise_deg=0.0,
    drop=0.0,
    intensity_model=0.0,
    remission_step=0.0,
    speed_m_s=0.0,
    tilt_deg=0.0,
    unlabelled=0.0,
)

REAL_SENSOR = SensorStyle(
    mount_height_m=1.73,
    range_limit_m=80.0,
    uneven_beams=1.0,
    origin_offset_m=0.08,
    extra_columns=0.017,
    range_noise_m=0.02,
    angle_noise_deg=0.03,
    drop=1.0,
    intensity_model=1.0,
    remission_step=0.01,
    speed_m_s=9.0,
    tilt_deg=0.6,
    unlabelled=0.015,
)


def between(first: Style, second: Style, amount: float) -> Style:
    """The style that lies the given amount (0..1) of the way from the first to the second."""
    start, end = dataclasses.asdict(first), dataclasses.asdict(second)
    return type(first)(**{name: start[name] + amount * (end[name] - start[name]) for name in start})


def street_style(domain: str, geometry_gap: float) -> StreetStyle:
    """The streets of `synthetic` or `real`; with a gap of 0 both are the synthetic ones."""
    return between(SYNTHETIC_STREET, REAL_STREET, geometry_gap if domain == "real" else 0.0)


def sensor_style(domain: str, sensor_gap: float) -> SensorStyle:
    """The scanner of `synthetic` or `real`; with a gap of 0 both are the ideal one."""
    if domain == "synthetic" or sensor_gap == 0:
        return IDEAL_SENSOR
    # a step is there or not: half of it would be a finer scanner, not one halfway
    return dataclasses.replace(
        between(IDEAL_SENSOR, REAL_SENSOR, sensor_gap), remission_step=REAL_SENSOR.remission_step
    )

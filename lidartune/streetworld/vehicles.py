"""Vehicles on four or more wheels, each as labelled parts around its own foot point (x ahead, z up)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.parts import DARK, GLASS, MATTE, Part, near, reflectance
from lidartune.streetworld.shapes import bars, boxes, quads, rings


def _wheels(rng: np.random.Generator, x: list[float], half_width: float, radius: float, kind: int) -> Part:
    centres = [(wx, side * (half_width + 0.015), radius) for wx in x for side in (-1, 1)]
    return Part(rings(centres, radius, sides=8), kind, reflectance(rng, "rubber"), DARK)


def _cabin(
    rng: np.random.Generator, span: tuple[float, ...], top: tuple[float, ...], kind: int, paint: float
) -> list[Part]:
    shell = boxes(span, top)
    return [Part(shell[:8], kind, reflectance(rng, "glass"), GLASS), Part(shell[8:], kind, paint)]


def car(rng: np.random.Generator, irregularity: float, kind: int = KIND["car"]) -> list[Part]:
    """A passenger car: saloon, hatchback, off-roader or van; about 4.4 m long."""
    build = rng.choice(4) if rng.random() < 0.25 + 0.75 * irregularity else 0
    length = near(rng, (4.5, 3.9, 4.5, 4.9)[build], irregularity, 0.08)
    half, height = near(rng, 0.9, irregularity, 0.06), near(rng, (1.45, 1.5, 1.75, 1.95)[build], irregularity, 0.05)
    front, rear = length / 2, -length / 2
    shoulder = (0.85, 0.9, 1.05, 1.05)[build]
    paint = reflectance(rng, "paint")
    finish = DARK if rng.random() < 0.3 else MATTE
    slant = 0.15 + 0.85 * irregularity
    hood, boot = (1.25, 1.0, 1.1, 0.75)[build], (0.75, 0.15, 0.15, 0.05)[build]
    body = boxes(
        (rear, front, -half, half, 0.22, shoulder), (rear + 0.06, front - 0.12 * slant, -half + 0.05, half - 0.05)
    )
    inset = 0.18 * slant
    cabin = _cabin(
        rng,
        (rear + boot, front - hood, -half + 0.06, half - 0.06, shoulder, height),
        (rear + boot + 0.3 * slant, front - hood - 0.55 * slant, -half + 0.06 + inset, half - 0.06 - inset),
        kind,
        paint,
    )
    return [Part(body, kind, paint, finish), *cabin, _wheels(rng, [front - 0.85, rear + 0.8], half, 0.32, kind)]


def pick_up(rng: np.random.Generator, irregularity: float, kind: int = KIND["pick-up"]) -> list[Part]:
    """A pick-up, about 5.3 m long, with an open bed."""
    front, half = near(rng, 2.65, irregularity, 0.06), 0.95
    paint = reflectance(rng, "paint")
    lower = boxes(
        [
            (-front, front, -half, half, 0.35, 0.75),
            (0.0, front, -half, half, 0.75, 1.1),
            (-front, 0.0, -half, -half + 0.1, 0.75, 1.15),
            (-front, 0.0, half - 0.1, half, 0.75, 1.15),
            (-front, -front + 0.1, -half, half, 0.75, 1.15),
        ]
    )
    cabin = _cabin(rng, (-0.5, 1.4, -half, half, 1.1, 1.85), (-0.4, 0.9, -half + 0.15, half - 0.15), kind, paint)
    return [Part(lower, kind, paint), *cabin, _wheels(rng, [front - 0.95, -front + 1.1], half, 0.4, kind)]


def truck(rng: np.random.Generator, irregularity: float, kind: int = KIND["truck"]) -> list[Part]:
    """A lorry of 6.5 to 10 m: driver's cab, gap, cargo box or flat bed."""
    length, half = near(rng, 8.2, max(irregularity, 0.5), 0.2), near(rng, 1.2, irregularity, 0.08)
    front, rear = length / 2, -length / 2
    height = near(rng, 3.3, irregularity, 0.12)
    paint = reflectance(rng, "paint")
    cab = boxes((front - 2.0, front, -half, half, 0.45, 2.55), (front - 1.9, front - 0.25, -half + 0.05, half - 0.05))
    chassis = boxes((rear, front - 2.0, -0.5, 0.5, 0.6, 0.95))
    if irregularity > 0.3 and rng.random() < 0.3:
        cargo = boxes(
            [
                (rear, front - 2.35, -half, half, 0.95, 1.15),
                (front - 2.45, front - 2.35, -half, half, 1.15, 2.2),
                (rear + 0.8, front - 3.2, -half + 0.3, half - 0.3, 1.15, rng.uniform(1.6, 2.4)),
            ]
        )
    else:
        cargo = boxes((rear, front - 2.4, -half, half, 0.95, height))
    screen = quads(
        [
            [
                (front + 0.02, -half + 0.15, 1.5),
                (front + 0.02, half - 0.15, 1.5),
                (front - 0.2, half - 0.15, 2.3),
                (front - 0.2, -half + 0.15, 2.3),
            ]
        ]
    )
    return [
        Part(cab, kind, paint),
        Part(chassis, kind, reflectance(rng, "metal"), DARK),
        Part(cargo, kind, reflectance(rng, "paint")),
        Part(screen, kind, reflectance(rng, "glass"), GLASS),
        _wheels(rng, [front - 1.1, rear + 1.2, rear + 2.3], half - 0.05, 0.48, kind),
    ]


def bus(rng: np.random.Generator, irregularity: float, kind: int = KIND["bus"]) -> list[Part]:
    """A bus of about 11 m with a band of windows."""
    front, half = near(rng, 5.6, irregularity, 0.12), 1.25
    height = near(rng, 3.1, irregularity, 0.06)
    x = np.arange(-front + 0.4, front - 1.4, 1.5)
    panes = [
        [(a, y, 1.45), (a + 1.3, y, 1.45), (a + 1.3, y, 2.4), (a, y, 2.4)]
        for a in x
        for y in (-half - 0.02, half + 0.02)
    ]
    panes += [[(e, -1.1, 1.3), (e, 1.1, 1.3), (e, 1.1, 2.6), (e, -1.1, 2.6)] for e in (-front - 0.02, front + 0.02)]
    return [
        Part(boxes((-front, front, -half, half, 0.3, height)), kind, reflectance(rng, "paint")),
        Part(quads(panes), kind, reflectance(rng, "glass"), GLASS),
        _wheels(rng, [front - 2.5, -front + 2.6], half + 0.02, 0.48, kind),
    ]


def other_vehicle(rng: np.random.Generator, irregularity: float, kind: int = KIND["other-vehicle"]) -> list[Part]:
    """A caravan, a tractor or an excavator."""
    paint = reflectance(rng, "paint")
    build = rng.choice(3, p=(0.4, 0.4, 0.2))
    if build == 0:
        front = near(rng, 2.4, irregularity)
        return [
            Part(boxes((-front, front, -1.1, 1.1, 0.45, 2.5), (-front + 0.2, front - 0.5, -1.05, 1.05)), kind, paint),
            Part(boxes((front, front + 1.3, -0.08, 0.08, 0.4, 0.55)), kind, reflectance(rng, "metal")),
            Part(
                quads([[(-0.8, y, 1.2), (0.8, y, 1.2), (0.8, y, 1.9), (-0.8, y, 1.9)] for y in (-1.13, 1.13)]),
                kind,
                0.1,
                GLASS,
            ),
            _wheels(rng, [-0.2], 1.1, 0.33, kind),
        ]
    if build == 1:
        large = near(rng, 0.85, irregularity, 0.1)
        posts = [(-1.0, -0.6), (-1.0, 0.6), (0.3, -0.6), (0.3, 0.6)]
        return [
            Part(boxes([(0.1, 2.0, -0.4, 0.4, 0.7, 1.45), (-1.2, 0.4, -0.6, 0.6, 0.7, 1.3)]), kind, paint),
            Part(boxes((-1.1, 0.4, -0.7, 0.7, 2.4, 2.55)), kind, paint),
            Part(bars([(x, y, 1.3) for x, y in posts], [(x, y, 2.4) for x, y in posts], 0.12), kind, paint),
            Part(
                rings([(-0.8, -0.95, large), (-0.8, 0.95, large), (-0.8, -0.6, large), (-0.8, 0.6, large)], large),
                kind,
                0.1,
                DARK,
            ),
            _wheels(rng, [1.6], 0.7, 0.5, kind),
        ]
    reach = near(rng, 3.2, irregularity)
    return [
        Part(boxes([(-1.6, 1.6, s * 1.0 - 0.25, s * 1.0 + 0.25, 0.0, 0.8) for s in (-1, 1)]), kind, 0.12, DARK),
        Part(boxes([(-1.6, 1.0, -1.1, 1.1, 0.85, 1.7), (-0.2, 1.0, 0.1, 1.1, 1.7, 2.7)]), kind, paint),
        Part(
            bars([(1.0, -0.4, 1.4), (reach, -0.4, 2.9)], [(reach, -0.4, 2.9), (reach + 1.2, -0.4, 0.7)], 0.45),
            kind,
            paint,
        ),
        Part(boxes((reach + 0.8, reach + 1.5, -0.9, 0.1, 0.1, 0.8)), kind, reflectance(rng, "metal")),
    ]


class Vehicle(NamedTuple):
    """How a vehicle is made, the half length and half width of its footprint [m], and its kind standing and driving."""

    make: Callable[[np.random.Generator, float, int], list[Part]]
    half_length_m: float
    half_width_m: float
    standing: int
    driving: int


VEHICLES = {
    "car": Vehicle(car, 2.4, 1.0, KIND["car"], KIND["moving-car"]),
    "pick-up": Vehicle(pick_up, 2.8, 1.05, KIND["pick-up"], KIND["pick-up"]),
    "truck": Vehicle(truck, 4.9, 1.35, KIND["truck"], KIND["moving-truck"]),
    "bus": Vehicle(bus, 6.2, 1.4, KIND["bus"], KIND["moving-bus"]),
    "other-vehicle": Vehicle(other_vehicle, 3.6, 1.25, KIND["other-vehicle"], KIND["moving-other-vehicle"]),
}

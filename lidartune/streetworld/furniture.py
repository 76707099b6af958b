"""What stands on a sidewalk: poles, signs, bins, benches, each as labelled parts around its own foot point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.parts import SHINY, Part, near, reflectance
from lidartune.streetworld.shapes import bars, boxes, columns, quads, rings


def pole(rng: np.random.Generator, irregularity: float, height: float = 6.0) -> list[Part]:
    """A lamp post or a thick pole with a foot."""
    radius = near(rng, 0.12, max(irregularity, 0.3), 0.4)
    lean = irregularity * rng.normal(0, 0.1)
    shaft = columns([(0, 0, -0.2)], [(lean, 0, height)], radius * 1.25, radius, sides=7)
    foot = columns([(0, 0, -0.2)], [(0, 0, rng.uniform(0.5, 1.1))], radius * 1.8, radius * 1.6, sides=7)
    arm = bars([(lean, 0, height)], [(lean, 1.8, height + 0.2)], 0.15)
    return [Part(np.concatenate([shaft, foot, arm]), KIND["pole"], reflectance(rng, "metal"))]


def traffic_sign(rng: np.random.Generator, irregularity: float) -> list[Part]:
    """A post with one or two plates that face x: low enough for a scanner that looks little above the horizon."""
    build = rng.choice(3) if rng.random() < irregularity else 2
    size = rng.uniform(0.4, 0.55) if build < 2 else rng.uniform(0.4, 0.6)
    bottom = rng.uniform(1.45, 1.95)
    top = bottom + 2 * size
    if build < 2:
        plate = rings([(0, 0, bottom + size)], size, sides=(12, 3)[build])[:, :, [1, 0, 2]]
    else:
        half = size * (1.0 if irregularity < 0.3 else rng.uniform(0.7, 1.7))
        plate = quads([[(0, -half, bottom), (0, half, bottom), (0, half, top), (0, -half, top)]])
    plate = plate + np.array([0.08, 0, 0])
    tone = reflectance(rng, "sign")
    parts = [
        Part(plate, KIND["traffic-sign"], tone, SHINY),
        Part(columns([(0, 0, -0.2)], [(0, 0, top)], 0.06, 0.06), KIND["pole"], reflectance(rng, "metal")),
    ]
    if rng.random() < 0.4:
        low = bottom - 0.55
        parts.append(Part(plate * [1, 0.9, 0.5] + [0, 0, low - bottom * 0.5], KIND["traffic-sign"], tone, SHINY))
    return parts


def garbage_can(rng: np.random.Generator, irregularity: float) -> list[Part]:
    """A wheeled bin."""
    box = boxes((-0.3, 0.3, -0.3, 0.3, 0, 1.1), (-0.36, 0.36, -0.33, 0.33))
    return [Part(box, KIND["garbage-can"], reflectance(rng, "paint"))]


def electric_box(rng: np.random.Generator, irregularity: float) -> list[Part]:
    """A distribution cabinet."""
    half = near(rng, 0.6, irregularity)
    return [Part(boxes((-half, half, -0.2, 0.2, 0, 1.2)), KIND["electric-box"], reflectance(rng, "metal"))]


def bench(rng: np.random.Generator, irregularity: float) -> list[Part]:
    """A bench with a back."""
    seat = boxes(
        [
            (-0.8, 0.8, -0.22, 0.22, 0.4, 0.48),
            (-0.8, 0.8, 0.2, 0.26, 0.5, 0.9),
            (-0.7, -0.6, -0.2, 0.2, 0, 0.4),
            (0.6, 0.7, -0.2, 0.2, 0, 0.4),
        ]
    )
    return [Part(seat, KIND["bench"], reflectance(rng, "wood"))]


def table_and_chairs(rng: np.random.Generator, irregularity: float) -> list[Part]:
    """A café table and two chairs."""
    table = boxes([(-0.4, 0.4, -0.4, 0.4, 0.7, 0.76), (-0.06, 0.06, -0.06, 0.06, 0, 0.7)])
    chair = boxes([(0.6, 1.0, -0.2, 0.2, 0.4, 0.46), (0.96, 1.0, -0.2, 0.2, 0.46, 0.9)])
    both = np.concatenate([chair, chair * [-1, 1, 1]])
    return [Part(table, KIND["table"], reflectance(rng, "wood")), Part(both, KIND["chair"], reflectance(rng, "wood"))]


def traffic_cone(rng: np.random.Generator, irregularity: float) -> list[Part]:
    """A cone of 0.75 m."""
    return [Part(columns([(0, 0, 0)], [(0, 0, 0.75)], 0.2, 0.03), KIND["traffic-cone"], reflectance(rng, "sign"))]


def kiosk(rng: np.random.Generator, irregularity: float) -> list[Part]:
    """A small structure that is no building: bus shelter or transformer house."""
    shelter = boxes([(-1.6, 1.6, 0.6, 0.7, 0, 2.3), (-1.6, -1.5, -0.5, 0.7, 0, 2.3), (-1.7, 1.7, -0.6, 0.8, 2.3, 2.45)])
    return [Part(shelter, KIND["other-structure"], reflectance(rng, "metal"))]


Maker = Callable[[np.random.Generator, float], list[Part]]
FURNITURE: tuple[Maker, ...] = (garbage_can, electric_box, bench, table_and_chairs, traffic_cone, kiosk)

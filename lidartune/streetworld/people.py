"""Two-wheelers, people, and people on two-wheelers, each as labelled parts around its own foot point (x ahead)."""

from __future__ import annotations

import numpy as np

from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.parts import DARK, Part, near, reflectance
from lidartune.streetworld.shapes import bars, boxes, columns, rings


def _cycle(kind: int, tone: float, radius: float) -> list[Part]:
    hub, bar = 0.52, 1.02
    frame = bars(
        [(-hub, 0, radius), (-0.15, 0, 0.75), (-0.1, 0, radius), (hub, 0, radius), (-0.2, 0, 0.5), (0.38, -0.3, bar)],
        [(-0.15, 0, 0.6), (0.38, 0, 0.8), (0.4, 0, 0.75), (0.36, 0, bar), (-0.2, 0, 0.95), (0.38, 0.3, bar)],
        0.09,
    )
    saddle = boxes((-0.36, -0.1, -0.09, 0.09, 0.92, 1.0))
    wheels = rings([(-hub, 0.0, radius), (hub, 0.0, radius)], radius, 0.62, sides=10)
    spokes = rings([(-hub, 0.01, radius), (hub, 0.01, radius)], radius * 0.3, sides=6)
    return [Part(np.concatenate([frame, saddle, wheels, spokes]), kind, tone)]


def bicycle(rng: np.random.Generator, irregularity: float, kind: int = KIND["bicycle"]) -> list[Part]:
    """A bicycle, 1.7 m long; some with a basket or luggage."""
    parts = _cycle(kind, reflectance(rng, "metal"), near(rng, 0.34, irregularity, 0.1))
    if rng.random() < 0.4:
        parts.append(Part(boxes((0.5, 0.85, -0.18, 0.18, 0.78, 1.02)), kind, reflectance(rng, "metal")))
    if rng.random() < 0.3:
        parts.append(Part(boxes((-0.85, -0.4, -0.22, 0.22, 0.5, 0.85)), kind, reflectance(rng, "cloth")))
    return parts


def motorcycle(rng: np.random.Generator, irregularity: float, kind: int = KIND["motorcycle"]) -> list[Part]:
    """A motorcycle or scooter, about 2.1 m long, bulkier than a bicycle."""
    tone, reach = reflectance(rng, "paint"), near(rng, 0.72, irregularity, 0.1)
    body = boxes(
        [
            (-0.4, 0.4, -0.2, 0.2, 0.28, 0.75),
            (-0.15, 0.35, -0.24, 0.24, 0.7, 1.02),
            (-0.95, -0.05, -0.17, 0.17, 0.7, 0.85),
        ],
        [(-0.35, 0.3, -0.22, 0.22), (0.0, 0.3, -0.15, 0.15), (-0.95, -0.05, -0.17, 0.17)],
    )
    front = bars([(reach, 0, 0.32), (0.45, -0.38, 1.1)], [(0.42, 0, 1.1), (0.45, 0.38, 1.1)], 0.12)
    if irregularity * rng.random() > 0.4:
        front = np.concatenate([front, boxes((0.35, 0.5, -0.25, 0.25, 0.5, 1.3), (0.2, 0.3, -0.2, 0.2))])
    wheels = np.concatenate([rings([(x, y, 0.32)], 0.32, sides=8) for x in (-reach, reach) for y in (-0.07, 0.07)])
    return [Part(np.concatenate([body, front]), kind, tone), Part(wheels, kind, reflectance(rng, "rubber"), DARK)]


def _torso(
    rng: np.random.Generator, kind: int, x: float, seat: float, scale: float, lean: float, reach: float
) -> list[Part]:
    """Trunk, arms and head over a point (x, seat); `reach` > 0 stretches the arms ahead."""
    top, tilt = seat + 0.58 * scale, lean * 0.58 * scale
    half = 0.24 * scale
    trunk = boxes(
        (x - 0.13 * scale, x + 0.13 * scale, -half * 0.85, half * 0.85, seat, top),
        (x + tilt - 0.12 * scale, x + tilt + 0.12 * scale, -half, half),
    )
    swing = 0.0 if reach else rng.uniform(-0.25, 0.25)
    shoulder = [(x + tilt, side * (half + 0.05), top - 0.04) for side in (-1, 1)]
    hand = [
        (
            x + tilt + (reach or side * swing),
            side * (half + (0.0 if reach else 0.1)),
            top - (0.35 if reach else 0.62) * scale,
        )
        for side in (-1, 1)
    ]
    head = columns(
        [(x + tilt, 0, top), (x + tilt, 0, top + 0.15 * scale)],
        [(x + tilt, 0, top + 0.15 * scale), (x + tilt, 0, top + 0.3 * scale)],
        [0.06, 0.115 * scale],
        [0.115 * scale, 0.05],
    )
    cloth = reflectance(rng, "cloth")
    return [
        Part(np.concatenate([trunk, bars(shoulder, hand, 0.13 * scale)]), kind, cloth),
        Part(head, kind, reflectance(rng, "cloth")),
    ]


def person(rng: np.random.Generator, irregularity: float, kind: int = KIND["man"]) -> list[Part]:
    """A standing or walking person; children (by kind) are smaller."""
    scale = 0.68 if kind in (KIND["child"], KIND["walking-child"]) else 1.0
    scale *= near(rng, 1.0, max(irregularity, 0.3), 0.1)
    step = rng.uniform(0, 0.38) * scale
    hip = 0.86 * scale
    thick = 0.095 * scale
    legs = columns(
        [(step, 0.11, 0), (-step, -0.11, 0)],
        [(0, 0.1, hip), (0, -0.1, hip)],
        [thick * 0.8] * 2,
        [thick * 1.2] * 2,
        sides=5,
    )
    parts = [
        Part(legs, kind, reflectance(rng, "cloth")),
        *_torso(rng, kind, 0.0, hip, scale, rng.uniform(0, 0.12), 0.0),
    ]
    if rng.random() < 0.4:
        parts.append(Part(boxes((-0.35, -0.12, -0.17, 0.17, hip + 0.1, hip + 0.5)), kind, reflectance(rng, "cloth")))
    return parts


def bicyclist(rng: np.random.Generator, irregularity: float, kind: int = KIND["moving-bicyclist"]) -> list[Part]:
    """A bicycle with its rider."""
    legs = columns(
        [(0.05, 0.13, 0.15), (0.1, -0.13, 0.4)], [(-0.15, 0.11, 0.98), (-0.15, -0.11, 0.98)], 0.08, 0.11, sides=5
    )
    scale = near(rng, 1.0, max(irregularity, 0.3), 0.08)
    return [
        *bicycle(rng, irregularity, kind),
        Part(legs, kind, reflectance(rng, "cloth")),
        *_torso(rng, kind, -0.2, 0.95, scale, rng.uniform(0.2, 0.6), 0.4),
    ]


def motorcyclist(rng: np.random.Generator, irregularity: float, kind: int = KIND["moving-motorcyclist"]) -> list[Part]:
    """A motorcycle with its rider, knees out and helmet on."""
    legs = columns(
        [(0.1, 0.28, 0.35), (0.1, -0.28, 0.35)], [(-0.2, 0.16, 0.85), (-0.2, -0.16, 0.85)], 0.1, 0.13, sides=5
    )
    scale = near(rng, 1.08, max(irregularity, 0.3), 0.08)
    return [
        *motorcycle(rng, irregularity, kind),
        Part(legs, kind, reflectance(rng, "cloth")),
        *_torso(rng, kind, -0.25, 0.82, scale, rng.uniform(0.25, 0.5), 0.45),
    ]

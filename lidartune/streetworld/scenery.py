"""What lines a street on either side: houses, gardens, fences, hedges, parks, car parks."""

from __future__ import annotations

import numpy as np

from lidartune.streetworld.domains import StreetStyle
from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.mesh import Collector
from lidartune.streetworld.parts import GLASS, reflectance
from lidartune.streetworld.shapes import bars, box_leaves, boxes, columns, leaves, quads


def add_building(
    street: Collector,
    rng: np.random.Generator,
    style: StreetStyle,
    span: tuple[float, float],
    front: float,
    depth: float,
    side: int,
    floor_m: float,
) -> None:
    """A house over x span, its front wall at |y| = front, on the given side of the street (+1 left, -1 right).

    Only its lower floors carry detail: a scanner that looks 3 degrees up sees no more of it.
    """
    x0, x1 = span
    odd = style.irregularity
    height = floor_m + rng.uniform(5, 14)
    base = floor_m - 2.5
    wall, kind = reflectance(rng, "wall"), KIND["building"]

    def block(a: float, b: float, near: float, far: float, low: float, high: float) -> tuple[float, ...]:
        y = sorted((side * near, side * far))
        return (a, b, y[0], y[1], low, high)

    blocks = [block(x0, x1, front, front + depth, base, height)]
    if rng.random() < 0.8 * odd and x1 - x0 > 8:  # a bay or porch before the front
        a = rng.uniform(x0, x1 - 4)
        blocks.append(
            block(
                a,
                a + rng.uniform(1.8, 4),
                front - rng.uniform(0.5, 1.6),
                front + 0.2,
                base,
                floor_m + rng.uniform(2.2, 5),
            )
        )
    if rng.random() < 0.5 * odd:  # a balcony
        a = rng.uniform(x0, x1 - 3)
        blocks.append(block(a, a + 3, front - 1.2, front + 0.1, floor_m + 2.5, floor_m + 3.4))
    if rng.random() < 0.6 * odd:  # a garage beside it, set back
        blocks.append(block(x1, x1 + 3, front + rng.uniform(1, 4), front + depth, base, floor_m + 2.4))
    street.add(boxes(blocks), kind, wall)
    plinth = [block(x0 - 0.04, x1 + 0.04, front - 0.04, front + depth + 0.04, base, floor_m + rng.uniform(0.2, 0.9))]
    street.add(boxes(plinth), kind, reflectance(rng, "concrete"))

    pitch, width, sill = rng.uniform(2.2, 3.6), rng.uniform(0.9, 1.8), floor_m + rng.uniform(0.8, 1.2)
    panes = []
    for low in (sill, sill + 3.0):
        for a in np.arange(x0 + 0.7, x1 - width - 0.3, pitch):
            if rng.random() < 1 - 0.25 * odd:
                y = side * (front - 0.03)
                panes.append([(a, y, low), (a + width, y, low), (a + width, y, low + 1.4), (a, y, low + 1.4)])
        for x in (x0 - 0.03, x1 + 0.03):
            for near in np.arange(front + 1.0, front + depth - 2, 3.2):
                y0, y1 = side * near, side * (near + 1.2)
                panes.append([(x, y0, low), (x, y1, low), (x, y1, low + 1.3), (x, y0, low + 1.3)])
    street.add(quads(panes), kind, reflectance(rng, "glass"), GLASS)
    door = rng.uniform(x0 + 0.5, x1 - 1.5)
    y = side * (front - 0.045)
    street.add(
        quads([[(door, y, base), (door + 1.1, y, base), (door + 1.1, y, floor_m + 2.1), (door, y, floor_m + 2.1)]]),
        kind,
        reflectance(rng, "wood"),
    )


def add_fence(
    street: Collector,
    rng: np.random.Generator,
    style: StreetStyle,
    start: tuple[float, float],
    end: tuple[float, float],
    ground_m: float,
) -> None:
    """A fence between two (x, y) points: panels, boards, pickets, rails or mesh on posts."""
    a, b = np.array(start), np.array(end)
    length = float(np.linalg.norm(b - a))
    if length < 1.5:
        return
    high = rng.uniform(1.2, 1.6) if style.irregularity < 0.3 else rng.uniform(0.9, 2.0)
    kind, tone = KIND["fence"], reflectance(rng, "wood")

    def at(distance: np.ndarray, z: np.ndarray | float) -> np.ndarray:
        flat = a + (b - a) * (distance / length)[:, None]
        return np.column_stack([flat, np.broadcast_to(ground_m + np.asarray(z), len(flat))])

    posts = np.linspace(0, length, max(2, int(length / 2.5) + 1))
    street.add(bars(at(posts, -0.4), at(posts, high + 0.08), 0.12), kind, tone)
    build = rng.choice(4) if rng.random() < style.irregularity else 0
    if build == 0:  # panels with a gap beneath and a rail above
        low, top = np.array([0.0]), np.array([length])
        wall = np.stack([at(low, 0.12), at(top, 0.12), at(top, high - 0.1), at(low, high - 0.1)], axis=1)
        street.add(quads(wall), kind, tone)
    elif build == 1:  # pickets
        pitch = rng.uniform(0.18, 0.3)
        where = np.arange(0, length - 0.1, pitch)
        w = pitch * rng.uniform(0.45, 0.75)
        street.add(
            quads(np.stack([at(where, -0.1), at(where + w, -0.1), at(where + w, high), at(where, high)], axis=1)),
            kind,
            tone,
        )
    elif build == 2:  # rails
        for z in np.linspace(0.3, high - 0.05, 4):
            street.add(bars(at(np.array([0.0]), z), at(np.array([length]), z), 0.16), kind, tone)
    else:  # boards of uneven height, some missing
        where = np.arange(0, length - 0.5, 0.5)
        where = where[rng.random(len(where)) > 0.08]
        tops = high + rng.normal(0, 0.06, len(where))
        street.add(
            quads(np.stack([at(where, -0.1), at(where + 0.46, -0.1), at(where + 0.46, tops), at(where, tops)], axis=1)),
            kind,
            tone,
        )


def add_hedge(
    street: Collector,
    rng: np.random.Generator,
    style: StreetStyle,
    span: tuple[float, float, float, float],
    ground_m: float,
) -> None:
    """A hedge over x0, x1, y0, y1: leaf triangles around a dark core."""
    x0, x1, y0, y1 = span
    high = rng.uniform(1.1, 1.4) if style.irregularity < 0.3 else rng.uniform(0.8, 2.4)
    count = int((x1 - x0) * (2 * high + 0.8) * 11)
    outline = (x0, x1, y0, y1, ground_m, ground_m + high)
    tones = reflectance(rng, "leaf") * np.exp(rng.normal(0, 0.3, count))
    street.add(box_leaves(rng, outline, count, 0.24), KIND["vegetation"], np.clip(tones, 0.01, 0.95))
    core = boxes((x0 + 0.1, x1 - 0.1, y0 + 0.15, y1 - 0.15, ground_m - 0.3, ground_m + high - 0.15))
    street.add(core, KIND["vegetation"], reflectance(rng, "leaf"))


def add_trees(street: Collector, rng: np.random.Generator, style: StreetStyle, feet: np.ndarray) -> None:
    """Trees on `(k, 3)` foot points: trunks and porous crowns that begin 1.7 to 3 m up."""
    k = len(feet)
    if not k:
        return
    odd = style.irregularity
    bottom = 2.0 + odd * rng.uniform(-0.5, 0.9, k)
    radius = rng.uniform(0.12, 0.18, k) * (1 + odd * rng.uniform(-0.3, 0.4, k))
    lean = odd * rng.normal(0, 0.12, (k, 2))
    head = feet + np.column_stack([lean, bottom + 1.2])
    tones = np.repeat([reflectance(rng, "wood") for _ in range(k)], 12)
    street.add(columns(feet - [0, 0, 0.3], head, radius * 1.25, radius * 0.85, 6), KIND["trunk"], tones)
    wide = (1.5 + 0.5 * style.foliage) * (1 + odd * rng.uniform(-0.3, 0.45, k))
    tall = rng.uniform(1.6, 2.6, k)
    centres = feet + np.column_stack([lean, bottom + 0.85 * tall])
    counts = np.round(rng.uniform(90, 140, k) * (0.6 + 0.6 * style.foliage) * (wide / 1.8) ** 2).astype(int)
    triangles = leaves(rng, centres, np.column_stack([wide, wide, tall]), counts, 0.42, 0.45)
    street.add(triangles, KIND["vegetation"], _leaf_tones(rng, counts))


def add_bushes(
    street: Collector, rng: np.random.Generator, style: StreetStyle, feet: np.ndarray, scale: float = 1.0
) -> None:
    """Bushes on `(k, 3)` foot points, 0.5 to 2.5 m high."""
    k = len(feet)
    if not k:
        return
    odd = style.irregularity
    wide = scale * (0.7 + odd * rng.uniform(-0.2, 0.7, k))
    high = scale * (0.6 + odd * rng.uniform(-0.25, 0.7, k))
    counts = np.round(110 * (0.5 + 0.5 * style.foliage) * wide * np.maximum(wide, high)).astype(int) + 12
    radii = np.column_stack([wide, wide * rng.uniform(0.7, 1.2, k), high])
    triangles = leaves(rng, feet + np.column_stack([np.zeros((k, 2)), 0.75 * high]), radii, counts, 0.26, 0.5)
    street.add(triangles, KIND["vegetation"], _leaf_tones(rng, counts))


def _leaf_tones(rng: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    plants = np.array([reflectance(rng, "leaf") for _ in counts])
    return np.clip(np.repeat(plants, counts) * np.exp(rng.normal(0, 0.3, counts.sum())), 0.01, 0.95)

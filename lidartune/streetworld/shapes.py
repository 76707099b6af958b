"""Triangles of simple shapes. A shape is a `(n, 3, 3)` float array: triangle, corner, xyz in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_BOX_QUADS = np.array([(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7)])
_QUAD_TRIANGLES = np.array([(0, 1, 2), (0, 2, 3)])


def quads(corners: ArrayLike) -> Array:
    """Quadrilaterals, `(k, 4, 3)` corners in order around each, as `(2k, 3, 3)` triangles."""
    corners = np.asarray(corners, dtype=np.float64).reshape(-1, 4, 3)
    return corners[:, _QUAD_TRIANGLES].reshape(-1, 3, 3)


def boxes(spans: ArrayLike, tops: ArrayLike | None = None) -> Array:
    """Boxes without their undersides, 10 triangles each: four sides (8 triangles), then the top.

    Args:
        spans: `(k, 6)` x0, x1, y0, y1, z0, z1.
        tops: `(k, 4)` x0, x1, y0, y1 of the upper faces where they differ (slanted sides).
    """
    spans = np.asarray(spans, dtype=np.float64).reshape(-1, 6)
    x0, x1, y0, y1, z0, z1 = spans.T
    top_x0, top_x1, top_y0, top_y1 = (x0, x1, y0, y1) if tops is None else np.asarray(tops, float).reshape(-1, 4).T
    corners = np.stack(
        [
            np.stack([x0, y0, z0], -1),
            np.stack([x1, y0, z0], -1),
            np.stack([x1, y1, z0], -1),
            np.stack([x0, y1, z0], -1),
            np.stack([top_x0, top_y0, z1], -1),
            np.stack([top_x1, top_y0, z1], -1),
            np.stack([top_x1, top_y1, z1], -1),
            np.stack([top_x0, top_y1, z1], -1),
        ],
        axis=1,
    )
    return quads(corners[:, _BOX_QUADS].reshape(-1, 4, 3))


def columns(foot: ArrayLike, head: ArrayLike, foot_radius: ArrayLike, head_radius: ArrayLike, sides: int = 6) -> Array:
    """Upright or leaning round columns between `(k, 3)` foot and head points, `2 * sides` triangles each, open ends."""
    foot, head = np.atleast_2d(np.asarray(foot, float)), np.atleast_2d(np.asarray(head, float))
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], -1)
    low = foot[:, None] + ring * np.broadcast_to(foot_radius, len(foot))[:, None, None]
    high = head[:, None] + ring * np.broadcast_to(head_radius, len(foot))[:, None, None]
    around = np.stack([low, np.roll(low, -1, 1), np.roll(high, -1, 1), high], axis=2)
    return quads(around)


def rings(centres: ArrayLike, outer: ArrayLike, inner: float = 0.0, sides: int = 10) -> Array:
    """Upright flat rings facing y (wheels, round signs): `(k, 3)` centres, inner radius as a share of the outer."""
    centres = np.atleast_2d(np.asarray(centres, float))
    angle = (np.arange(sides) + 0.5) * (2 * np.pi / sides)
    circle = np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], -1)
    radius = np.broadcast_to(outer, len(centres))[:, None, None]
    out = centres[:, None] + circle * radius
    if inner <= 0:
        middle = np.broadcast_to(centres[:, None], out.shape)
        return np.stack([middle, out, np.roll(out, -1, 1)], axis=2).reshape(-1, 3, 3)
    inside = centres[:, None] + circle * radius * inner
    return quads(np.stack([inside, out, np.roll(out, -1, 1), np.roll(inside, -1, 1)], axis=2))


def bars(start: ArrayLike, end: ArrayLike, thickness: float) -> Array:
    """Thin bars between `(k, 3)` points: two crossed strips each (4 triangles), seen from any side."""
    start, end = np.atleast_2d(np.asarray(start, float)), np.atleast_2d(np.asarray(end, float))
    along = end - start
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    reference = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(along, reference)
    first *= 0.5 * thickness / np.linalg.norm(first, axis=1, keepdims=True)
    strips = [
        np.stack([start - side, end - side, end + side, start + side], 1) for side in (first, np.cross(along, first))
    ]
    return quads(np.concatenate(strips))


def leaves(
    rng: np.random.Generator, centres: ArrayLike, radii: ArrayLike, counts: ArrayLike, size_m: float, hollow: float
) -> Array:
    """Random triangles that fill ellipsoids (crowns, bushes): porous to rays, as foliage is.

    Args:
        centres, radii: `(k, 3)`.
        counts: `(k,)` triangles each.
        size_m: spread of a leaf triangle's corners.
        hollow: 0 fills the volume evenly, near 1 puts the leaves at the surface.
    """
    counts = np.asarray(counts, dtype=np.int64)
    total = int(counts.sum())
    direction = rng.standard_normal((total, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    depth = (hollow**3 + (1 - hollow**3) * rng.random((total, 1))) ** (1 / 3)
    middle = np.repeat(np.atleast_2d(np.asarray(centres, float)), counts, axis=0)
    middle = middle + direction * depth * np.repeat(np.atleast_2d(np.asarray(radii, float)), counts, axis=0)
    return middle[:, None] + rng.standard_normal((total, 3, 3)) * (0.6 * size_m)


def box_leaves(rng: np.random.Generator, span: ArrayLike, count: int, size_m: float) -> Array:
    """Random triangles near the surface of a box (x0, x1, y0, y1, z0, z1): a clipped hedge."""
    x0, x1, y0, y1, z0, z1 = np.asarray(span, float)
    unit = rng.random((count, 3))
    face = rng.random(count)
    unit[:, 1] = np.where(face < 0.35, 0.08 * unit[:, 1], np.where(face < 0.7, 1 - 0.08 * unit[:, 1], unit[:, 1]))
    unit[:, 2] = np.where(face > 0.88, 1 - 0.06 * unit[:, 2], unit[:, 2])
    middle = np.array([x0, y0, z0]) + unit * np.array([x1 - x0, y1 - y0, z1 - z0])
    return middle[:, None] + rng.standard_normal((count, 3, 3)) * (0.6 * size_m)


def placed(triangles: Array, x: float, y: float, z: float, yaw: float) -> Array:
    """Triangles turned by yaw (radians, counter-clockwise) and moved."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    out = np.empty_like(triangles)
    out[..., 0] = cos * triangles[..., 0] - sin * triangles[..., 1] + x
    out[..., 1] = sin * triangles[..., 0] + cos * triangles[..., 1] + y
    out[..., 2] = triangles[..., 2] + z
    return out

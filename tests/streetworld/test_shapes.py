"""Triangles of simple shapes."""

from __future__ import annotations

import numpy as np

from lidartune.streetworld.shapes import bars, box_leaves, boxes, columns, leaves, placed, quads, rings


def area(triangles: np.ndarray) -> np.ndarray:
    edges = triangles[:, 1:] - triangles[:, :1]
    return 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)


def test_a_box_has_four_sides_and_a_top() -> None:
    triangles = boxes((0, 2, 0, 3, 1, 5))
    assert triangles.shape == (10, 3, 3)
    assert np.isclose(area(triangles).sum(), 2 * (2 * 4) + 2 * (3 * 4) + 2 * 3)
    assert np.allclose(triangles[8:, :, 2], 5), "the last two triangles are the top"
    assert np.allclose(triangles.min((0, 1)), (0, 0, 1)) and np.allclose(triangles.max((0, 1)), (2, 3, 5))


def test_slanted_sides_end_at_the_given_top() -> None:
    top = boxes((0, 2, 0, 2, 0, 1), (0.5, 1.5, 0.5, 1.5))[8:]
    assert np.isclose(area(top).sum(), 1.0)


def test_a_column_is_closed_around() -> None:
    triangles = columns([(0, 0, 0)], [(0, 0, 2)], 0.5, 0.5, sides=64)
    assert np.isclose(area(triangles).sum(), 2 * np.pi * 0.5 * 2, rtol=1e-2)


def test_a_ring_leaves_its_middle_open() -> None:
    whole, ring = rings([(0, 0, 0)], 1.0, sides=64), rings([(0, 0, 0)], 1.0, 0.5, sides=64)
    assert np.isclose(area(whole).sum(), np.pi, rtol=1e-2)
    assert np.isclose(area(ring).sum(), 0.75 * np.pi, rtol=1e-2)
    assert np.allclose(whole[..., 1], 0)


def test_bars_have_their_thickness_in_any_direction() -> None:
    for end in ((3, 0, 0), (0, 0, 3), (0, 3, 0)):
        assert np.isclose(area(bars([(0, 0, 0)], [end], 0.2)).sum(), 2 * 3 * 0.2)


def test_leaves_fill_their_ellipsoid() -> None:
    rng = np.random.default_rng(0)
    middles = leaves(rng, [(5, 0, 0), (-5, 0, 0)], [(2, 1, 1), (1, 1, 1)], [400, 100], 0.01, 0.4).mean(1)
    assert middles.shape == (500, 3)
    inside = ((middles[:400] - (5, 0, 0)) / (2, 1, 1)) ** 2
    radius = np.sqrt(inside.sum(1))
    assert radius.max() < 1.1 and radius.min() > 0.3
    assert (middles[400:, 0] < -3.8).all()


def test_hedge_leaves_stay_in_their_box() -> None:
    middles = box_leaves(np.random.default_rng(0), (0, 4, -1, 0, 0, 2), 500, 0.01).mean(1)
    assert (middles > (-0.1, -1.1, -0.1)).all() and (middles < (4.1, 0.1, 2.1)).all()


def test_placing_turns_then_moves() -> None:
    triangle = np.array([[(1.0, 0, 0), (0, 1, 0), (0, 0, 1)]])
    assert np.allclose(placed(triangle, 10, 20, 30, np.pi / 2), [[(10, 21, 30), (9, 20, 30), (10, 20, 31)]])


def test_a_quad_is_two_triangles_of_its_corners() -> None:
    assert np.isclose(area(quads([[(0, 0, 0), (2, 0, 0), (2, 1, 0), (0, 1, 0)]])).sum(), 2)

"""The grid that shows a scan as its own sensor took it: a row for each ring, a column for each ray."""

from __future__ import annotations

import numpy as np

from lidartune.canvas import Sensor, ring_numbers
from lidartune.survey.turn import RINGS, Turn, turn_of

HDL_64 = Sensor(64, 2048, 3.0, -25.0)
"""The usual canvas: of every scan that fits it, so that pictures compare, and where the scan does not tell."""
_ALIKE = 0.1  # share by which columns and field of view may differ from the usual canvas


def own_turn(points: np.ndarray) -> Turn:
    """What the points (N, 4) of a scan tell of its sensor."""
    ring = ring_numbers(points)
    usable = ring >= 0
    x, y, z = points[usable, :3].astype(np.float64).T
    return turn_of(ring[usable], np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))))


def own_grid(turn: Turn) -> Sensor | None:
    """The rings and rays of a scan that is stored ring by ring, half a ring step beyond the outer ones; else None."""
    if turn.order != RINGS or not turn.beams or not turn.columns or turn.top_deg is None or turn.bottom_deg is None:
        return None
    margin = (turn.top_deg - turn.bottom_deg) / (turn.beams - 1) / 2
    up, down = round(turn.top_deg + margin, 1), round(turn.bottom_deg - margin, 1)
    return Sensor(turn.beams, turn.columns, min(up, 90.0), max(down, -90.0))


def fits_usual(own: Sensor) -> bool:
    """Whether a scan with this grid looks on HDL_64 as it does on its own."""
    spans = [sensor.fov_up_deg - sensor.fov_down_deg for sensor in (own, HDL_64)]
    inside = HDL_64.fov_up_deg >= own.fov_up_deg and own.fov_down_deg >= HDL_64.fov_down_deg
    columns = abs(own.width - HDL_64.width) <= _ALIKE * HDL_64.width
    return own.height == HDL_64.height and columns and inside and spans[0] >= (1 - 2 * _ALIKE) * spans[1]

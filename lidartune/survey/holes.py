"""When empty pixels alone tell two domains apart: one rule for measured canvases and for the sensors' own rays."""

from __future__ import annotations

APART = 0.05  # shares of empty pixels that differ by more are told apart


def holes_apart(first_fill: float, second_fill: float) -> bool:
    """Whether two shares of filled pixels differ by so much that the empty ones tell the domains apart."""
    return abs(first_fill - second_fill) > APART + 1e-12

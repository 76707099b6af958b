"""Labelled triangles with their look, and the draws that all makers of things share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lidartune.streetworld.shapes import Array

MATTE, GLASS, DARK, SHINY = 0, 1, 2, 3

# centre of a material's reflectance; single objects vary so widely that classes overlap
_REFLECTANCE = {
    "asphalt": 0.14,
    "concrete": 0.27,
    "paving": 0.2,
    "grass": 0.36,
    "leaf": 0.32,
    "wood": 0.22,
    "paint": 0.25,
    "wall": 0.31,
    "metal": 0.2,
    "cloth": 0.23,
    "rubber": 0.08,
    "glass": 0.12,
    "marking": 0.45,
    "sign": 0.55,
}


def reflectance(rng: np.random.Generator, material: str) -> float:
    """A reflectance 0.01..0.95 for one object: four in ten are drawn without regard to its material."""
    if rng.random() < 0.4:
        return float(rng.uniform(0.02, 0.6))
    return float(np.clip(_REFLECTANCE[material] * np.exp(rng.normal(0, 0.5)), 0.01, 0.95))


class Part(NamedTuple):
    """Triangles of one kind, reflectance and finish."""

    triangles: Array
    kind: int
    reflectance: float
    finish: int = MATTE


def near(rng: np.random.Generator, value: float, irregularity: float, spread: float = 0.2) -> float:
    """A value that varies by up to `spread` (relative) where things are irregular."""
    return value * (1 + irregularity * spread * rng.uniform(-1, 1))

"""Gathers labelled parts into the one triangle mesh of a street."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lidartune.streetworld.parts import MATTE, Part
from lidartune.streetworld.shapes import Array, placed


@dataclasses.dataclass(frozen=True)
class Mesh:
    """`n` triangles (n, 3, 3) in metres, and for each its kind, reflectance 0..1, finish and instance (0 = none)."""

    triangles: NDArray[np.float32]
    kind: NDArray[np.uint8]
    reflectance: NDArray[np.float32]
    finish: NDArray[np.uint8]
    instance: NDArray[np.uint32]


class Collector:
    """Parts of a street, in street coordinates: x along it, y to its left, z up."""

    def __init__(self) -> None:
        self._triangles: list[Array] = []
        self._columns: list[tuple[ArrayLike, ArrayLike, ArrayLike, int]] = []
        self._instances = 0

    def add(
        self, triangles: Array, kind: ArrayLike, reflectance: ArrayLike, finish: ArrayLike = MATTE, instance: int = 0
    ) -> None:
        """Triangles where they stand; kind, reflectance and finish for all of them, or one each."""
        if len(triangles):
            self._triangles.append(triangles)
            self._columns.append((kind, reflectance, finish, instance))

    def place(self, parts: Iterable[Part], x: float, y: float, z: float, yaw: float = 0.0) -> None:
        """One object, given around its foot point, as a new instance."""
        self._instances += 1
        for part in parts:
            self.add(placed(part.triangles, x, y, z, yaw), part.kind, part.reflectance, part.finish, self._instances)

    def mesh(self) -> Mesh:
        """All of it as arrays."""
        sizes = [len(triangles) for triangles in self._triangles]
        ends = np.cumsum(sizes)
        arrays = (
            np.empty(ends[-1], np.uint8),
            np.empty(ends[-1], np.float32),
            np.empty(ends[-1], np.uint8),
            np.empty(ends[-1], np.uint32),
        )
        for end, size, columns in zip(ends, sizes, self._columns, strict=True):
            for array, value in zip(arrays, columns, strict=True):
                array[end - size : end] = value
        return Mesh(np.concatenate(self._triangles).astype(np.float32), *arrays)

"""What a street world is made from."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

from lidartune.errors import UserError

WORLD_VERSION = 1
"""Raised whenever the same spec would give other bytes."""

DOMAINS = ("synthetic", "real")
SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """What a world is made from. Counts are sequences: each is a street of its own with `scans_per_sequence` scans.

    Attributes:
        geometry_gap, sensor_gap: 0..1, how far the real domain's streets and scanner depart from the synthetic ones.
        beams, columns: rays per turn, over +3 to -25 degrees; the real scanner takes slightly more columns.

    Raises:
        UserError: a value out of its range.
    """

    seed: int = 0
    geometry_gap: float = 1.0
    sensor_gap: float = 1.0
    beams: int = 32
    columns: int = 1024
    scans_per_sequence: int = 4
    synthetic_train: int = 24
    synthetic_validation: int = 2
    synthetic_test: int = 6
    real_train: int = 12
    real_validation: int = 2
    real_test: int = 6

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "seed": (0, 2**63 - 1),
            "geometry_gap": (0, 1),
            "sensor_gap": (0, 1),
            "beams": (4, 128),
            "columns": (32, 8192),
            "scans_per_sequence": (1, 64),
        }
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            low, high = ranges.get(field.name, (1, 999))
            whole = field.name not in ("geometry_gap", "sensor_gap")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high or (whole and not isinstance(value, int)):
                raise UserError(
                    "this street world cannot be built",
                    where=field.name,
                    found=repr(value),
                    wanted=f"{'a whole number' if whole else 'a number'} from {low} to {high}",
                )

    @property
    def digest(self) -> str:
        """Names the world: equal specs of one WORLD_VERSION have equal digests, others not."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values |= {"geometry_gap": float(self.geometry_gap), "sensor_gap": float(self.sensor_gap)}
        text = json.dumps({"world_version": WORLD_VERSION, **values}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def splits(self) -> dict[str, dict[str, list[int]]]:
        """Sequence numbers: {domain: {train, validation, test: [...]}}, counted upward from 0 in each domain."""
        out: dict[str, dict[str, list[int]]] = {}
        for domain in DOMAINS:
            ends = np.cumsum([0] + [getattr(self, f"{domain}_{split}") for split in SPLITS])
            out[domain] = {s: list(range(int(a), int(b))) for s, a, b in zip(SPLITS, ends[:-1], ends[1:], strict=True)}
        return out

"""What a run is: everything that can change its result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from lidartune.canvas import Sensor
from lidartune.training.recipe import FreezePolicy, Recipe

SEMANTICS = 1
"""Raised whenever the same spec would give another result; tests/runs/test_golden.py goes red when it should be."""

Domain = Literal["synthetic", "real"]
DOMAINS: tuple[Domain, Domain] = ("synthetic", "real")


@dataclass(frozen=True, kw_only=True)
class Start:
    """The milestone a run begins with: an epoch of another run."""

    run: str
    epoch: int


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One training trajectory on one domain. How long it goes on is not part of it: see (run, epoch).

    `train`, `validation` and `test` are fingerprints: of the run's own training scans, and of the scans of both
    domains that score it. `block` test scans are scored together. `taxonomies` are the digests of the label maps.
    No path, host or time is in here.
    """

    domain: Domain
    start: Start | None
    backbone: str
    channels: float
    canvas: Sensor
    recipe: Recipe
    freeze: FreezePolicy
    labelled_scans: int | Literal["all"]
    seed: int
    train: str
    validation: dict[str, str]
    test: dict[str, str]
    block: int
    taxonomies: dict[str, str]
    semantics: int = SEMANTICS

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunSpec:
        start = values["start"]
        return cls(
            **{
                **values,
                "start": Start(**start) if start else None,
                "canvas": Sensor(**values["canvas"]),
                "recipe": Recipe(**values["recipe"]),
            }
        )

    @cached_property
    def id(self) -> str:
        """12 hexadecimal digits of the canonical JSON's SHA-256."""
        canonical = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """What a person reads: backbone, canvas width, stages, seed.

        `squeezesegv2-512-synthetic-3ep-real-8scans-encoder-seed0` starts from 3 epochs of synthetic scans and goes on
        with 8 labelled real ones, its encoder frozen.
        """
        stages = [self.domain] + ([f"{self.labelled_scans}scans"] if self.labelled_scans != "all" else [])
        if self.start:
            before = self.start.run.removeprefix(f"{self.backbone}-{self.canvas.width}-").partition("-seed")[0]
            stages = [before, f"{self.start.epoch}ep", *stages, self.freeze]
        return "-".join([self.backbone, str(self.canvas.width), *stages, f"seed{self.seed}"])

    @property
    def folder(self) -> str:
        """The run's folder under `results/runs`, by which other runs and tables refer to it."""
        return f"{self.name}-{self.id}"

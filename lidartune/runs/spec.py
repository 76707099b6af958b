"""What a run is: everything that can change its result, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import Field, asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic.fields import FieldInfo

from lidartune.backbones.names import CANVAS_CHANNELS
from lidartune.canvas import Sensor
from lidartune.scans.classes import NUM_CLASSES
from lidartune.training.adapt.model import Adaptation
from lidartune.training.joint import Joint
from lidartune.training.recipe import FreezePolicy, Recipe

SEMANTICS = 1
"""Raised whenever the same spec would give another result; tests/runs/test_golden.py goes red when it should be.

Changing the default of a recipe's field is such a case: ids leave out what is at its default, so the same id would
stand for another run. A new field with a default that changes nothing is not, and stored runs keep their ids.
"""

Domain = Literal["synthetic", "real"]
DOMAINS: tuple[Domain, Domain] = ("synthetic", "real")
UNLABELLED = "points-"
"""How a fingerprint begins that was taken of scans without their labels."""


def other_domain(domain: Domain) -> Domain:
    """`real` of `synthetic`, and the other way round."""
    return "real" if domain == "synthetic" else "synthetic"


@dataclass(frozen=True, kw_only=True)
class Start:
    """The milestone a run begins with: an epoch of another run."""

    run: str
    epoch: int


@dataclass(frozen=True, kw_only=True)
class NetworkForm:
    """What a network is beyond its backbone's name and `channels`, as `lidartune.backbones.build` takes it."""

    num_classes: int = NUM_CLASSES
    inputs: tuple[str, ...] = CANVAS_CHANNELS
    output_stride: int | None = None
    circular: bool = False
    crf: bool = False

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkForm:
        return cls(**{**values, "inputs": tuple(values["inputs"])})


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network that no run here has trained: the SHA-256 of its weights, and the normalisation they expect."""

    weights: str
    means: tuple[float, ...]
    stds: tuple[float, ...]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Imported:
        return cls(weights=values["weights"], means=tuple(values["means"]), stds=tuple(values["stds"]))


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One training trajectory on one domain. How long it goes on is not part of it: see (run, epoch).

    `train`, `validation` and `test` are fingerprints: of the run's own training scans, and of the scans of both
    domains that score it. `block` test scans are scored together. `taxonomies` are the digests of the label maps.
    No path, host or time is in here.

    `other` is the fingerprint of the other domain's training scans (all of them) where the run sees those too, else
    "". One that begins with `points-` (`UNLABELLED`) is of the points alone: the run never reads those scans' labels.

    `adaptation` is what is done without an update to the milestone that the run starts from: a run of one epoch, 0, on
    the domain that the milestone was trained on, adapted to the `other` one.

    `joint` is what a run on both domains takes from the other one (lidartune/training/joint.py).

    An `imported` network is a run of one epoch, 0, which is scored but never trained: `train` then says "imported",
    `domain` on which of the two it counts as trained, and recipe and seed say nothing.
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
    network: NetworkForm = NetworkForm()
    imported: Imported | None = None
    other: str = ""
    adaptation: Adaptation | None = None
    joint: Joint | None = None
    semantics: int = SEMANTICS

    def as_dict(self) -> dict[str, Any]:
        """All of it, defaults too, as spec.json holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunSpec:
        start, network, imported = values["start"], values.get("network"), values.get("imported")
        adaptation, joint = values.get("adaptation"), values.get("joint")
        return cls(
            **{
                **values,
                "start": Start(**start) if start else None,
                "canvas": Sensor(**values["canvas"]),
                "recipe": Recipe(**values["recipe"]),
                "network": NetworkForm.from_dict(network) if network else NetworkForm(),
                "imported": Imported.from_dict(imported) if imported else None,
                "adaptation": Adaptation(**adaptation) if adaptation else None,
                "joint": Joint(**joint) if joint else None,
            }
        )

    @cached_property
    def id(self) -> str:
        """12 hexadecimal digits of the SHA-256 over the canonical JSON of all but fields at their defaults."""
        values = _stated(self) | {"semantics": self.semantics}
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """What a person reads: backbone, canvas width, stages, seed.

        `squeezesegv2-512-synthetic-3ep-real-8scans-encoder-seed0` starts from 3 epochs of synthetic scans and goes on
        with 8 labelled real ones, its encoder frozen. `squeezesegv2-512-imported-3f9a61c2` is an imported network with
        these weights; `squeezesegv2-512-imported-3f9a61c2-real-8scans-none-seed0` goes on from it.
        `squeezesegv2-512-synthetic-3ep-adapted-adabn-seed0` is those 3 epochs, adapted.
        """
        if self.imported is not None:
            return f"{self.backbone}-{self.canvas.width}-imported-{self.imported.weights[:8]}"
        stages = [self.domain] + ([f"{self.labelled_scans}scans"] if self.labelled_scans != "all" else [])
        stages += [self.joint.word] if self.joint else []
        ends = ["adapted", self.adaptation.word] if self.adaptation else [*stages, self.freeze]
        if self.start:
            before = self.start.run.removeprefix(f"{self.backbone}-{self.canvas.width}-").partition("-seed")[0]
            imported = re.fullmatch(r"(imported-[0-9a-f]{8})-[0-9a-f]{12}", before)  # no epochs of it are known
            stages = [*([imported[1]] if imported else [before, f"{self.start.epoch}ep"]), *ends]
        return "-".join([self.backbone, str(self.canvas.width), *stages, f"seed{self.seed}"])

    @property
    def folder(self) -> str:
        """The run's folder under `results/runs`, by which other runs and tables refer to it."""
        return f"{self.name}-{self.id}"


def _stated(value: Any) -> Any:
    """A dataclass as plain values without the fields that are at their defaults, also inside its fields."""
    if not is_dataclass(value):
        return value
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {field.name: _stated(found[field.name]) for field in fields(value) if found[field.name] != default_of(field)}


def default_of(field: Field[Any]) -> Any:
    """The default of a dataclass's field; MISSING where it has none."""
    return field.default.default if isinstance(field.default, FieldInfo) else field.default

"""A whole study as frozen values: what a YAML under study/ may say, and the defaults."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, StrictBool, StrictInt, TypeAdapter
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from lidartune.backbones.names import STRIDES
from lidartune.canvas.projection import Rows
from lidartune.config.space import laid_over
from lidartune.runs.spec import Domain, NetworkForm
from lidartune.scans.splits import scans_in
from lidartune.training.adapt.ladder import LADDER
from lidartune.training.policies import FreezePolicy
from lidartune.training.presets import expanded
from lidartune.training.recipe import Recipe

STRICT = ConfigDict(extra="forbid")


def _sequence_name(value: object) -> object:
    """`8`, `08` and `"08"` name the same sequence."""
    return f"{int(str(value)):02d}" if re.fullmatch(r"\d+", str(value)) else value


def _listed(value: object) -> object:
    """A single value stands for a list of one."""
    return [value] if isinstance(value, str | int) else value


def _labelled(value: object) -> int | str:
    """A number of scans, `all`, or a share such as `10%`."""
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    try:
        share = str(value).replace(" ", "")
        scans_in(share, 1)
    except ValueError:
        wanted = "a number of scans from 1, a share above 0% and at most 100%, or all"
        raise PydanticCustomError("labelled_scans", wanted) from None
    return share


def _pretraining(value: object) -> int | str:
    """A number of epochs, or `checkpoint`."""
    if value == "checkpoint" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise PydanticCustomError("pretrain_epochs", "a number of epochs from 0, or checkpoint")


def _rungs(value: object) -> object:
    """`all` stands for every rung of the ladder."""
    return tuple(LADDER) if value in ("all", ["all"]) else _listed(value)


ChannelFactor = Annotated[float, Field(gt=0, le=16)]
LabelledScans = Annotated[int | str, PlainValidator(_labelled)]
Pretraining = int | Literal["checkpoint"]
OneOrMore = BeforeValidator(_listed)
SequenceName = Annotated[str, BeforeValidator(_sequence_name), Field(pattern=r"^\d\d+$")]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Splits:
    """Sequences by what they are for."""

    train: tuple[SequenceName, ...] = Field(min_length=1)
    validation: tuple[SequenceName, ...] = Field(min_length=1)
    test: tuple[SequenceName, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DomainConfig:
    """Where a domain's scans are. Without root and splits it is the built-in street world."""

    taxonomy: str
    root: str | None = None
    splits: Splits | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Domains:
    synthetic: DomainConfig = DomainConfig(taxonomy="synlidar")
    real: DomainConfig = DomainConfig(taxonomy="semantic-kitti")

    def __getitem__(self, domain: Domain) -> DomainConfig:
        return getattr(self, domain)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CanvasConfig:
    """The canvas but for its width, which is an axis of the grid. `rows: ring` is for files stored ring by ring."""

    height: int = Field(default=64, ge=8, le=256)
    fov_up_deg: float = 3.0
    fov_down_deg: float = -25.0
    rows: Rows = "elevation"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkConfig:
    """What the networks are beyond backbone and `channels`. What is not stated is the published network's, or the
    checkpoint's where the backbone has one.

    `inputs` are taken in this order out of range, x, y, z, remission and mask. `crf` adds SqueezeSeg's conditional
    random field, `circular` joins the first and the last column, `output_stride` is by what factor the width narrows.
    """

    inputs: Annotated[tuple[str, ...], OneOrMore] | None = None
    crf: StrictBool | None = None
    circular: StrictBool | None = None
    output_stride: StrictInt | None = None

    def stated(self) -> dict[str, Any]:
        """What the study says of them, and nothing else."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Grid:
    """The axes of the study; every combination is a cell.

    `pretrain_epochs` are epochs on the synthetic domain, 0 for none, or `checkpoint`: the network that `checkpoints`
    names for the backbone. `labelled_scans` are numbers of real training scans, shares of them (`10%`) or `all`.
    """

    backbone: Annotated[tuple[str, ...], OneOrMore] = ("squeezesegv2",)
    width: Annotated[tuple[Annotated[int, Field(ge=32, le=8192)], ...], OneOrMore] = (2048,)
    pretrain_epochs: Annotated[tuple[Annotated[Pretraining, PlainValidator(_pretraining)], ...], OneOrMore] = (0, 25)
    freeze: Annotated[tuple[FreezePolicy, ...], OneOrMore] = ("none",)
    labelled_scans: Annotated[tuple[LabelledScans, ...], OneOrMore] = ("all",)
    seed: Annotated[tuple[Annotated[int, Field(ge=0)], ...], OneOrMore] = (0, 1, 2)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Space:
    """What a search draws beside the grid's axes: recipe fields, each from a list or a range {low, high, log}.

    `finetuning` are fields of the runs on real scans, `pretraining` those of the synthetic runs that others start
    from, and lists only. `start.head` names a field inside a field.
    """

    finetuning: dict[str, Any] = Field(default_factory=dict)
    pretraining: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Judged:
    """The end of a search: its `best` cells and the study's own recipe, trained anew on `seeds` that chose nothing."""

    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=3)]
    best: int = Field(default=1, ge=1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Search:
    """`grid` runs every cell. `tpe` and `random` draw `trials` points: a cell, on all seeds, with what `space` changes.

    Points are chosen by the real domain's validation score. With `judged` a point is trained to its own end only and
    scored on no test scan; without, every point has its references and is in the tables. `scheduler: asha` stops
    points by their first seed's score after `grace_epochs` epochs of fine-tuning, then after `reduction_factor` times
    as many, and so on; about one in `reduction_factor` goes on.
    """

    sampler: Literal["grid", "tpe", "random"] = "grid"
    trials: int | None = Field(default=None, ge=1)
    seed: int = 0
    space: Space = Space()
    scheduler: Literal["none", "asha"] = "none"
    grace_epochs: int = Field(default=1, ge=1)
    reduction_factor: int = Field(default=3, ge=2)
    judged: Judged | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scoring:
    """Scans that are scored: a fixed spread of the validation scans each epoch, the test scans at the wanted epochs."""

    validation_scans: int | None = Field(default=32, ge=1)
    test_scans: int | None = Field(default=None, ge=1)
    block: int = Field(default=8, ge=1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Resources:
    """What one trial gets, how many run at once (default: as many as fit), and how much memory its scans may take.

    `memory_gib_per_trial` stands in for the estimate of how much memory of its machine a trial takes in all.
    """

    cpus_per_trial: int = Field(default=1, ge=1)
    gpus_per_trial: float = Field(default=0, ge=0)
    trials_at_once: int | None = Field(default=None, ge=1)
    scan_memory_gib: float = Field(default=2.0, gt=0)
    reader_threads: int = Field(default=1, ge=1)
    memory_gib_per_trial: float | None = Field(default=None, gt=0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyConfig:
    """A whole study, as `study/*.yaml` states it.

    `ladder` names rungs of lidartune/training/adapt/ladder.py, or is `all`: what each brings to networks that are
    pretrained here, before a real label is used.
    `checkpoints` holds folders of imported runs by backbone, from which cells with `pretrain_epochs: checkpoint` start.
    All runs of such a backbone then are networks of the checkpoint's kind: its input channels, output stride and CRF.
    What `network` states must then be true of the checkpoint. `channels` scales every layer's channels (1.0: the
    published networks), `channels_by_backbone` those of some.
    `recipe` holds a Recipe's fields, and may name a `preset` that they lie over (lidartune/training/presets.py). Laid
    over it in this order, `recipe_by_backbone`, `recipe_by_domain` and `recipe_second_stage` change some of them for
    one backbone, for runs on one domain and for runs that start from a milestone; a value with keys of its own, such as
    `augmentation`, `loss` or `start`, stated there stands for all of it. `notes` are printed above every table.
    """

    name: str
    domains: Domains = Domains()
    world: dict[str, Any] = Field(default_factory=dict)
    canvas: CanvasConfig = CanvasConfig()
    grid: Grid = Grid()
    search: Search = Search()
    ladder: Annotated[tuple[str, ...], BeforeValidator(_rungs)] = ()
    checkpoints: dict[str, str] = Field(default_factory=dict)
    finetune_epochs: int = Field(default=50, ge=1)
    channels: ChannelFactor = 1.0
    channels_by_backbone: dict[str, ChannelFactor] = Field(default_factory=dict)
    network: NetworkConfig = NetworkConfig()
    recipe: dict[str, Any] = Field(default_factory=dict)
    recipe_by_backbone: dict[str, dict[str, Any]] = Field(default_factory=dict)
    recipe_by_domain: dict[Domain, dict[str, Any]] = Field(default_factory=dict)
    recipe_second_stage: dict[str, Any] = Field(default_factory=dict)
    scoring: Scoring = Scoring()
    resources: Resources = Resources()
    notes: tuple[str, ...] = ()

    def recipe_for(
        self,
        backbone: str,
        domain: Domain,
        *,
        second_stage: bool,
        updates_per_epoch: int,
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> Recipe:
        """The recipe of a run; `updates_per_epoch` holds where the study does not state its own.

        Args:
            changes: single fields that a search has drawn for it, over all else.
        """
        values: dict[str, Any] = {"updates_per_epoch": updates_per_epoch}
        layers = [self.recipe, self.recipe_by_backbone.get(backbone, {}), self.recipe_by_domain.get(domain, {})]
        for layer in [*layers, *([self.recipe_second_stage] if second_stage else [])]:
            length = layer.get("updates_per_epoch", values["updates_per_epoch"])
            values |= expanded(layer, length, backbone=backbone)
        return Recipe(**laid_over(values, changes))

    def network_for(self, backbone: str) -> NetworkForm:
        """What `network` says of a backbone's networks; a published value is as good as none, so ids are the same."""
        stated = self.network.stated()
        if stated.get("output_stride") == STRIDES[backbone]:
            del stated["output_stride"]
        return NetworkForm(**stated)


ADAPTER = TypeAdapter(StudyConfig)  # once: making it costs more than all it checks


def as_dict(config: StudyConfig) -> dict[str, Any]:
    """The study as plain values, for its record and for the workers."""
    return dataclasses.asdict(config)


def from_dict(values: dict[str, Any]) -> StudyConfig:
    return ADAPTER.validate_python(values)



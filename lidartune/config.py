"""The study's YAML: read, checked and frozen. A wrong key or value is one message that names it."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from lidartune.backbones.names import STRIDES
from lidartune.errors import UserError, nearest
from lidartune.runs.spec import DOMAINS, Domain
from lidartune.scans.document import parse_document, read_document, shown
from lidartune.scans.splits import scans_in
from lidartune.training.policies import FreezePolicy, why_impossible
from lidartune.training.recipe import RECIPE_FIELDS, Recipe

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
    """The canvas but for its width, which is an axis of the grid."""

    height: int = Field(default=64, ge=8, le=256)
    fov_up_deg: float = 3.0
    fov_down_deg: float = -25.0


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
class Search:
    """`grid` runs every cell; `tpe` draws `trials` of them, each on all seeds, by the real validation score."""

    sampler: Literal["grid", "tpe"] = "grid"
    trials: int | None = Field(default=None, ge=1)
    seed: int = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scoring:
    """Scans that are scored: a fixed spread of the validation scans each epoch, the test scans at the wanted epochs."""

    validation_scans: int | None = Field(default=32, ge=1)
    test_scans: int | None = Field(default=None, ge=1)
    block: int = Field(default=8, ge=1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Resources:
    """What one trial gets, how many run at once (default: as many as fit), and how much memory its scans may take."""

    cpus_per_trial: int = Field(default=1, ge=1)
    gpus_per_trial: float = Field(default=0, ge=0)
    trials_at_once: int | None = Field(default=None, ge=1)
    scan_memory_gib: float = Field(default=2.0, gt=0)
    reader_threads: int = Field(default=1, ge=1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyConfig:
    """A whole study, as `study/*.yaml` states it.

    `checkpoints` holds folders of imported runs by backbone, from which cells with `pretrain_epochs: checkpoint` start.
    All runs of such a backbone then are networks of the checkpoint's kind: its input channels, output stride and CRF.
    `channels` scales every layer's channels (1.0: the published networks), `channels_by_backbone` those of some.
    `recipe` holds a Recipe's fields. Laid over it in this order, `recipe_by_backbone`, `recipe_by_domain` and
    `recipe_second_stage` change some of them for one backbone, for runs on one domain and for runs that start from a
    milestone; an `augmentation` or `group_learning_rates` stated there stands for all of it. `notes` are printed above
    every table.
    """

    name: str
    domains: Domains = Domains()
    world: dict[str, Any] = Field(default_factory=dict)
    canvas: CanvasConfig = CanvasConfig()
    grid: Grid = Grid()
    search: Search = Search()
    checkpoints: dict[str, str] = Field(default_factory=dict)
    finetune_epochs: int = Field(default=50, ge=1)
    channels: ChannelFactor = 1.0
    channels_by_backbone: dict[str, ChannelFactor] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    recipe_by_backbone: dict[str, dict[str, Any]] = Field(default_factory=dict)
    recipe_by_domain: dict[Domain, dict[str, Any]] = Field(default_factory=dict)
    recipe_second_stage: dict[str, Any] = Field(default_factory=dict)
    scoring: Scoring = Scoring()
    resources: Resources = Resources()
    notes: tuple[str, ...] = ()

    def recipe_for(self, backbone: str, domain: Domain, *, second_stage: bool, updates_per_epoch: int) -> Recipe:
        """The recipe of a run; `updates_per_epoch` holds where the study does not state its own."""
        values = {"updates_per_epoch": updates_per_epoch} | self.recipe
        values |= self.recipe_by_backbone.get(backbone, {}) | self.recipe_by_domain.get(domain, {})
        return Recipe(**(values | (self.recipe_second_stage if second_stage else {})))


ADAPTER = TypeAdapter(StudyConfig)  # once: making it costs more than all it checks


def load_config(
    path: Path, *, settings: Sequence[str] = (), synthetic: str | None = None, real: str | None = None
) -> StudyConfig:
    """Reads a study's YAML, with single values replaced.

    Args:
        path: the YAML file.
        settings: `a.b=c` each; `c` is read as YAML.
        synthetic, real: dataset folders. Without splits in the file they come from the taxonomy's published ones.

    Raises:
        UserError: naming the file, the key, what was found and what was wanted.
    """
    values = _read_yaml(path)
    for domain, folder in (("synthetic", synthetic), ("real", real)):
        if folder is not None:
            entry = _child(_child(values, "domains", path), domain, path)
            entry["root"] = str(Path(folder).expanduser().absolute())
            entry.setdefault("taxonomy", {"synthetic": "synlidar", "real": "semantic-kitti"}[domain])
    for setting in settings:
        _replace(values, setting, path)
    source = f"{path} with --set {' --set '.join(settings)}" if settings else str(path)
    config = _validated(values, source)
    _check(config, source)
    return config


def as_dict(config: StudyConfig) -> dict[str, Any]:
    """The study as plain values, for its record and for the workers."""
    return dataclasses.asdict(config)


def from_dict(values: dict[str, Any]) -> StudyConfig:
    return ADAPTER.validate_python(values)


def _read_yaml(path: Path) -> dict[str, Any]:
    values = read_document(path, "the study")
    if not isinstance(values, dict):
        raise UserError(
            "the study is not a mapping",
            where=path,
            found=type(values).__name__,
            wanted="key: value",
            do="compare it with study/demo.yaml",
        )
    return values


def _child(values: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    if not isinstance(values.setdefault(key, {}), dict):
        raise UserError(
            "a setting is not a mapping", where=f"{path}: {key}", found=shown(values[key]), do="put its keys below it"
        )
    return values[key]


def _replace(values: dict[str, Any], setting: str, path: Path) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise UserError("--set takes key=value", found=setting, do="write it as in --set grid.width=[512,1024]")
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = _child(values, parent, path)
    values[last] = parse_document(text, f"--set {key}")


def _validated(values: dict[str, Any], path: str) -> StudyConfig:
    try:
        return ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise _explained(first, path, StudyConfig) from None


def _explained(error: Any, path: str, model: type, prefix: str = "") -> UserError:
    """A validation error as one message; an unknown key names its nearest neighbour."""
    keys = [part if isinstance(part, str) and len(part) < 40 else shown(part) for part in error["loc"]]
    keys = [key for key in keys if key != "[key]"]
    where = f"{path}: {prefix}{'.'.join(keys)}"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(_model_at(model, keys[:-1]))]
        return UserError("unknown key", where=where, found=keys[-1], do=nearest(keys[-1], known))
    if error["type"] in ("missing", "missing_argument"):
        return UserError("a key is missing", where=where, do=f"add {keys[-1]}")
    return UserError(
        "a value does not fit", where=where, found=shown(error["input"]), wanted=error["msg"], do="mend this value"
    )


def _model_at(model: Any, keys: list[str]) -> Any:
    """The dataclass that holds the keys at this place of the configuration."""
    for key in keys:
        hint = get_type_hints(model)[key]
        model = next(found for found in (hint, *get_args(hint)) if dataclasses.is_dataclass(found))
    return model


def _check(config: StudyConfig, path: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", config.name) or ".." in config.name:
        raise UserError(
            "the study's name cannot be a folder's name",
            where=f"{path}: name",
            found=shown(config.name),
            wanted="letters, digits, '.', '_' and '-', at most 64, beginning with a letter or digit",
            do="choose another name",
        )
    if config.name == "runs":
        raise UserError("the name 'runs' is taken by the store", where=f"{path}: name", do="choose another name")
    named = {"grid.backbone": config.grid.backbone}
    named |= {key: tuple(getattr(config, key)) for key in ("recipe_by_backbone", "channels_by_backbone", "checkpoints")}
    for key, backbones in named.items():
        for backbone in backbones:
            if backbone not in STRIDES:
                raise UserError(
                    "unknown backbone", where=f"{path}: {key}", found=shown(backbone), do=nearest(backbone, STRIDES)
                )
    for backbone in config.grid.backbone:
        for width in config.grid.width:
            if width % STRIDES[backbone]:
                raise UserError(
                    f"{backbone} cannot take this canvas width",
                    where=f"{path}: grid.width",
                    found=width,
                    wanted=f"a multiple of {STRIDES[backbone]}",
                    do=f"use {max(1, round(width / STRIDES[backbone])) * STRIDES[backbone]}",
                )
    for axis in dataclasses.fields(config.grid):
        values = getattr(config.grid, axis.name)
        if not values or len(set(values)) != len(values):
            raise UserError(
                "an axis of the grid is empty or names a value twice",
                where=f"{path}: grid.{axis.name}",
                found=shown(list(values)),
                do="name each value once",
            )
    _check_checkpoints(config, path)
    grid = config.grid
    settings = itertools.product(grid.backbone, grid.pretrain_epochs, grid.freeze)
    reasons = list(dict.fromkeys(why_impossible(*setting) for setting in settings))
    if None not in reasons:
        raise UserError(
            "the grid has no cells",
            where=f"{path}: grid",
            found=f"pretrain_epochs {list(grid.pretrain_epochs)} with freeze {list(grid.freeze)}: "
            + "; ".join(map(str, reasons)),
            do="add none to freeze",
        )
    gpus = config.resources.gpus_per_trial
    if gpus > 1 and gpus != int(gpus):
        raise UserError(
            "a trial takes a part of one GPU, or whole ones",
            where=f"{path}: resources",
            found=gpus,
            do="set gpus_per_trial to a part of 1, or to a whole number",
        )
    if config.search.sampler == "tpe" and config.search.trials is None:
        raise UserError("search.trials is missing", where=f"{path}: search", do="add how many cells `tpe` draws")
    if config.canvas.fov_up_deg <= config.canvas.fov_down_deg:
        raise UserError(
            "the field of view is upside down",
            where=f"{path}: canvas",
            found=f"up {config.canvas.fov_up_deg}, down {config.canvas.fov_down_deg}",
            wanted="fov_up_deg above fov_down_deg, both in degrees above the horizon",
            do="mend the sign or the order",
        )
    for domain in DOMAINS:
        check_splits(config.domains[domain].splits, f"{path}: domains.{domain}.splits")
    _check_recipes(config, path)


def _check_checkpoints(config: StudyConfig, path: str) -> None:
    asked = "checkpoint" in config.grid.pretrain_epochs
    if config.checkpoints and not asked:
        raise UserError(
            "checkpoints are named, but no cell starts from one",
            where=f"{path}: grid.pretrain_epochs",
            found=list(config.grid.pretrain_epochs),
            do="add checkpoint to it",
        )
    if asked and not set(config.checkpoints) & set(config.grid.backbone):
        backbone = config.grid.backbone[0]
        raise UserError(
            "cells are to start from a checkpoint, but none is named for any backbone of the grid",
            where=f"{path}: checkpoints",
            found=sorted(config.checkpoints) or "nothing",
            wanted="a folder that `lidartune import-bonnetal` wrote",
            do=f"for example --set checkpoints.{backbone}=results/runs/imported-{backbone}-...",
        )


def check_splits(splits: Splits | None, where: str, *, choosing: bool = True) -> None:
    """Refuses a sequence that is in two splits: its scans would be trained on and scored.

    Args:
        choosing: whether validation must differ from test, as it must where anything is chosen by it.
    """
    if splits is None:
        return
    pairs = [("train", "validation"), ("train", "test")] + ([("validation", "test")] if choosing else [])
    for one, other in pairs:
        shared = sorted(set(getattr(splits, one)) & set(getattr(splits, other)))
        if shared:
            raise UserError(
                f"the {one} and {other} splits overlap",
                where=where,
                found=f"sequences {', '.join(shared)} in both",
                do="give each sequence to one split",
            )


def _check_recipes(config: StudyConfig, path: str) -> None:
    sections = {"recipe": config.recipe, "recipe_second_stage": config.recipe_second_stage}
    sections |= {f"recipe_by_backbone.{name}": values for name, values in config.recipe_by_backbone.items()}
    sections |= {f"recipe_by_domain.{name}": values for name, values in config.recipe_by_domain.items()}
    for section, values in sections.items():
        for key in values:
            if key not in RECIPE_FIELDS:
                raise UserError("unknown key", where=f"{path}: {section}", found=key, do=nearest(key, RECIPE_FIELDS))
            if key == "updates_per_epoch" and section != "recipe":
                raise UserError(
                    "an epoch has the same number of updates in all runs of a study, so that epochs compare",
                    where=f"{path}: {section}",
                    found=f"{key}: {values[key]}",
                    do=f"set recipe.{key}",
                )
        try:
            Recipe(**values)
        except ValidationError as error:
            raise _explained(error.errors()[0], path, Recipe, f"{section}.") from None

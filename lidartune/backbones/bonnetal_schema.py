"""The sections of a lidar-bonnetal `arch_cfg.yaml` that matter, under its own names; other keys are passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from lidartune.backbones.names import CANVAS_CHANNELS
from lidartune.errors import UserError
from lidartune.scans.document import shown

Probability = Annotated[float, Field(ge=0, lt=1)]
Momentum = Annotated[float, Field(gt=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Five = {"min_length": len(CANVAS_CHANNELS), "max_length": len(CANVAS_CHANNELS)}


class Inputs(BaseModel):
    range: bool
    xyz: bool
    remission: bool


class Backbone(BaseModel):
    name: Literal["squeezeseg", "squeezesegV2", "darknet"]
    input_depth: Inputs
    dropout: Probability
    bn_d: Momentum | None = None
    OS: int
    extra: Any = None


class Decoder(BaseModel):
    name: str
    dropout: Probability
    bn_d: Momentum | None = None


class Head(BaseModel):
    dropout: Probability


class Window(BaseModel):
    h: int
    w: int


class CrfParams(BaseModel):
    iter: int
    lcn_size: Window
    xyz_coef: Number
    xyz_sigma: Number


class CrfUse(BaseModel):
    use: bool
    params: CrfParams | Literal[False] | None = None


class Post(BaseModel):
    CRF: CrfUse


class Size(BaseModel):
    width: int
    height: int


class SensorSection(BaseModel):
    fov_up: Number
    fov_down: Number
    img_prop: Size
    img_means: Annotated[tuple[Number, ...], Field(**Five)]
    img_stds: Annotated[tuple[Positive, ...], Field(**Five)]


class Dataset(BaseModel):
    sensor: SensorSection


class Train(BaseModel):
    max_epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    wup_epochs: float | None = None
    lr_decay: float | None = None
    momentum: float | None = None
    w_decay: float | None = None
    epsilon_w: float | None = None


class Arch(BaseModel):
    backbone: Backbone
    decoder: Decoder
    head: Head
    post: Post
    dataset: Dataset
    train: Train = Train()


def validated(values: object, path: Path) -> Arch:
    """The sections of an arch_cfg.yaml that was read from `path`; UserError naming the first key that is wrong."""
    try:
        return Arch.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        missing = first["type"] == "missing"
        raise UserError(
            "a key is missing in this architecture configuration" if missing else "a value does not fit",
            where=f"{path}: {key}" if key else path,
            found=None if missing else shown(first["input"]),
            wanted=f"the key {key}" if missing else first["msg"],
            do="take it from the arch_cfg.yaml that the model was trained with",
        ) from None

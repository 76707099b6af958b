"""What a lidar-bonnetal model folder says about its network: `arch_cfg.yaml` and `data_cfg.yaml`, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lidartune.backbones.bonnetal_schema import Arch, CrfUse, Train, validated
from lidartune.backbones.crf import COEFFICIENT, ITERATIONS, SIGMA, WINDOW
from lidartune.backbones.names import CANVAS_CHANNELS
from lidartune.backbones.options import Options
from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.scans import Taxonomy, load_taxonomy
from lidartune.scans.document import read_document

ARCH, DATA = "arch_cfg.yaml", "data_cfg.yaml"


@dataclass(frozen=True, kw_only=True)
class BonnetalRecipe:
    """How the model was trained, as its `train` section says; None where it says nothing.

    `class_weight_epsilon` is the e of the class weights 1 / (share + e); `decay_per_epoch` multiplies the rate.
    """

    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    warmup_epochs: float | None
    decay_per_epoch: float | None
    momentum: float | None
    weight_decay: float | None
    class_weight_epsilon: float | None


@dataclass(frozen=True, kw_only=True)
class BonnetalConfig:
    """A model folder's configuration.

    Attributes:
        options: what its network is built with. Its dropout and batch normalisation momentum are the encoder's.
        decoder_dropout, head_dropout, decoder_momentum: those of the other parts.
        sensor: the canvas it was trained on. lidar-bonnetal takes the absolute values of both angles, so here the upper
            one is never negative and the lower one never positive, whatever the file says.
        means, stds: (5,) of range, x, y, z [m] and remission: its normalisation.
        taxonomy: its classes and their raw ids.
        recipe: how it was trained.
    """

    options: Options
    decoder_dropout: float
    head_dropout: float
    decoder_momentum: float
    sensor: Sensor
    means: tuple[float, ...]
    stds: tuple[float, ...]
    taxonomy: Taxonomy
    recipe: BonnetalRecipe


def read_config(model_dir: Path) -> BonnetalConfig:
    """The configuration of a model folder.

    Raises:
        UserError: for a folder or file that is not there, broken YAML, a key that is missing or has no fitting value, a
            backbone or a setting that is not supported. The message names the file and the key.
    """
    if not model_dir.is_dir():
        raise UserError(
            "there is no such model folder",
            where=model_dir,
            found="a file" if model_dir.is_file() else "nothing",
            wanted=f"a folder with {ARCH}, {DATA}, backbone, segmentation_decoder and segmentation_head",
            do="name the folder that lidar-bonnetal wrote as its log (-l)",
        )
    path = needed(model_dir, ARCH)
    arch = validated(read_document(path, "this architecture configuration"), path)
    taxonomy = load_taxonomy(needed(model_dir, DATA))
    backbone, sensor = arch.backbone, arch.dataset.sensor
    if arch.decoder.name != backbone.name:
        raise UserError(
            "this decoder belongs to another backbone",
            where=f"{path}: decoder.name",
            found=arch.decoder.name,
            wanted=backbone.name,
        )
    _check_crf(arch.post.CRF, path)
    try:
        options = _options(arch, taxonomy)
        canvas = Sensor(
            height=sensor.img_prop.height,
            width=sensor.img_prop.width,
            fov_up_deg=abs(sensor.fov_up),
            fov_down_deg=-abs(sensor.fov_down),
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return BonnetalConfig(
        options=options,
        decoder_dropout=arch.decoder.dropout,
        head_dropout=arch.head.dropout,
        decoder_momentum=arch.decoder.bn_d if arch.decoder.bn_d is not None else options.momentum,
        sensor=canvas,
        means=sensor.img_means,
        stds=sensor.img_stds,
        taxonomy=taxonomy,
        recipe=_recipe(arch.train),
    )


def needed(model_dir: Path, name: str, do: str = "copy the whole folder") -> Path:
    """The path of a file that must be there."""
    path = model_dir / name
    if not path.is_file():
        raise UserError("the model folder is not complete", where=model_dir, found=f"no file {name}", do=do)
    return path


def _options(arch: Arch, taxonomy: Taxonomy) -> Options:
    backbone = arch.backbone
    name = backbone.name.lower()
    if name == "darknet":
        layers = backbone.extra.get("layers") if isinstance(backbone.extra, dict) else None
        if layers not in (21, 53):
            raise UserError("backbone.extra.layers has no such darknet", found=repr(layers), wanted="21 or 53")
        name = f"darknet{layers}"
    given = backbone.input_depth
    taken = {"range": given.range, "x": given.xyz, "y": given.xyz, "z": given.xyz, "remission": given.remission}
    return Options(
        name=name,
        num_classes=taxonomy.num_classes,
        dropout=backbone.dropout,
        bn_momentum=backbone.bn_d,
        skip_gradient=False,
        inputs=tuple(channel for channel in CANVAS_CHANNELS if taken[channel]),
        output_stride=backbone.OS,
        crf=arch.post.CRF.use,
    )


def _check_crf(crf: CrfUse, path: Path) -> None:
    if not crf.use:
        return
    params = crf.params or None
    found = params and (params.iter, (params.lcn_size.h, params.lcn_size.w), params.xyz_coef, params.xyz_sigma)
    wanted = (ITERATIONS, WINDOW, COEFFICIENT, SIGMA)
    if found != wanted:
        raise UserError(
            "only the published settings of the CRF are supported",
            where=f"{path}: post.CRF.params",
            found=found or "none",
            wanted=f"iter, lcn_size, xyz_coef, xyz_sigma = {wanted}",
        )


def _recipe(train: Train) -> BonnetalRecipe:
    return BonnetalRecipe(
        epochs=train.max_epochs,
        batch_size=train.batch_size,
        learning_rate=train.lr,
        warmup_epochs=train.wup_epochs,
        decay_per_epoch=train.lr_decay,
        momentum=train.momentum,
        weight_decay=train.w_decay,
        class_weight_epsilon=train.epsilon_w,
    )

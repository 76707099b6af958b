"""What must fit together in a study, beyond each value by itself."""

from __future__ import annotations

import dataclasses
import itertools
import re

from pydantic import ValidationError

from lidartune.backbones.names import STRIDES
from lidartune.backbones.options import Options
from lidartune.config.messages import explained
from lidartune.config.model import Splits, StudyConfig
from lidartune.config.space import check_search
from lidartune.errors import UserError, nearest
from lidartune.runs.spec import DOMAINS
from lidartune.scans.document import shown
from lidartune.training.adapt.ladder import LADDER
from lidartune.training.policies import why_impossible
from lidartune.training.presets import expanded
from lidartune.training.recipe import RECIPE_FIELDS, Recipe


def check(config: StudyConfig, path: str) -> None:
    """Raises UserError, naming `path` and the key, where a study cannot be carried out as it stands."""
    _check_name(config, path)
    _check_backbones(config, path)
    _check_axes(config, path)
    _check_ladder(config, path)
    _check_checkpoints(config, path)
    _check_cells(config, path)
    _check_single_values(config, path)
    for domain in DOMAINS:
        check_splits(config.domains[domain].splits, f"{path}: domains.{domain}.splits")
    _check_recipes(config, path)
    _check_unlabelled(config, path)
    check_search(config, path)


def _check_name(config: StudyConfig, path: str) -> None:
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


def _check_backbones(config: StudyConfig, path: str) -> None:
    named = {"grid.backbone": config.grid.backbone}
    named |= {key: tuple(getattr(config, key)) for key in ("recipe_by_backbone", "channels_by_backbone", "checkpoints")}
    for key, backbones in named.items():
        for backbone in backbones:
            if backbone not in STRIDES:
                raise UserError(
                    "unknown backbone", where=f"{path}: {key}", found=shown(backbone), do=nearest(backbone, STRIDES)
                )
    for backbone in config.grid.backbone:
        stride = _checked_options(config, backbone, path).stride
        for width in config.grid.width:
            if width % stride:
                raise UserError(
                    f"{backbone} cannot take this canvas width",
                    where=f"{path}: grid.width",
                    found=width,
                    wanted=f"a multiple of {stride}",
                    do=f"use {max(1, round(width / stride)) * stride}",
                )


def _checked_options(config: StudyConfig, backbone: str, path: str) -> Options:
    """A backbone of the grid with what `network` states of it, as `lidartune.backbones.build` will be told."""
    form = config.network_for(backbone)
    try:
        return Options(
            name=backbone, inputs=form.inputs, crf=form.crf, circular=form.circular, output_stride=form.output_stride
        )
    except UserError as error:
        raise error.within(f"{path}: network") from None


def _check_axes(config: StudyConfig, path: str) -> None:
    for axis in dataclasses.fields(config.grid):
        values = getattr(config.grid, axis.name)
        if not values or len(set(values)) != len(values):
            raise UserError(
                "an axis of the grid is empty or names a value twice",
                where=f"{path}: grid.{axis.name}",
                found=shown(list(values)),
                do="name each value once",
            )


def _check_ladder(config: StudyConfig, path: str) -> None:
    for number, rung in enumerate(config.ladder):
        if rung not in LADDER:
            raise UserError(
                "unknown rung of the ladder", where=f"{path}: ladder", found=shown(rung), do=nearest(rung, LADDER)
            )
        if rung in config.ladder[:number]:
            raise UserError("a rung is named twice", where=f"{path}: ladder", found=rung, do="name each once")
    if config.ladder and not any(isinstance(epochs, int) and epochs for epochs in config.grid.pretrain_epochs):
        raise UserError(
            "the ladder has nothing to stand on: no cell pretrains a network",
            where=f"{path}: grid.pretrain_epochs",
            found=shown(list(config.grid.pretrain_epochs)),
            do="add a number of epochs above 0 to it, or leave ladder out",
        )


def _check_unlabelled(config: StudyConfig, path: str) -> None:
    """A ladder says what can be had without real labels: nothing that it stands on may read them."""
    for backbone, second in itertools.product(config.grid.backbone if config.ladder else (), (False, True)):
        recipe = config.recipe_for(backbone, "synthetic", second_stage=second, updates_per_epoch=1)
        if recipe.reads_labels_of("real"):
            raise UserError(
                "the ladder would stand on networks whose class weights are counted on real labels",
                where=f"{path}: recipe_second_stage" if second else f"{path}: recipe",
                found="class_weights_counted_on: real, in synthetic runs",
                do="leave ladder out, or set recipe_by_domain.synthetic.class_weights_counted_on=own",
            )


def _check_cells(config: StudyConfig, path: str) -> None:
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


def _check_single_values(config: StudyConfig, path: str) -> None:
    gpus = config.resources.gpus_per_trial
    if gpus > 1 and gpus != int(gpus):
        raise UserError(
            "a trial takes a part of one GPU, or whole ones",
            where=f"{path}: resources",
            found=gpus,
            do="set gpus_per_trial to a part of 1, or to a whole number",
        )
    if config.canvas.fov_up_deg <= config.canvas.fov_down_deg:
        raise UserError(
            "the field of view is upside down",
            where=f"{path}: canvas",
            found=f"up {config.canvas.fov_up_deg}, down {config.canvas.fov_down_deg}",
            wanted="fov_up_deg above fov_down_deg, both in degrees above the horizon",
            do="mend the sign or the order",
        )


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
            if key not in (*RECIPE_FIELDS, "preset"):
                raise UserError("unknown key", where=f"{path}: {section}", found=key, do=nearest(key, RECIPE_FIELDS))
            if key == "updates_per_epoch" and section != "recipe":
                raise UserError(
                    "an epoch has the same number of updates in all runs of a study, so that epochs compare",
                    where=f"{path}: {section}",
                    found=f"{key}: {values[key]}",
                    do=f"set recipe.{key}",
                )
        try:
            values = expanded(values, 1)
        except UserError as error:
            raise error.within(f"{path}: {section}") from None
        try:
            Recipe(**values)
        except ValidationError as error:
            raise explained(error.errors()[0], path, Recipe, f"{section}.") from None

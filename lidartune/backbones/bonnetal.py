"""Reads the model folders that lidar-bonnetal writes: two YAML files and one file of tensors for each part."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from lidartune.backbones import BACKBONES
from lidartune.backbones.bonnetal_config import BonnetalConfig, needed, read_config
from lidartune.backbones.crf import CRF, SETTINGS
from lidartune.backbones.network import Network
from lidartune.errors import UserError, nearest

SUFFIXES = {"valid": "", "train": "_train"}  # the best epoch by validation, by training
SHOWN = 4


def load(model_dir: Path, *, which: str = "valid") -> Network:
    """The network of a model folder, on the CPU, with its weights.

    Its `.configuration` (a `BonnetalConfig`) holds what else the folder says: canvas, normalisation, taxonomy, recipe.
    Files of torch before 1.6 and tensors saved on a GPU are read as well. Files are read as tensors only: nothing that
    they ask to be run is run.

    Args:
        model_dir: with arch_cfg.yaml, data_cfg.yaml, backbone, segmentation_decoder, segmentation_head and, where the
            architecture uses a CRF, segmentation_CRF.
        which: `valid` for the weights of the best validation epoch, `train` for those of the best training epoch
            (backbone_train and so on).

    Raises:
        UserError: for whatever keeps a tensor from its place: a file that is missing or broken or holds more than
            tensors, a tensor that is missing, left over or of another shape, a setting that is not supported.
    """
    if which not in SUFFIXES:
        raise UserError(
            "there are no such weights", where="which", found=repr(which), wanted="valid or train",
            do=nearest(which, SUFFIXES),
        )  # fmt: skip
    config = read_config(model_dir)
    with torch.device("meta"):  # no weights yet, and nothing drawn from torch's random generator
        network = BACKBONES[config.options.name](config.options)
    network.to_empty(device="cpu")
    for name, part in _files(network, model_dir, which).items():
        _place(part, _read_tensors(needed(model_dir, name, _other(model_dir, which))), model_dir / name, config)
    _set_rates(network, config)
    network.configuration = config
    return network


def _files(network: Network, model_dir: Path, which: str) -> dict[str, nn.Module]:
    """Which file holds which part."""
    suffix = SUFFIXES[which]
    files = {
        f"backbone{suffix}": network.backbone,
        f"segmentation_decoder{suffix}": network.decoder,
        f"segmentation_head{suffix}": network.head,
    }
    crf = f"segmentation_CRF{suffix}"
    if network.CRF is not None:
        return files | {crf: network.CRF}
    if (model_dir / crf).exists():
        raise UserError(
            "the folder holds a CRF that its architecture does not use",
            where=model_dir / crf,
            found="post.CRF.use: False in arch_cfg.yaml",
            do="set it to True, or move the file away",
        )
    return files


def _other(model_dir: Path, which: str) -> str:
    """What to do where a weight file is missing."""
    other = "train" if which == "valid" else "valid"
    there = (model_dir / f"backbone{SUFFIXES[other]}").is_file()
    return f"copy the whole folder, or take the {other} weights, which are there" if there else "copy the whole folder"


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a saved state dict by name, without DataParallel's prefix."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file may raise anything
        raise _unreadable(path, error) from None
    if not isinstance(saved, dict) or not all(isinstance(key, str) for key in saved):
        raise UserError("this file is no state dict", where=path, found=type(saved).__name__, wanted="tensors by name")
    for key, value in saved.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise UserError(
                "this file holds more than plain tensors",
                where=path,
                found=f"{key}: {type(value).__name__}",
                wanted="tensors by name",
            )
    prefix = "module." if saved and all(key.startswith("module.") for key in saved) else ""
    return {key.removeprefix(prefix): value for key, value in saved.items()}


def _unreadable(path: Path, error: Exception) -> UserError:
    text = " ".join(str(error).split()) or type(error).__name__
    asked = re.search(r"GLOBAL (\S+)", text)
    if asked or "TorchScript" in text:
        return UserError(
            "this file holds more than tensors: opening it would run code, so it was not opened",
            where=path,
            found=f"it asks for {asked[1]}" if asked else "a compiled program (TorchScript)",
            wanted="tensors by name and nothing else",
            do="save the state dict alone, where the file is your own; else trust neither it nor its source",
        )
    # Without torch's advice to open it all the same.
    reason = (text.partition("WeightsUnpickler error: ")[2] or text).partition(" Check the documentation")[0]
    return UserError(
        "this file cannot be read as saved weights",
        where=path,
        found=f"{path.stat().st_size:,} bytes; {reason[:100]}",
        wanted="a state dict as torch.save writes it",
        do="copy it again: it may be cut short",
    )


def _place(part: nn.Module, tensors: dict[str, Tensor], path: Path, config: BonnetalConfig) -> None:
    """Copies every tensor to its place, or says which has none."""
    wanted = part.state_dict()
    faults = [f"no {key}" for key in wanted if key not in tensors]
    faults += [f"{key}, which has no place" for key in tensors if key not in wanted]
    for key in (key for key in wanted if key in tensors):
        found, place = tensors[key], wanted[key]
        if found.shape != place.shape:
            faults.append(f"{key} of shape {tuple(found.shape)} instead of {tuple(place.shape)}")
        elif found.is_floating_point() != place.is_floating_point() or found.is_complex():
            faults.append(f"{key} of type {found.dtype} instead of {place.dtype}")
        elif found.is_floating_point() and not found.isfinite().all():
            faults.append(f"{key} with values that are no numbers")
        elif isinstance(part, CRF) and key in SETTINGS and not torch.allclose(found, torch.tensor(SETTINGS[key])):
            faults.append(f"{key} of {found.tolist()} instead of {SETTINGS[key]}")
    if faults:
        name, classes = config.options.name, config.options.num_classes
        raise UserError(
            f"{len(faults)} tensors of this file do not fit the network",
            where=path,
            found="; ".join(faults[:SHOWN]) + (" ..." if len(faults) > SHOWN else ""),
            wanted=f"exactly those of {name} with {classes} classes, as arch_cfg.yaml and data_cfg.yaml say",
            do="copy all files of the folder from one training",
        )
    part.load_state_dict(tensors)


def _set_rates(network: Network, config: BonnetalConfig) -> None:
    """The dropouts and momenta that a model folder gives for decoder and head on their own."""
    dropout = network.head.get_submodule("0")
    assert isinstance(dropout, nn.Dropout2d)
    dropout.p = 1.0 - (1.0 - config.decoder_dropout) * (1.0 - config.head_dropout)
    for norm in network.decoder.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = config.decoder_momentum

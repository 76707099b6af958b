"""Writes model folders as lidar-bonnetal does, from networks of ours."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from lidartune.backbones import build
from lidartune.backbones.network import Network

PARTS = {  # file -> part of a network
    "backbone": "backbone",
    "segmentation_decoder": "decoder",
    "segmentation_head": "head",
    "segmentation_CRF": "CRF",
}


def arch(network: Network) -> dict[str, Any]:
    """An arch_cfg.yaml's values."""
    options, name = network.options, network.name
    dark = name.startswith("darknet")
    family = "darknet" if dark else {"squeezeseg": "squeezeseg", "squeezesegv2": "squeezesegV2"}[name]
    norm = {} if name == "squeezeseg" else {"bn_d": 0.01}
    inputs = {key: channel in options.inputs for key, channel in (("range", "range"), ("xyz", "x"), ("remission",) * 2)}
    crf = {"iter": 3, "lcn_size": {"h": 3, "w": 5}, "xyz_coef": 0.1, "xyz_sigma": 0.7}
    return {
        "train": {
            "loss": "xentropy", "max_epochs": 150, "lr": 0.002, "wup_epochs": 1, "momentum": 0.9, "lr_decay": 0.99,
            "w_decay": 0.0001, "batch_size": 8, "epsilon_w": 0.001, "workers": 12,
        },
        "backbone": {
            "name": family, "input_depth": inputs, "dropout": 0.01, **norm, "OS": network.stride, "train": True,
            "extra": {"layers": int(name[-2:])} if dark else False,
        },
        "decoder": {"name": family, "dropout": 0.02, **norm, "train": True, "extra": False},
        "head": {"name": "segmentation", "train": True, "dropout": 0.3},
        "post": {
            "CRF": {"use": options.crf, "train": True, "params": crf if options.crf else False},
            "KNN": {"use": False, "params": {"knn": 5, "search": 5, "sigma": 1.0, "cutoff": 1.0}},
        },
        "dataset": {
            "labels": "kitti", "scans": "kitti", "max_points": 150000,
            "sensor": {
                "name": "HDL64", "type": "spherical", "fov_up": 3, "fov_down": -25,
                "img_prop": {"width": 2048, "height": 64},
                "img_means": [12.12, 10.88, 0.23, -1.04, 0.21], "img_stds": [12.32, 11.47, 6.91, 0.86, 0.16],
            },
        },
    }  # fmt: skip


def random_network(name: str = "squeezeseg", **options: Any) -> Network:
    """Random weights and random running statistics, in evaluation mode."""
    torch.manual_seed(1)
    network = build(name, skip_gradient=False, **options)
    with torch.no_grad():
        for norm in network.norms():
            for tensor in (norm.running_mean, norm.weight, norm.bias):
                tensor.add_(0.2 * torch.randn_like(tensor))  # type: ignore[union-attr,arg-type]
            norm.running_var.uniform_(0.6, 1.4)  # type: ignore[union-attr]
            norm.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    return network.eval()


def write_folder(
    folder: Path, network: Network, *, legacy: bool = False, suffix: str = "", prefix: str = "", classes: int = 20
) -> Path:
    """The folder, written; `legacy` takes the file format of torch before 1.6."""
    folder.mkdir(exist_ok=True)
    (folder / "arch_cfg.yaml").write_text(yaml.safe_dump(arch(network)))
    text = resources.files("lidartune.scans").joinpath("taxonomies", "semantic-kitti.yaml").read_text("utf-8")
    if classes != 20:
        text = yaml.safe_dump(
            {
                "labels": {c: f"kind {c}" for c in range(classes)},
                "learning_map": {c: c for c in range(classes)},
                "learning_map_inv": {c: c for c in range(classes)},
            }
        )
    (folder / "data_cfg.yaml").write_text(text)
    for file, part in PARTS.items():
        module = getattr(network, part)
        if isinstance(module, nn.Module):
            tensors = {prefix + key: value for key, value in module.state_dict().items()}
            torch.save(tensors, folder / (file + suffix), _use_new_zipfile_serialization=not legacy)
    return folder

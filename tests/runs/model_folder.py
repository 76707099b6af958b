"""Small lidar-bonnetal model folders, and what they predict computed without the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from lidartune.backbones import load_bonnetal
from lidartune.canvas import Sensor, neighbour_vote, project
from lidartune.scans import read_points
from tests.backbones.bonnetal_folder import random_network, write_folder

SENSOR = Sensor(16, 64, 3.0, -25.0)


def small_folder(
    folder: Path, name: str = "squeezesegv2", data: dict[str, Any] | None = None, seed: int = 0, **options: Any
) -> Path:
    """A model folder for a canvas of 16 x 64; `data` replaces its data_cfg.yaml, `seed` shifts its last layer."""
    network = random_network(name, **options)
    with torch.no_grad():
        network.head[1].weight.mul_(30.0)  # type: ignore[union-attr]  # else it says one class nearly everywhere
        network.head[1].bias.add_(0.01 * seed)  # type: ignore[union-attr]
        if network.CRF is not None:
            network.CRF.compat_conv.bias.zero_()  # type: ignore[union-attr]  # it would decide alone
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_folder(folder, network, classes=network.options.num_classes)
    path = folder / "arch_cfg.yaml"
    arch = yaml.safe_load(path.read_text())
    arch["dataset"]["sensor"]["img_prop"] = {"width": SENSOR.width, "height": SENSOR.height}
    path.write_text(yaml.safe_dump(arch))
    if data is not None:
        (folder / "data_cfg.yaml").write_text(yaml.safe_dump(data))
    return folder


def direct_classes(model_dir: Path, scan: Path, sensor: Sensor = SENSOR) -> np.ndarray:
    """Classes (N,) of a scan by the network of a model folder, straight from its files."""
    network = load_bonnetal(model_dir).eval()
    config = network.configuration
    assert config is not None
    points = read_points(scan)
    canvas = project(points, sensor)
    mask = torch.from_numpy(canvas.mask)[None]
    means, stds = (torch.tensor(values).view(1, 5, 1, 1) for values in (config.means, config.stds))
    image = (torch.from_numpy(canvas.image)[None] - means) / stds * mask[:, None]
    with torch.no_grad():
        logits = network(image, mask)
    classes = (logits[0, 1:].argmax(0) + 1).numpy().astype(np.uint8)
    return neighbour_vote(canvas, points, classes)

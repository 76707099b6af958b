"""Whether onnxruntime predicts what torch predicts, on a scan as a rotating sensor among walls would see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from lidartune.canvas import Canvas, Sensor, project
from lidartune.errors import UserError
from lidartune.export.onnx_model import IMAGE, LOGITS, MASK, RawNetwork, needed

if TYPE_CHECKING:
    from lidartune.scoring.trained import TrainedNetwork

ROUNDING = 1e-4  # of the largest logit: two classes nearer than this are a draw


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two sets of logits compare on the pixels that hold a point.

    `differing` pixels have other classes though torch's two likeliest are apart by more than `ROUNDING`; `draws` have
    other classes and are not. `largest_difference` is relative to the largest logit.
    """

    pixels: int
    differing: int
    draws: int
    largest_difference: float

    @property
    def same(self) -> bool:
        return self.differing == 0 and self.largest_difference <= ROUNDING


def agreement(model: bytes, network: TrainedNetwork) -> Agreement:
    """Runs an ONNX model and the network that it was made of on two made-up scans in one batch.

    Raises:
        UserError: the package onnxruntime is not installed, or cannot run the model.
    """
    runtime = needed("onnxruntime")
    canvases = [project(street_scan(network.spec.canvas, seed), network.spec.canvas) for seed in range(2)]
    images, masks = stacked(canvases)
    try:
        session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (found,) = session.run([LOGITS], {IMAGE: images, MASK: masks})
    except Exception as error:  # it has a dozen kinds of its own
        raise UserError(
            "onnxruntime cannot run the model",
            found=f"onnxruntime {runtime.__version__}: {' '.join(str(error).split())[:200]}",
            do="install the onnxruntime that constraints.txt names",
        ) from None
    with torch.inference_mode():
        device = network.device
        wanted = RawNetwork(network)(torch.from_numpy(images).to(device), torch.from_numpy(masks).to(device))
    return compared(found, wanted.cpu().numpy(), masks)


def stacked(canvases: Sequence[Canvas]) -> tuple[np.ndarray, np.ndarray]:
    """Images (B, 5, H, W) and masks (B, H, W), as the model takes them."""
    return np.stack([canvas.image for canvas in canvases]), np.stack([canvas.mask for canvas in canvases])


def compared(found: np.ndarray, wanted: np.ndarray, masks: np.ndarray) -> Agreement:
    """Two logits (B, C, H, W) on the pixels of `masks` (B, H, W); class 0 is nobody's prediction."""
    scale = float(np.abs(wanted).max())
    best_two = np.sort(wanted[:, 1:], axis=1)[:, -2:]
    near = (best_two[:, -1] - best_two[:, 0]) <= ROUNDING * scale
    other = (found[:, 1:].argmax(1) != wanted[:, 1:].argmax(1)) & masks
    difference = float(np.abs(found - wanted).max())
    return Agreement(
        pixels=int(masks.sum()),
        differing=int((other & ~near).sum()),
        draws=int((other & near).sum()),
        largest_difference=difference / scale if np.isfinite(difference) and scale else np.inf,
    )


def street_scan(sensor: Sensor, seed: int) -> np.ndarray:
    """Points (N, 4) on a road between walls, with posts, noise and a tenth of the rays lost; a ray a pixel."""
    rng = np.random.default_rng(seed)
    azimuth = np.linspace(-np.pi, np.pi, sensor.width, endpoint=False)
    elevation = np.radians(np.linspace(sensor.fov_up_deg, sensor.fov_down_deg, sensor.height + 2)[1:-1])
    azimuth, elevation = np.meshgrid(azimuth, elevation)
    level = np.cos(elevation)
    ground = np.where(elevation < 0, 1.7 / np.maximum(np.sin(-elevation), 1e-3), 80.0)
    street = rng.uniform(6, 12) / np.maximum(np.abs(np.sin(azimuth)), 0.05)
    posts = np.where(np.sin(23 * azimuth + rng.uniform(0, 6)) > 0.97, rng.uniform(4, 9), 80.0)
    flat = np.minimum(street, posts)
    range_m = np.minimum(np.minimum(ground, flat / level), 80.0) + rng.normal(0, 0.02, azimuth.shape)
    xyz = range_m * np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    remission = np.clip(0.3 - 0.1 * (ground < flat) + rng.normal(0, 0.05, azimuth.shape), 0, 1)
    points = np.concatenate([xyz, remission[None]]).reshape(4, -1).T.astype(np.float32)
    return points[rng.random(len(points)) > 0.1]

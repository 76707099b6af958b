"""What a network says of canvases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lidartune.backbones.inference import Compiled
from lidartune.backbones.network import Network
from lidartune.canvas import Canvas
from lidartune.scoring.probabilities import PROBABILITY_STEPS
from lidartune.training.state import Normalization


def class_images(
    model: Network | Compiled, normalization: Normalization, canvases: Sequence[Canvas], device: torch.device
) -> np.ndarray:
    """Predicted classes `(B, H, W)` uint8 by a network in evaluation mode: the likeliest of the real ones, never 0."""
    with torch.inference_mode():
        return _classes(_logits(model, normalization, canvases, device))


def probable_images(
    model: Network | Compiled,
    normalization: Normalization,
    canvases: Sequence[Canvas],
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """`class_images`, and beside them each class's probability `(B, num_classes - 1, H, W)` uint8 in whole steps of
    1 / PROBABILITY_STEPS. Probabilities are those of the real classes, without 0."""
    with torch.inference_mode():
        logits = _logits(model, normalization, canvases, device)
        levels = logits[:, 1:].softmax(1).mul_(PROBABILITY_STEPS).to(torch.uint8)
        return _classes(logits), levels.cpu().numpy()


def _logits(
    model: Network | Compiled, normalization: Normalization, canvases: Sequence[Canvas], device: torch.device
) -> torch.Tensor:
    images = torch.from_numpy(np.stack([canvas.image for canvas in canvases])).to(device)
    masks = torch.from_numpy(np.stack([canvas.mask for canvas in canvases])).to(device)
    logits: torch.Tensor = model(normalization.apply(images, masks), masks)
    return logits


def _classes(logits: torch.Tensor) -> np.ndarray:
    return (logits[:, 1:].argmax(1) + 1).to(torch.uint8).cpu().numpy()

"""What a network says of canvases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lidartune.backbones.inference import Compiled
from lidartune.backbones.network import Network
from lidartune.canvas import Canvas
from lidartune.training.state import Normalization


def class_images(
    model: Network | Compiled, normalization: Normalization, canvases: Sequence[Canvas], device: torch.device
) -> np.ndarray:
    """Predicted classes `(B, H, W)` uint8 by a network in evaluation mode: the likeliest of the real ones, never 0."""
    images = torch.from_numpy(np.stack([canvas.image for canvas in canvases])).to(device)
    masks = torch.from_numpy(np.stack([canvas.mask for canvas in canvases])).to(device)
    with torch.inference_mode():
        logits = model(normalization.apply(images, masks), masks)
        return (logits[:, 1:].argmax(1) + 1).to(torch.uint8).cpu().numpy()

"""Classes for a scan: on its canvas by the network, on its points by the neighbour vote."""

from __future__ import annotations

import numpy as np
import torch

from lidartune.canvas import vote
from lidartune.runs.spec import RunSpec
from lidartune.training.loader import PreparedScan
from lidartune.training.loop import to_batch
from lidartune.training.state import TrainingState


def predict_image(spec: RunSpec, state: TrainingState, scan: PreparedScan, device: torch.device) -> np.ndarray:
    """Predicted classes `(H, W)` uint8 by a network in evaluation mode: the likeliest of the real classes, never 0."""
    images, masks, _ = to_batch([scan], device)
    with torch.inference_mode():
        logits = state.model(state.normalization.apply(images, masks))
        return (logits[0, 1:].argmax(0) + 1).to(torch.uint8).cpu().numpy()


def point_classes(scan: PreparedScan, class_image: np.ndarray) -> np.ndarray:
    """Classes `(N,)` of the points by the neighbour vote; 0 for points that are on no pixel."""
    return vote(scan.neighbour_index, scan.canvas, class_image)


def own_pixel_classes(scan: PreparedScan, class_image: np.ndarray) -> np.ndarray:
    """Classes `(N,)` of the points' own pixels; 0 for points that are on no pixel."""
    usable = scan.canvas.row >= 0
    return np.where(usable, class_image[scan.canvas.row, scan.canvas.column], 0).astype(np.uint8)

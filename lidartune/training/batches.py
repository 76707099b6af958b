"""Scans put together for the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lidartune.training.loader import Drawn


def to_batch(scans: Sequence[Drawn], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images `(B, 5, H, W)`, masks `(B, H, W)` and true classes `(B, H, W)` int64 on the device."""
    images = torch.from_numpy(np.stack([scan.image for scan in scans]))
    masks = torch.from_numpy(np.stack([scan.mask for scan in scans]))
    truth = torch.from_numpy(np.stack([scan.truth_image for scan in scans]))
    return images.to(device), masks.to(device), truth.to(device).long()  # widened there: an eighth to carry over

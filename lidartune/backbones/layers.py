"""The layers whose plain torch form is slow on a CPU: batch normalisation with its activation, and wide max pools."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class NormActivation(nn.BatchNorm2d):
    """Batch normalisation followed by max(x, slope x): slope 0 is ReLU, 0.1 DarkNet's leaky ReLU, 1 none."""

    def __init__(self, channels: int, momentum: float, slope: float = 0.0):
        super().__init__(channels, momentum=momentum)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.slope == 1.0:
            return y
        # In place: the norm's backward needs its input only.
        return F.relu_(y) if self.slope == 0.0 else F.leaky_relu_(y, self.slope)


def max_pool(x: Tensor, size: int, width_stride: int = 1) -> Tensor:
    """Max pool over size x size, same padding, strided on the width only; rows, then columns."""
    half = size // 2
    x = F.max_pool2d(x, (1, size), stride=(1, width_stride), padding=(0, half))
    return F.max_pool2d(x, (size, 1), stride=1, padding=(half, 0))

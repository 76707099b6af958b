"""Layers that several backbones share. Each knows whether the canvas goes once round: a `circular` one goes on at the
other end of a row where the plain one sees zeros. Rows above and below the canvas are zeros to both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def wrap(x: Tensor, columns: int) -> Tensor:
    """x (..., W) with its last `columns` columns before it and its first ones behind it: (..., W + 2 columns)."""
    assert columns <= x.shape[-1], f"{x.shape[-1]} columns cannot be continued by {columns}"
    # Concatenation keeps channels_last, which torch's circular padding does not.
    return torch.cat([x[..., -columns:], x, x[..., :columns]], -1)


class Conv(nn.Conv2d):
    """A square convolution with "same" padding, strided on the width only unless `stride` is a pair."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        stride: int | tuple[int, int] = 1,
        bias: bool = True,
        circular: bool = False,
    ):
        half = size // 2
        wrapped = half if circular else 0
        strides = (1, stride) if isinstance(stride, int) else stride
        super().__init__(in_channels, out_channels, size, stride=strides, padding=(half, half - wrapped), bias=bias)
        self.wrapped = wrapped

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(wrap(x, self.wrapped) if self.wrapped else x)


class DoubleWidth(nn.ConvTranspose2d):
    """The transposed convolution 1x4 that doubles the width: column i feeds the columns 2i-1 .. 2i+2."""

    def __init__(self, in_channels: int, out_channels: int, *, circular: bool = False):
        # A wrapped input is two columns wider, so its output has four more to drop.
        super().__init__(in_channels, out_channels, (1, 4), stride=(1, 2), padding=(0, 3 if circular else 1))
        self.circular = circular

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(wrap(x, 1) if self.circular else x, output_size)


class NormActivation(nn.BatchNorm2d):
    """Batch normalisation followed by max(x, slope x): slope 0 is ReLU, 0.1 DarkNet's leaky ReLU, 1 none."""

    def __init__(self, channels: int, momentum: float, slope: float = 0.0):
        super().__init__(channels, momentum=momentum)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return activated(super().forward(x), self.slope)  # in place: the norm's backward needs its input only


def activated(x: Tensor, slope: float) -> Tensor:
    """max(x, slope x), in place."""
    if slope == 1.0:
        return x
    return F.relu_(x) if slope == 0.0 else F.leaky_relu_(x, slope)


def max_pool(x: Tensor, size: int, width_stride: int = 1, *, circular: bool = False) -> Tensor:
    """Max pool over size x size, same padding, strided on the width only; rows, then columns."""
    half = size // 2
    if circular:
        x = wrap(x, half)
    x = F.max_pool2d(x, (1, size), stride=(1, width_stride), padding=(0, 0 if circular else half))
    return F.max_pool2d(x, (size, 1), stride=1, padding=(half, 0))

"""CENet (Cheng, Han, Xiao, ICME 2022): residual stages at full, half, quarter and eighth resolution, all enlarged and
fused by two convolutions.

Unlike the other backbones it halves height and width alike. As published: Hardswish, batch normalisation with momentum
0.1, no dropout. The three auxiliary heads that its training adds to the loss are left out: they are no part of the
network that is scored. Its published neighbour vote takes k 7, window 7, sigma 1, cutoff 2 m.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidartune.backbones.layers import Conv
from lidartune.backbones.network import Network, head, scaled
from lidartune.backbones.options import Options

BLOCKS = (3, 4, 6, 3)  # residual blocks of the four stages, as in ResNet-34
STRIDES = (1, 2, 2, 2)
WIDTH = 128  # of all stages
GROUPS = {"stem": ("conv1", "conv2", "conv3"), **{f"stage{n}": (f"layer{n}",) for n in range(1, 5)}}


class ConvNorm(nn.Module):
    """3x3 convolution, batch normalisation, Hardswish."""

    def __init__(self, options: Options, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = Conv(in_channels, out_channels, 3, bias=False, circular=options.circular)
        self.bn = nn.BatchNorm2d(out_channels, momentum=options.momentum)

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(self.bn(self.conv(x)))


class Residual(nn.Module):
    """x, or where it is strided its 1x1 convolution, + two 3x3 convolutions."""

    def __init__(self, options: Options, channels: int, stride: int):
        super().__init__()
        pair = (stride, stride)
        self.conv1 = Conv(channels, channels, 3, stride=pair, bias=False, circular=options.circular)
        self.bn1 = nn.BatchNorm2d(channels, momentum=options.momentum)
        self.conv2 = Conv(channels, channels, 3, bias=False, circular=options.circular)
        self.bn2 = nn.BatchNorm2d(channels, momentum=options.momentum)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            narrow = nn.Conv2d(channels, channels, 1, stride=pair, bias=False)
            self.downsample = nn.Sequential(narrow, nn.BatchNorm2d(channels, momentum=options.momentum))

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.bn1(self.conv1(x)))
        return F.hardswish(self.bn2(self.conv2(y)) + self.downsample(x))


class Encoder(nn.Module):
    """(B, inputs, H, W) -> features (B, 128, H/8, W/8) and the skips: stem and stage 1 (H, W), stages 2 and 3."""

    def __init__(self, options: Options):
        super().__init__()
        half, width = scaled(WIDTH // 2, options.channels), scaled(WIDTH, options.channels)
        self.conv1 = ConvNorm(options, len(options.inputs), half)
        self.conv2 = ConvNorm(options, half, width)
        self.conv3 = ConvNorm(options, width, width)
        stages = []
        for blocks, stride in zip(BLOCKS, STRIDES, strict=True):
            strides = [stride] + [1] * (blocks - 1)
            stages.append(nn.Sequential(*(Residual(options, width, s) for s in strides)))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = nn.Dropout2d(options.dropout_or(0.0))
        self.skip_gradient = options.skip_gradient

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.conv3(self.conv2(self.conv1(x)))
        skips = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            skips.append(x if self.skip_gradient else x.detach())
            x = self.dropout(stage(x))
        return x, skips


class Decoder(nn.Module):
    """The encoder's features and skips, enlarged to (H, W) and put side by side (640 channels) -> (B, 128, H, W)."""

    def __init__(self, options: Options):
        super().__init__()
        width = scaled(WIDTH, options.channels)
        self.conv_1 = ConvNorm(options, 5 * width, scaled(2 * WIDTH, options.channels))
        self.conv_2 = ConvNorm(options, scaled(2 * WIDTH, options.channels), width)
        self.circular = options.circular

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        size = (skips[0].shape[2], skips[0].shape[3])
        same, small = skips[:2], [*skips[2:], x]
        return self.conv_2(self.conv_1(torch.cat([*same, *(enlarged(y, size, self.circular) for y in small)], 1)))


def enlarged(x: Tensor, size: tuple[int, int], circular: bool) -> Tensor:
    """Bilinear interpolation to `size` rows and columns, first onto first and last onto last.

    Once round, the column after the last one is the first: column i of w small ones then lies on column i W/w exactly,
    which is where the strided convolutions took it from.
    """
    height, width = size
    if not circular:
        return F.interpolate(x, size, mode="bilinear", align_corners=True)
    closed = torch.cat([x, x[..., :1]], -1)
    return F.interpolate(closed, (height, width + 1), mode="bilinear", align_corners=True)[..., :width]


def build(options: Options) -> Network:
    """CENet."""
    rate = options.dropout_or(0.0)
    width = scaled(WIDTH, options.channels)
    return Network(options, Encoder(options), Decoder(options), head(options, width, rate, rate, size=1), GROUPS)

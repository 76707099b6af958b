"""DarkNet21 and DarkNet53 as in RangeNet++ (Milioto et al., IROS 2019): the width alone is halved (five times), and the
skips are summed."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from lidartune.backbones.layers import Conv, DoubleWidth, NormActivation
from lidartune.backbones.network import Network, head, scaled
from lidartune.backbones.options import Options

BLOCKS = {"darknet21": (1, 1, 2, 2, 1), "darknet53": (1, 2, 8, 8, 4)}  # residual blocks in each of the five stages
WIDTHS = (32, 64, 128, 256, 512, 1024)
DROPOUT = 0.01
SLOPE = 0.1  # of the leaky ReLUs
GROUPS = {"stem": ("conv1", "bn1"), **{f"stage{n}": (f"enc{n}",) for n in range(1, 6)}}


class Residual(nn.Module):
    """x + (1x1 convolution to `inner` channels, 3x3 convolution back)."""

    def __init__(self, options: Options, outer: int, inner: int):
        super().__init__()
        self.conv1 = nn.Conv2d(outer, inner, 1, bias=False)
        self.bn1 = NormActivation(inner, options.momentum, SLOPE)
        self.conv2 = Conv(inner, outer, 3, bias=False, circular=options.circular)
        self.bn2 = NormActivation(outer, options.momentum, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn1(self.conv1(x))
        return x + self.bn2(self.conv2(inner))


class Encoder(nn.Module):
    """(B, inputs, H, W) -> features (B, 1024, H, W/32) and the skips at widths W, W/2, W/4, W/8, W/16.

    A smaller output stride has as many skips fewer.
    """

    def __init__(self, options: Options):
        super().__init__()
        o = options
        widths = [scaled(width, o.channels) for width in WIDTHS]
        self.conv1 = Conv(len(o.inputs), widths[0], 3, bias=False, circular=o.circular)
        self.bn1 = NormActivation(widths[0], o.momentum, SLOPE)
        self.strides = o.width_strides()
        stages = []
        for before, after, blocks, stride in zip(widths, widths[1:], BLOCKS[o.name], self.strides, strict=False):
            stage: OrderedDict[str, nn.Module] = OrderedDict()
            stage["conv"] = Conv(before, after, 3, stride=stride, bias=False, circular=o.circular)
            stage["bn"] = NormActivation(after, o.momentum, SLOPE)
            for block in range(blocks):
                stage[f"residual_{block}"] = Residual(o, after, before)
            stages.append(nn.Sequential(stage))
        self.enc1, self.enc2, self.enc3, self.enc4, self.enc5 = stages
        self.dropout = nn.Dropout2d(o.dropout_or(DROPOUT))
        self.skip_gradient = o.skip_gradient

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.bn1(self.conv1(x))
        skips = []
        stages = (self.enc1, self.enc2, self.enc3, self.enc4, self.enc5)
        for stage, stride in zip(stages, self.strides, strict=True):
            if stride == 2:
                skips.append(x if self.skip_gradient else x.detach())
            x = self.dropout(stage(x))
        return x, skips


class Decoder(nn.Module):
    """Features (B, 1024, H, W/32) and the encoder's skips -> (B, 32, H, W).

    Where the encoder does not halve the width, a 3x3 convolution takes the place of the one that doubles it.
    """

    def __init__(self, options: Options):
        super().__init__()
        o = options
        widths = [scaled(width, o.channels) for width in WIDTHS]
        self.doubles = [stride == 2 for stride in reversed(o.width_strides())]  # dec5 first
        stages = []
        for after, before, double in zip(widths, widths[1:], reversed(self.doubles), strict=False):
            stage: OrderedDict[str, nn.Module] = OrderedDict()
            if double:
                stage["upconv"] = DoubleWidth(before, after, circular=o.circular)
            else:
                stage["conv"] = Conv(before, after, 3, circular=o.circular)
            stage["bn"] = NormActivation(after, o.momentum, SLOPE)
            stage["residual"] = Residual(o, after, before)
            stages.append(nn.Sequential(stage))
        self.dec1, self.dec2, self.dec3, self.dec4, self.dec5 = stages

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        deepest_first = reversed(skips)
        stages = (self.dec5, self.dec4, self.dec3, self.dec2, self.dec1)
        for stage, double in zip(stages, self.doubles, strict=True):
            x = stage(x) + next(deepest_first) if double else stage(x)
        return x


def build(options: Options) -> Network:
    """DarkNet21 or DarkNet53."""
    rate = options.dropout_or(DROPOUT)
    return Network(
        options,
        Encoder(options),
        Decoder(options),
        head(options, scaled(WIDTHS[0], options.channels), rate, rate),
        GROUPS,
    )

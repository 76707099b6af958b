"""SqueezeSeg (Wu et al., ICRA 2018) and SqueezeSegV2 (Wu et al., ICRA 2019), as lidar-bonnetal trains them: the width
alone is halved (four times), and the skips are summed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidartune.backbones.layers import Conv, DoubleWidth, NormActivation, max_pool
from lidartune.backbones.network import Network, head, scaled
from lidartune.backbones.options import Options

HEAD_DROPOUT = {"squeezeseg": 0.3, "squeezesegv2": 0.01}  # as published
DROPOUT = 0.01
GROUPS = {"stem": ("conv1a", "conv1b"), "stage1": ("fire23",), "stage2": ("fire45",), "stage3": ("fire6789",)}
WIDE_FIRES = ((128, 48, 192), (192, 48, 192), (192, 64, 256), (256, 64, 256))  # of stage 3, as `_fire` takes them


class Pool(nn.Module):
    """3x3 max pool that narrows the width by `stride`."""

    def __init__(self, stride: int, circular: bool):
        super().__init__()
        self.stride = stride
        self.circular = circular

    def forward(self, x: Tensor) -> Tensor:
        return max_pool(x, 3, width_stride=self.stride, circular=self.circular)


class Fire(nn.Module):
    """1x1 squeeze, then a 1x1 and a 3x3 expansion side by side; with `up`, the width is doubled between the two.

    Version 1 has no batch normalisation.
    """

    def __init__(self, options: Options, in_channels: int, squeeze: int, expand: int, up: bool = False):
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        if up:
            self.upconv = DoubleWidth(squeeze, squeeze, circular=options.circular)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = Conv(squeeze, expand, 3, circular=options.circular)
        self.up = up
        self.has_norm = options.name == "squeezesegv2"
        if self.has_norm:
            self.squeeze_bn = NormActivation(squeeze, options.momentum)
            self.expand1x1_bn = NormActivation(expand, options.momentum)
            self.expand3x3_bn = NormActivation(expand, options.momentum)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        x = self.squeeze_bn(x) if self.has_norm else F.relu_(x)
        if self.up:
            x = F.relu_(self.upconv(x))
        one, three = self.expand1x1(x), self.expand3x3(x)
        if self.has_norm:
            return torch.cat([self.expand1x1_bn(one), self.expand3x3_bn(three)], 1)
        return F.relu_(torch.cat([one, three], 1))


class ContextAggregation(nn.Module):
    """Version 2's CAM: a gate per pixel and channel, computed from the 7x7 neighbourhood's maximum."""

    def __init__(self, options: Options, channels: int):
        super().__init__()
        bottleneck = max(1, channels // 16)
        self.squeeze = nn.Conv2d(channels, bottleneck, 1)
        self.squeeze_bn = NormActivation(bottleneck, options.momentum)
        self.unsqueeze = nn.Conv2d(bottleneck, channels, 1)
        self.unsqueeze_bn = NormActivation(channels, options.momentum, slope=1.0)
        self.circular = options.circular

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze_bn(self.squeeze(max_pool(x, 7, circular=self.circular)))
        return x * torch.sigmoid(self.unsqueeze_bn(self.unsqueeze(y)))


def _fire(options: Options, in_half: int, squeeze: int, expand: int, up: bool = False) -> Fire:
    """A Fire by its published sizes; `in_half` is half its input channels, which are two expansions side by side."""
    c = options.channels
    return Fire(options, 2 * scaled(in_half, c), scaled(squeeze, c), scaled(expand, c), up)


class Encoder(nn.Module):
    """(B, inputs, H, W) -> features (B, 512, H, W/16) and the skips at widths W, W/2, W/4, W/8.

    A smaller output stride has as many skips fewer; conv1b, the first of them, is of no use at output stride 1.
    """

    def __init__(self, options: Options):
        super().__init__()
        o, strides = options, options.width_strides()
        first = 2 * scaled(32, o.channels)
        stem: list[nn.Module] = [Conv(len(o.inputs), first, 3, stride=strides[0], circular=o.circular)]
        side: list[nn.Module] = [nn.Conv2d(len(o.inputs), first, 1)]
        fire23: list[nn.Module] = [Pool(strides[1], o.circular), _fire(o, 32, 16, 64), _fire(o, 64, 16, 64)]
        second = o.name == "squeezesegv2"
        if second:
            attention = 2 * scaled(64, o.channels)
            stem += [NormActivation(first, o.momentum), nn.Identity(), ContextAggregation(o, first)]
            side += [NormActivation(first, o.momentum, slope=1.0)]
            fire23.insert(2, ContextAggregation(o, attention))
            fire23.append(ContextAggregation(o, attention))
        else:
            stem += [nn.ReLU()]
        self.conv1a = nn.Sequential(*stem)
        self.conv1b = nn.Sequential(*side) if second else side[0]
        self.fire23 = nn.Sequential(*fire23)
        self.fire45 = nn.Sequential(Pool(strides[2], o.circular), _fire(o, 64, 32, 128), _fire(o, 128, 32, 128))
        wide = [_fire(o, half, squeeze, expand) for half, squeeze, expand in WIDE_FIRES]
        self.fire6789 = nn.Sequential(Pool(strides[3], o.circular), *wide)
        self.dropout = nn.Dropout2d(o.dropout_or(DROPOUT))
        self.skip_gradient = o.skip_gradient
        self.strides = strides

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = []
        if self.strides[0] == 2:
            with torch.set_grad_enabled(self.skip_gradient and torch.is_grad_enabled()):
                skips.append(self.conv1b(x))
        x = self.conv1a(x)
        for group, stride in zip((self.fire23, self.fire45, self.fire6789), self.strides[1:], strict=True):
            if stride == 2:
                skips.append(x if self.skip_gradient else x.detach())
            x = self.dropout(group(x))
        return x, skips


class Decoder(nn.Module):
    """Features (B, 512, H, W/16) and the encoder's skips -> (B, 64, H, W)."""

    def __init__(self, options: Options):
        super().__init__()
        up10, up11, up12, up13 = (stride == 2 for stride in reversed(options.width_strides()))
        self.firedec10 = _fire(options, 256, 64, 128, up10)
        self.firedec11 = _fire(options, 128, 32, 64, up11)
        self.firedec12 = _fire(options, 64, 16, 32, up12)
        self.firedec13 = _fire(options, 32, 16, 32, up13)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        deepest_first = reversed(skips)
        for fire in (self.firedec10, self.firedec11, self.firedec12, self.firedec13):
            x = fire(x) + next(deepest_first) if fire.up else fire(x)
        return x


def build(options: Options) -> Network:
    """SqueezeSeg, or SqueezeSegV2 with its context aggregation and batch normalisation."""
    inside, last = options.dropout_or(DROPOUT), options.dropout_or(HEAD_DROPOUT[options.name])
    return Network(
        options,
        Encoder(options),
        Decoder(options),
        head(options, 2 * scaled(32, options.channels), inside, last),
        GROUPS,
    )

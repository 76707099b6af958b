"""SqueezeSeg (Wu et al., ICRA 2018) and SqueezeSegV2 (Wu et al., ICRA 2019), as lidar-bonnetal trains them: five input
channels, no conditional random field, the width alone is halved (four times)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidartune.backbones.layers import NormActivation, max_pool
from lidartune.backbones.network import IN_CHANNELS, Network, head, scaled

HEAD_DROPOUT = {1: 0.3, 2: 0.01}  # by version, as published
DROPOUT = 0.01


class Pool(nn.Module):
    """3x3 max pool that halves the width."""

    def forward(self, x: Tensor) -> Tensor:
        return max_pool(x, 3, width_stride=2)


class Fire(nn.Module):
    """1x1 squeeze, then a 1x1 and a 3x3 expansion side by side; with `up`, the width is doubled between the two.

    Without `bn_momentum` there is no batch normalisation (version 1).
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int, bn_momentum: float | None, up: bool = False):
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        if up:
            self.upconv = nn.ConvTranspose2d(squeeze, squeeze, (1, 4), stride=(1, 2), padding=(0, 1))
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.up = up
        self.has_norm = bn_momentum is not None
        if bn_momentum is not None:
            self.squeeze_bn = NormActivation(squeeze, bn_momentum)
            self.expand1x1_bn = NormActivation(expand, bn_momentum)
            self.expand3x3_bn = NormActivation(expand, bn_momentum)

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

    def __init__(self, channels: int, bn_momentum: float):
        super().__init__()
        bottleneck = max(1, channels // 16)
        self.squeeze = nn.Conv2d(channels, bottleneck, 1)
        self.squeeze_bn = NormActivation(bottleneck, bn_momentum)
        self.unsqueeze = nn.Conv2d(bottleneck, channels, 1)
        self.unsqueeze_bn = NormActivation(channels, bn_momentum, slope=1.0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze_bn(self.squeeze(max_pool(x, 7)))
        return x * torch.sigmoid(self.unsqueeze_bn(self.unsqueeze(y)))


class Encoder(nn.Module):
    """(B, 5, H, W) -> features (B, 512, H, W/16) and the skips at widths W, W/2, W/4, W/8."""

    def __init__(self, version: int, channels: float, dropout: float, bn_momentum: float, skip_gradient: bool):
        super().__init__()
        norm = bn_momentum if version == 2 else None
        first = 2 * scaled(32, channels)

        def fire(in_half: int, squeeze: int, expand: int) -> Fire:
            return Fire(2 * scaled(in_half, channels), scaled(squeeze, channels), scaled(expand, channels), norm)

        stem: list[nn.Module] = [nn.Conv2d(IN_CHANNELS, first, 3, stride=(1, 2), padding=1)]
        side: list[nn.Module] = [nn.Conv2d(IN_CHANNELS, first, 1)]
        fire23: list[nn.Module] = [Pool(), fire(32, 16, 64), fire(64, 16, 64)]
        if version == 2:
            attention = 2 * scaled(64, channels)
            stem += [NormActivation(first, bn_momentum), nn.Identity(), ContextAggregation(first, bn_momentum)]
            side += [NormActivation(first, bn_momentum, slope=1.0)]
            fire23.insert(2, ContextAggregation(attention, bn_momentum))
            fire23.append(ContextAggregation(attention, bn_momentum))
        else:
            stem += [nn.ReLU()]
        self.conv1a = nn.Sequential(*stem)
        self.conv1b = nn.Sequential(*side) if version == 2 else side[0]
        self.fire23 = nn.Sequential(*fire23)
        self.fire45 = nn.Sequential(Pool(), fire(64, 32, 128), fire(128, 32, 128))
        self.fire6789 = nn.Sequential(
            Pool(), fire(128, 48, 192), fire(192, 48, 192), fire(192, 64, 256), fire(256, 64, 256)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.skip_gradient = skip_gradient

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        with torch.set_grad_enabled(self.skip_gradient and torch.is_grad_enabled()):
            skips = [self.conv1b(x)]
        x = self.conv1a(x)
        for group in (self.fire23, self.fire45, self.fire6789):
            skips.append(x if self.skip_gradient else x.detach())
            x = self.dropout(group(x))
        return x, skips


class Decoder(nn.Module):
    """Features (B, 512, H, W/16) and the encoder's skips -> (B, 64, H, W)."""

    def __init__(self, version: int, channels: float, bn_momentum: float):
        super().__init__()
        norm = bn_momentum if version == 2 else None

        def fire_up(in_half: int, squeeze: int, expand: int) -> Fire:
            return Fire(2 * scaled(in_half, channels), scaled(squeeze, channels), scaled(expand, channels), norm, True)

        self.firedec10 = fire_up(256, 64, 128)
        self.firedec11 = fire_up(128, 32, 64)
        self.firedec12 = fire_up(64, 16, 32)
        self.firedec13 = fire_up(32, 16, 32)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        fires = (self.firedec10, self.firedec11, self.firedec12, self.firedec13)
        for fire, skip in zip(fires, reversed(skips), strict=True):
            x = fire(x) + skip
        return x


def build(
    version: int, num_classes: int, channels: float, dropout: float | None, bn_momentum: float, skip_gradient: bool
) -> Network:
    """SqueezeSeg (version 1) or SqueezeSegV2 (2); the arguments are those of `lidartune.backbones.build`."""
    name = {1: "squeezeseg", 2: "squeezesegv2"}[version]
    inside = DROPOUT if dropout is None else dropout
    return Network(
        name,
        channels,
        Encoder(version, channels, inside, bn_momentum, skip_gradient),
        Decoder(version, channels, bn_momentum),
        head(2 * scaled(32, channels), num_classes, inside, HEAD_DROPOUT[version] if dropout is None else dropout),
    )

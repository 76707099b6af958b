"""DarkNet21 and DarkNet53 as in RangeNet++ (Milioto et al., IROS 2019): the width alone is halved (five times)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from lidartune.backbones.layers import NormActivation
from lidartune.backbones.network import IN_CHANNELS, Network, head, scaled

BLOCKS = {21: (1, 1, 2, 2, 1), 53: (1, 2, 8, 8, 4)}  # residual blocks in each of the five stages
WIDTHS = (32, 64, 128, 256, 512, 1024)
DROPOUT = 0.01
SLOPE = 0.1  # of the leaky ReLUs


class Residual(nn.Module):
    """x + (1x1 convolution to `inner` channels, 3x3 convolution back)."""

    def __init__(self, outer: int, inner: int, bn_momentum: float):
        super().__init__()
        self.conv1 = nn.Conv2d(outer, inner, 1, bias=False)
        self.bn1 = NormActivation(inner, bn_momentum, SLOPE)
        self.conv2 = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        self.bn2 = NormActivation(outer, bn_momentum, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn1(self.conv1(x))
        return x + self.bn2(self.conv2(inner))


class Encoder(nn.Module):
    """(B, 5, H, W) -> features (B, 1024, H, W/32) and the skips at widths W, W/2, W/4, W/8, W/16."""

    def __init__(self, layers: int, channels: float, dropout: float, bn_momentum: float, skip_gradient: bool):
        super().__init__()
        widths = [scaled(width, channels) for width in WIDTHS]
        self.conv1 = nn.Conv2d(IN_CHANNELS, widths[0], 3, padding=1, bias=False)
        self.bn1 = NormActivation(widths[0], bn_momentum, SLOPE)
        stages = []
        for before, after, blocks in zip(widths, widths[1:], BLOCKS[layers], strict=False):
            stage: OrderedDict[str, nn.Module] = OrderedDict()
            stage["conv"] = nn.Conv2d(before, after, 3, stride=(1, 2), padding=1, bias=False)
            stage["bn"] = NormActivation(after, bn_momentum, SLOPE)
            for block in range(blocks):
                stage[f"residual_{block}"] = Residual(after, before, bn_momentum)
            stages.append(nn.Sequential(stage))
        self.enc1, self.enc2, self.enc3, self.enc4, self.enc5 = stages
        self.dropout = nn.Dropout2d(dropout)
        self.skip_gradient = skip_gradient

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.bn1(self.conv1(x))
        skips = []
        for stage in (self.enc1, self.enc2, self.enc3, self.enc4, self.enc5):
            skips.append(x if self.skip_gradient else x.detach())
            x = self.dropout(stage(x))
        return x, skips


class Decoder(nn.Module):
    """Features (B, 1024, H, W/32) and the encoder's skips -> (B, 32, H, W)."""

    def __init__(self, channels: float, bn_momentum: float):
        super().__init__()
        widths = [scaled(width, channels) for width in WIDTHS]
        stages = []
        for after, before in zip(widths, widths[1:], strict=False):
            stage: OrderedDict[str, nn.Module] = OrderedDict()
            stage["upconv"] = nn.ConvTranspose2d(before, after, (1, 4), stride=(1, 2), padding=(0, 1))
            stage["bn"] = NormActivation(after, bn_momentum, SLOPE)
            stage["residual"] = Residual(after, before, bn_momentum)
            stages.append(nn.Sequential(stage))
        self.dec1, self.dec2, self.dec3, self.dec4, self.dec5 = stages

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        for stage, skip in zip((self.dec5, self.dec4, self.dec3, self.dec2, self.dec1), reversed(skips), strict=True):
            x = stage(x) + skip
        return x


def build(
    layers: int, num_classes: int, channels: float, dropout: float | None, bn_momentum: float, skip_gradient: bool
) -> Network:
    """DarkNet with 21 or 53 `layers`; the other arguments are those of `lidartune.backbones.build`."""
    name = f"darknet{layers}"
    rate = DROPOUT if dropout is None else dropout
    return Network(
        name,
        channels,
        Encoder(layers, channels, rate, bn_momentum, skip_gradient),
        Decoder(channels, bn_momentum),
        head(scaled(WIDTHS[0], channels), num_classes, rate, rate),
    )

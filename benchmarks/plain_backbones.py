"""The backbones written out plainly, one torch module for each layer, contiguous NCHW: what lidartune.backbones is
measured and checked against. Same state-dict keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Width = Callable[[int], int]  # published channels -> scaled ones


class PlainFire(nn.Module):
    def __init__(self, inside: int, squeeze: int, expand: int, norm: bool, up: bool) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inside, squeeze, 1)
        self.squeeze_bn = nn.BatchNorm2d(squeeze, momentum=0.01) if norm else nn.Identity()
        self.upconv = nn.ConvTranspose2d(squeeze, squeeze, (1, 4), (1, 2), (0, 1)) if up else None
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_bn = nn.BatchNorm2d(expand, momentum=0.01) if norm else nn.Identity()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_bn = nn.BatchNorm2d(expand, momentum=0.01) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze_bn(self.squeeze(x)))
        if self.upconv is not None:
            x = F.relu(self.upconv(x))
        one, three = F.relu(self.expand1x1_bn(self.expand1x1(x))), F.relu(self.expand3x3_bn(self.expand3x3(x)))
        return torch.cat([one, three], 1)


class PlainAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        small = max(1, width // 16)
        self.squeeze, self.squeeze_bn = nn.Conv2d(width, small, 1), nn.BatchNorm2d(small, momentum=0.01)
        self.unsqueeze, self.unsqueeze_bn = nn.Conv2d(small, width, 1), nn.BatchNorm2d(width, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.squeeze_bn(self.squeeze(F.max_pool2d(x, 7, 1, 3))))
        return x * torch.sigmoid(self.unsqueeze_bn(self.unsqueeze(y)))


class PlainSqueezeSeg(nn.Module):
    def __init__(self, second: bool, width: Width, num_classes: int, dropout: float, head_dropout: float) -> None:
        super().__init__()
        first = 2 * width(32)

        def fire(inside: int, squeeze: int, expand: int, up: bool = False) -> nn.Module:
            return PlainFire(2 * width(inside // 2), width(squeeze), width(expand), second, up)

        def gate(channels: int) -> list[nn.Module]:
            return [PlainAttention(2 * width(channels // 2))] if second else []

        def norm() -> list[nn.Module]:
            return [nn.BatchNorm2d(first, momentum=0.01)] if second else []

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, (1, 2), 1)

        stem = nn.Conv2d(5, first, 3, (1, 2), 1)
        side = nn.Conv2d(5, first, 1)
        self.backbone: Any = nn.Module()
        self.backbone.conv1a = nn.Sequential(stem, *norm(), nn.ReLU(), *gate(64))
        self.backbone.conv1b = nn.Sequential(side, *norm()) if second else side
        self.backbone.fire23 = nn.Sequential(pool(), fire(64, 16, 64), *gate(128), fire(128, 16, 64), *gate(128))
        self.backbone.fire45 = nn.Sequential(pool(), fire(128, 32, 128), fire(256, 32, 128))
        last = (fire(256, 48, 192), fire(384, 48, 192), fire(384, 64, 256), fire(512, 64, 256))
        self.backbone.fire6789 = nn.Sequential(pool(), *last)
        self.decoder: Any = nn.Module()
        self.decoder.firedec10, self.decoder.firedec11 = fire(512, 64, 128, True), fire(256, 32, 64, True)
        self.decoder.firedec12, self.decoder.firedec13 = fire(128, 16, 32, True), fire(64, 16, 32, True)
        self.head = nn.Sequential(nn.Dropout2d(head_dropout), nn.Conv2d(first, num_classes, 3, padding=1))
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        encoder, decoder = self.backbone, self.decoder
        skips = [encoder.conv1b(x), encoder.conv1a(x)]
        skips.append(self.drop(encoder.fire23(skips[-1])))
        skips.append(self.drop(encoder.fire45(skips[-1])))
        x = self.drop(encoder.fire6789(skips[-1]))
        for up in (decoder.firedec10, decoder.firedec11, decoder.firedec12, decoder.firedec13):
            x = up(x) + skips.pop()
        logits: Tensor = self.head(self.drop(x))
        return logits


class PlainResidual(nn.Module):
    def __init__(self, outer: int, inner: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(outer, inner, 1, bias=False), nn.BatchNorm2d(inner, momentum=0.01)
        self.conv2 = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.bn1(self.conv1(x)), 0.1)
        return x + F.leaky_relu(self.bn2(self.conv2(y)), 0.1)


class PlainDarkNet(nn.Module):
    def __init__(self, blocks: tuple[int, ...], width: Width, num_classes: int, dropout: float) -> None:
        super().__init__()
        widths = [width(w) for w in (32, 64, 128, 256, 512, 1024)]
        self.backbone: Any = nn.Module()
        self.decoder: Any = nn.Module()
        self.backbone.conv1 = nn.Conv2d(5, widths[0], 3, padding=1, bias=False)
        self.backbone.bn1 = nn.BatchNorm2d(widths[0], momentum=0.01)
        self.down, self.up = [f"enc{n}" for n in range(1, 6)], [f"dec{n}" for n in range(5, 0, -1)]
        for n in range(5):
            small, large = widths[n], widths[n + 1]
            enc: OrderedDict[str, nn.Module] = OrderedDict()
            enc["conv"] = nn.Conv2d(small, large, 3, (1, 2), 1, bias=False)
            enc["bn"], enc["relu"] = nn.BatchNorm2d(large, momentum=0.01), nn.LeakyReLU(0.1)
            for b in range(blocks[n]):
                enc[f"residual_{b}"] = PlainResidual(large, small)
            dec: OrderedDict[str, nn.Module] = OrderedDict()
            dec["upconv"] = nn.ConvTranspose2d(large, small, (1, 4), (1, 2), (0, 1))
            dec["bn"], dec["relu"] = nn.BatchNorm2d(small, momentum=0.01), nn.LeakyReLU(0.1)
            dec["residual"] = PlainResidual(small, large)
            self.backbone.add_module(f"enc{n + 1}", nn.Sequential(enc))
            self.decoder.add_module(f"dec{n + 1}", nn.Sequential(dec))
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(widths[0], num_classes, 3, padding=1))
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.backbone.bn1(self.backbone.conv1(x)), 0.1)
        skips = []
        for name in self.down:
            skips.append(x)
            x = self.drop(getattr(self.backbone, name)(x))
        for name in self.up:
            x = getattr(self.decoder, name)(x) + skips.pop()
        logits: Tensor = self.head(self.drop(x))
        return logits


class PlainBlock(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
        self.bn, self.act = nn.BatchNorm2d(outside), nn.Hardswish()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class PlainBasicBlock(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn1, self.act = nn.BatchNorm2d(channels), nn.Hardswish()
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        narrow = [nn.Conv2d(channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)]
        self.downsample = nn.Sequential(*(narrow if stride > 1 else []))

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.downsample(x)
        z: Tensor = self.act(y)
        return z


class PlainCENet(nn.Module):
    def __init__(self, width: Width, num_classes: int, dropout: float) -> None:
        super().__init__()
        half, full = width(64), width(128)
        self.backbone: Any = nn.Module()
        self.backbone.conv1, self.backbone.conv2 = PlainBlock(5, half), PlainBlock(half, full)
        self.backbone.conv3 = PlainBlock(full, full)
        for stage, (blocks, stride) in enumerate(((3, 1), (4, 2), (6, 2), (3, 2)), start=1):
            members = [PlainBasicBlock(full, stride if block == 0 else 1) for block in range(blocks)]
            self.backbone.add_module(f"layer{stage}", nn.Sequential(*members))
        self.decoder: Any = nn.Module()
        self.decoder.conv_1, self.decoder.conv_2 = PlainBlock(5 * full, width(256)), PlainBlock(width(256), full)
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(full, num_classes, 1))
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        encoder, decoder = self.backbone, self.decoder
        x = encoder.conv3(encoder.conv2(encoder.conv1(x)))
        kept = [x]
        for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
            x = self.drop(stage(x))
            kept.append(x)
        size = kept[0].shape[2:]
        kept[2:] = [F.interpolate(y, size, mode="bilinear", align_corners=True) for y in kept[2:]]
        logits: Tensor = self.head(self.drop(decoder.conv_2(decoder.conv_1(torch.cat(kept, 1)))))
        return logits


def plain(name: str, *, num_classes: int = 20, channels: float = 1.0, dropout: float | None = None) -> nn.Module:
    """The plain twin of `lidartune.backbones.build(name, ...)`."""

    def width(published: int) -> int:
        return max(4, 4 * round(published * channels / 4))

    if name == "cenet":
        return PlainCENet(width, num_classes, dropout or 0.0)
    inside = 0.01 if dropout is None else dropout
    if name.startswith("squeezeseg"):
        second = name == "squeezesegv2"
        last = (0.01 if second else 0.3) if dropout is None else dropout
        return PlainSqueezeSeg(second, width, num_classes, inside, last)
    blocks = {"darknet21": (1, 1, 2, 2, 1), "darknet53": (1, 2, 8, 8, 4)}[name]
    return PlainDarkNet(blocks, width, num_classes, inside)

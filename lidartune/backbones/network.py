"""What all backbones share: encoder, decoder and head in a row, and the memory layout that each runs fastest in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lidartune.backbones.names import STRIDES
from lidartune.errors import UserError

IN_CHANNELS = 5  # range, x, y, z, remission


def scaled(width: int, channels: float) -> int:
    """A published layer's channels times `channels`, rounded to a multiple of 4, at least 4.

    Multiples of 4 leave every published width as it is at 1.0 and fill the vector registers at 0.25.
    """
    return max(4, 4 * round(width * channels / 4))


def memory_format(name: str, device_type: str, channels: float = 1.0) -> torch.memory_format:
    """The layout in which the activations of backbone `name` train fastest on a device type (cpu, cuda, ...).

    CPU, training steps on one AVX2 core, channels_last against NCHW: SqueezeSeg is bound by its pools and thin
    layers, which vectorise over the channels (1.0-1.3 times faster); DarkNet by its wide convolutions,
    which are better off in NCHW (channels_last: 0.86) unless `channels` makes them thin (1.02-1.14 at 0.25).
    Other devices keep torch's default: no layout was measured there.
    """
    if device_type == "cpu" and (name.startswith("squeezeseg") or channels < 0.5):
        return torch.channels_last
    return torch.contiguous_format


class Network(nn.Module):
    """Encoder -> decoder -> head on range images: (B, 5, H, W) float -> logits (B, num_classes, H, W).

    The encoder returns its last features and its skips, shallowest first, one for each halving of the width.
    """

    def __init__(self, name: str, channels: float, backbone: nn.Module, decoder: nn.Module, head: nn.Module):
        super().__init__()
        self.name = name
        self.channels = channels
        self.stride = STRIDES[name]
        self.backbone = backbone
        self.decoder = decoder
        self.head = head

    def forward(self, x_nchw: Tensor) -> Tensor:
        if x_nchw.dim() != 4 or x_nchw.shape[1] != IN_CHANNELS or x_nchw.shape[3] % self.stride:
            raise UserError(
                f"The canvas does not fit {self.name}.",
                found=f"a tensor of shape {tuple(x_nchw.shape)}",
                wanted=f"(batch, {IN_CHANNELS}, height, width), the width a multiple of {self.stride}",
                do="choose another canvas width",
            )
        x = x_nchw.contiguous(memory_format=memory_format(self.name, x_nchw.device.type, self.channels))
        features, skips = self.backbone(x)
        logits: Tensor = self.head(self.decoder(features, skips))
        return logits


def head(in_channels: int, num_classes: int, decoder_dropout: float, head_dropout: float) -> nn.Sequential:
    """Channel dropout and the 3x3 convolution to the class logits.

    The published decoders end in a dropout of their own. Two in a row are one that keeps a channel when both would,
    which has the same distribution and scale, and saves two passes over the largest tensor of the network.
    """
    dropout = 1.0 - (1.0 - decoder_dropout) * (1.0 - head_dropout)
    return nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, num_classes, 3, padding=1))

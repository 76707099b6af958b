"""Range-image segmentation networks by name: `build("squeezesegv2")`. Importing this package does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lidartune.backbones.names import NAMES, STRIDES
from lidartune.errors import UserError, nearest

if TYPE_CHECKING:
    from lidartune.backbones.network import Network

__all__ = ["BACKBONES", "NAMES", "STRIDES", "build"]


def _squeezeseg(
    version: int, num_classes: int, channels: float, dropout: float | None, bn_momentum: float, skip_gradient: bool
) -> Network:
    from lidartune.backbones import squeezeseg

    return squeezeseg.build(version, num_classes, channels, dropout, bn_momentum, skip_gradient)


def _darknet(
    layers: int, num_classes: int, channels: float, dropout: float | None, bn_momentum: float, skip_gradient: bool
) -> Network:
    from lidartune.backbones import darknet

    return darknet.build(layers, num_classes, channels, dropout, bn_momentum, skip_gradient)


# name -> builder(num_classes, channels, dropout, bn_momentum, skip_gradient)
BACKBONES: dict[str, Callable[[int, float, float | None, float, bool], Network]] = {
    "squeezeseg": partial(_squeezeseg, 1),
    "squeezesegv2": partial(_squeezeseg, 2),
    "darknet21": partial(_darknet, 21),
    "darknet53": partial(_darknet, 53),
}


def build(
    name: str,
    *,
    num_classes: int = 20,
    channels: float = 1.0,
    dropout: float | None = None,
    bn_momentum: float = 0.01,
    skip_gradient: bool = True,
) -> Network:
    """A backbone with random weights: (B, 5, H, W) normalised range images -> (B, num_classes, H, W) logits.

    Its submodules are `.backbone` (encoder), `.decoder` and `.head`; their state-dict keys are those of
    lidar-bonnetal, so that its weights load strictly. The width W must be a multiple of `.stride`.

    Args:
        name: a key of `BACKBONES`.
        num_classes: classes of the head, 0 (ignored) included.
        channels: scales every layer's channels, each rounded to a multiple of 4 and at least 4 (the attention's
            bottleneck: at least 1); 1.0 is the published network.
        dropout: probability that a whole channel is dropped, at every place; None takes the published ones (0.01,
            and 0.3 before the head of squeezeseg).
        bn_momentum: weight of a new batch in the running statistics of batch normalisation.
        skip_gradient: False detaches the skip connections as lidar-bonnetal does. `backbone.conv1b` of squeezeseg and
            squeezesegv2 feeds nothing but a skip: it then stays at its initial weights for ever.

    Initialisation is torch's default for each layer (uniform Kaiming with a = sqrt(5); batch normalisation 1 and 0), as
    lidar-bonnetal's, drawn from torch's global generator: `torch.manual_seed` fixes it.

    Raises:
        UserError: for an unknown name, or a value out of its range.
    """
    if name not in BACKBONES:
        raise UserError(
            "Unknown backbone.", where="backbone", found=repr(name), wanted=", ".join(NAMES), do=nearest(name, NAMES)
        )
    if not 0.0 < channels <= 16.0:
        raise UserError(
            "The channel factor is out of range.",
            where="channels",
            found=channels,
            wanted="a number above 0 and at most 16; 1.0 is the published network",
        )
    if num_classes < 2:
        raise UserError(
            "A segmentation needs at least two classes.",
            where="num_classes",
            found=num_classes,
            wanted="2 or more, class 0 (ignored) included",
        )
    if dropout is not None and not 0.0 <= dropout < 1.0:
        raise UserError(
            "The dropout is not a probability.",
            where="dropout",
            found=dropout,
            wanted="at least 0 and below 1, or none for the published ones",
        )
    if not 0.0 < bn_momentum <= 1.0:
        raise UserError(
            "The momentum of batch normalisation is out of range.",
            where="bn_momentum",
            found=bn_momentum,
            wanted="above 0 and at most 1",
        )
    return BACKBONES[name](num_classes, channels, dropout, bn_momentum, skip_gradient)

"""Range-image segmentation networks by name: `build("squeezesegv2")`. Importing this package does not import torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lidartune.backbones.names import CANVAS_CHANNELS, INPUTS, NAMES, STRIDES
from lidartune.backbones.options import Options

if TYPE_CHECKING:
    from lidartune.backbones.network import Network

__all__ = ["BACKBONES", "INPUTS", "NAMES", "STRIDES", "build", "load_bonnetal"]


def _squeezeseg(options: Options) -> Network:
    from lidartune.backbones import squeezeseg

    return squeezeseg.build(options)


def _darknet(options: Options) -> Network:
    from lidartune.backbones import darknet

    return darknet.build(options)


def _cenet(options: Options) -> Network:
    from lidartune.backbones import cenet

    return cenet.build(options)


BACKBONES: dict[str, Callable[[Options], Network]] = {
    "squeezeseg": _squeezeseg,
    "squeezesegv2": _squeezeseg,
    "darknet21": _darknet,
    "darknet53": _darknet,
    "cenet": _cenet,
}


def build(
    name: str,
    *,
    num_classes: int = 20,
    channels: float = 1.0,
    dropout: float | None = None,
    bn_momentum: float | None = None,
    skip_gradient: bool = True,
    inputs: Sequence[str] = CANVAS_CHANNELS,
    output_stride: int | None = None,
    circular: bool = False,
    crf: bool = False,
) -> Network:
    """A backbone with random weights: (B, 5, H, W) normalised range images -> (B, num_classes, H, W) logits.

    Its submodules are `.backbone` (encoder), `.decoder`, `.head` and `.CRF`; their state-dict keys are those of
    lidar-bonnetal, so that its weights load strictly. The width W must be a multiple of `.stride`; `.groups()` names
    the parts that can be frozen.

    Args:
        name: a key of `BACKBONES`.
        num_classes: classes of the head, 0 (ignored) included.
        channels: scales every layer's channels, each rounded to a multiple of 4 and at least 4 (the attention's
            bottleneck: at least 1); 1.0 is the published network.
        dropout: probability that a whole channel is dropped, at every place; None takes the published ones (0.01,
            and 0.3 before the head of squeezeseg; cenet has none).
        bn_momentum: weight of a new batch in the running statistics of batch normalisation; None takes the
            published one (0.01; cenet 0.1).
        skip_gradient: False detaches the skip connections as lidar-bonnetal does. `backbone.conv1b` of squeezeseg and
            squeezesegv2 feeds nothing but a skip: it then stays at its initial weights for ever. Of cenet it detaches
            what the decoder takes from all stages but the last.
        inputs: what the network takes, in this order, out of range, x, y, z, remission and mask (1 where there is a
            point). Images have their five channels whatever is taken; the mask is an argument of the forward pass.
        output_stride: by what factor the encoder narrows the width: a power of 2 up to the published one, which None
            stands for. The last halvings are left out first, and their skips with them; at 1 nothing uses conv1b.
            cenet has its own, 8, only.
        circular: the first and the last column are neighbours, as they are on a canvas that goes once round; rows
            above and below stay zeros. A scan turned by whole output strides then gives the same logits, turned.
        crf: adds the conditional random field of SqueezeSeg, 425 parameters at 20 classes.

    Initialisation is torch's default for each layer (uniform Kaiming with a = sqrt(5); batch normalisation 1 and 0), as
    lidar-bonnetal's, drawn from torch's global generator: `torch.manual_seed` fixes it.

    Raises:
        UserError: for an unknown name, or a value out of its range.
    """
    options = Options(
        name=name,
        num_classes=num_classes,
        channels=channels,
        dropout=dropout,
        bn_momentum=bn_momentum,
        skip_gradient=skip_gradient,
        inputs=tuple(inputs),
        output_stride=output_stride,
        circular=circular,
        crf=crf,
    )
    return BACKBONES[name](options)


def load_bonnetal(model_dir: str | Path, *, which: str = "valid") -> Network:
    """The network of a lidar-bonnetal model folder, with its weights; `.configuration` says what else the folder says.

    See `lidartune.backbones.bonnetal.load`.
    """
    from lidartune.backbones.bonnetal import load

    return load(Path(model_dir), which=which)

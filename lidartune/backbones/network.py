"""What all backbones share: encoder, decoder and head in a row, and the memory layout that each runs fastest in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lidartune.backbones.crf import CRF
from lidartune.backbones.layers import Conv
from lidartune.backbones.names import CANVAS_CHANNELS
from lidartune.backbones.options import Options
from lidartune.errors import UserError

if TYPE_CHECKING:
    from lidartune.backbones.bonnetal_config import BonnetalConfig


def scaled(width: int, channels: float) -> int:
    """A published layer's channels times `channels`, rounded to a multiple of 4, at least 4.

    Multiples of 4 leave every published width as it is at 1.0 and fill the vector registers at 0.25.
    """
    return max(4, 4 * round(width * channels / 4))


def memory_format(name: str, device_type: str, channels: float = 1.0) -> torch.memory_format:
    """The layout in which the activations of backbone `name` train fastest on a device type (cpu, cuda, ...).

    CPU, training steps on one AVX2 core, channels_last against NCHW: SqueezeSeg is bound by its pools and thin
    layers, which vectorise over the channels (1.0-1.3 times faster); DarkNet by its wide convolutions,
    which are better off in NCHW (channels_last: 0.86) unless `channels` makes them thin (1.02-1.14 at 0.25). CENet is a
    draw (training 1.05, inference 0.84) and like DarkNet where it is thin (1.15 and 1.31 at 0.25).
    Other devices keep torch's default: no layout was measured there.
    """
    if device_type == "cpu" and (name.startswith("squeezeseg") or channels < 0.5):
        return torch.channels_last
    return torch.contiguous_format


class Network(nn.Module):
    """Encoder -> decoder -> head (-> CRF) on range images: (B, 5, H, W) float -> logits (B, num_classes, H, W).

    The encoder returns its last features and its skips, shallowest first. State-dict keys are those of lidar-bonnetal:
    `backbone` is the encoder, then `decoder`, `head` and, where there is one, `CRF`.

    Attributes:
        options: what it was built with.
        stride: the width must be a multiple of it.
        layout: in which its activations lie; None for what `memory_format` says.
        configuration: where its weights were read from a lidar-bonnetal model folder, what else that folder says.
    """

    def __init__(
        self,
        options: Options,
        backbone: nn.Module,
        decoder: nn.Module,
        head: nn.Module,
        groups: Mapping[str, Sequence[str]],
    ):
        super().__init__()
        self.options = options
        self.name = options.name
        self.channels = options.channels
        self.stride = options.stride
        self.layout: torch.memory_format | None = None
        self.configuration: BonnetalConfig | None = None
        self._groups = groups
        self.backbone = backbone
        self.decoder = decoder
        self.head = head
        self.CRF = CRF(options.num_classes, circular=options.circular) if options.crf else None

    def groups(self) -> dict[str, list[nn.Module]]:
        """The network's parts from input to output: every parameter and every norm is in exactly one of them.

        `stem` (what reads the input), `stage1`, `stage2`, ... (each begins by narrowing the canvas, but for cenet's
        first), `decoder`, `head` and `crf`. The stem and all stages together are the encoder, `.backbone`.
        conv1b, the full-resolution skip of squeezeseg and squeezesegv2, reads the input: it belongs to the stem, hence
        to the encoder. The other skips are sums or concatenations and have no parameters; the layers that take them in
        are the decoder's.

        `stem` and `stage1` are the first block of surgical fine-tuning (Lee et al., ICLR 2023). Of `crf`, the
        parameters `iter`, `lcn_size`, `xyz_coef` and `xyz_sigma` are settings: they never take a gradient, and two of
        them are integers, for which torch refuses `requires_grad`.
        """
        groups = {name: [self.backbone.get_submodule(m) for m in members] for name, members in self._groups.items()}
        groups |= {"decoder": [self.decoder], "head": [self.head]}
        return groups if self.CRF is None else groups | {"crf": [self.CRF]}

    def norms(self) -> list[nn.BatchNorm2d]:
        """All batch normalisations, encoder first; squeezeseg has none."""
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, x_nchw: Tensor, masks_nhw: Tensor | None = None) -> Tensor:
        """Logits (B, num_classes, H, W); with a CRF those whose softmax are its probabilities.

        Args:
            x_nchw: (B, 5, H, W) normalised range, x, y, z, remission, whatever `inputs` the network takes; empty
                pixels exactly 0.
            masks_nhw: (B, H, W), which pixels hold a point; used by the input `mask` and by the CRF. None takes
                the pixels where any channel is not exactly 0.

        Raises:
            UserError: for another number of channels, or a width that is no multiple of `stride`.
        """
        if x_nchw.dim() != 4 or x_nchw.shape[1] != len(CANVAS_CHANNELS) or x_nchw.shape[3] % self.stride:
            raise UserError(
                f"The canvas does not fit {self.name}.",
                found=f"a tensor of shape {tuple(x_nchw.shape)}",
                wanted=f"(batch, {len(CANVAS_CHANNELS)}, height, width), the width a multiple of {self.stride}",
                do="choose another canvas width",
            )
        needs_mask = self.CRF is not None or "mask" in self.options.inputs
        mask = _mask(x_nchw, masks_nhw) if needs_mask else None
        x = _chosen(x_nchw, mask, self.options.inputs)
        layout = self.layout or memory_format(self.name, x.device.type, self.channels)
        x = x.contiguous(memory_format=layout)
        features, skips = self.backbone(x)
        logits: Tensor = self.head(self.decoder(features, skips))
        return logits if self.CRF is None else self.CRF(logits, x_nchw[:, 1:4], mask)


def _mask(x_nchw: Tensor, masks_nhw: Tensor | None) -> Tensor:
    """(B, 1, H, W): 1 where there is a point, of the image's type."""
    mask = (x_nchw != 0).any(1) if masks_nhw is None else masks_nhw
    return mask.to(x_nchw.dtype).unsqueeze(1)


def _chosen(x_nchw: Tensor, mask: Tensor | None, inputs: tuple[str, ...]) -> Tensor:
    """The channels named by `inputs`, in that order."""
    if inputs == CANVAS_CHANNELS:
        return x_nchw
    places = {name: slice(n, n + 1) for n, name in enumerate(CANVAS_CHANNELS)}
    return torch.cat([mask if name == "mask" else x_nchw[:, places[name]] for name in inputs], 1)  # type: ignore[misc]


def head(
    options: Options, in_channels: int, decoder_dropout: float, head_dropout: float, size: int = 3
) -> nn.Sequential:
    """Channel dropout and the convolution (`size` x `size`) to the class logits.

    The published decoders end in a dropout of their own. Two in a row are one that keeps a channel when both would,
    which has the same distribution and scale, and saves two passes over the largest tensor of the network.
    """
    return nn.Sequential(
        nn.Dropout2d(1.0 - (1.0 - decoder_dropout) * (1.0 - head_dropout)),
        Conv(in_channels, options.num_classes, size, circular=options.circular),
    )

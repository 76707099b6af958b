"""A network that predicts the same, faster: for predictions alone, and not to the last bit.

What it gains over the network as it is trained: docs/reproduce.md, "Speed of the networks".
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lidartune.backbones.layers import Conv, activated
from lidartune.backbones.names import CANVAS_CHANNELS
from lidartune.backbones.network import Network
from lidartune.backbones.winograd import WORTHWHILE, Winograd
from lidartune.errors import UserError


class Activation(nn.Module):
    """What is left of a NormActivation whose norm is in the convolution before it: max(x, slope x)."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return activated(x, self.slope)


def for_inference(network: Network) -> Network:
    """A copy in evaluation mode whose logits differ by rounding alone (1e-5 of the largest): same interface.

    Every batch normalisation is multiplied into the convolution before it; on a CPU, convolutions with many channels
    become `Winograd` ones. It cannot train, and its state dict is its own.
    """
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    on_cpu = next(fast.parameters()).device.type == "cpu"
    slopes: dict[str, float] = {}  # of what follows a convolution whose norm was folded
    for norm_name, conv_name in _norms_and_their_convolutions(fast).items():
        norm, conv = fast.get_submodule(norm_name), fast.get_submodule(conv_name)
        _fold(norm, conv)
        slope = getattr(norm, "slope", 1.0)
        becomes_winograd = on_cpu and _worthwhile(conv)
        slopes[conv_name] = slope if becomes_winograd else 1.0
        fast.set_submodule(norm_name, nn.Identity() if becomes_winograd else Activation(slope))
    if on_cpu:
        fast.layout = torch.channels_last  # in which Winograd works
        for name, module in list(fast.named_modules()):
            if isinstance(module, Conv) and _worthwhile(module):
                fast.set_submodule(name, Winograd(module, slopes.get(name, 1.0)))
    return fast


class Compiled(nn.Module):
    """A network through torch.compile for batches of one size, its weights frozen into the code; made at once.

    Making it takes some ten seconds. Smaller batches are filled up.

    Raises:
        UserError: it cannot be compiled; on a CPU that takes a C++ compiler.
    """

    def __init__(self, network: Network, batch: int, height: int, width: int):
        super().__init__()
        self.options = network.options
        self.batch = batch
        fast = copy.deepcopy(network).eval().requires_grad_(False)
        parameter = next(fast.parameters())
        masks = torch.zeros(batch, height, width, dtype=torch.bool, device=parameter.device)
        try:
            self._run = torch.compile(fast, dynamic=False, fullgraph=True, options={"freezing": True})
            with torch.inference_mode():  # the image too, or the first prediction would compile once more
                self._run(parameter.new_zeros(batch, len(CANVAS_CHANNELS), height, width), masks)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # of many kinds: no compiler, one that fails, a cache that cannot be written
            raise UserError(
                "the network cannot be compiled here",
                found=_reason(error),
                wanted="what torch.compile needs: on a CPU a C++ compiler that works (Debian: package g++)",
                do="choose --speed fast, or mend what was found",
            ) from error

    def forward(self, x_nchw: Tensor, masks_nhw: Tensor) -> Tensor:
        """As `Network.forward`, of at most `batch` images."""
        count = len(x_nchw)
        if count < self.batch:
            again = torch.arange(self.batch, device=x_nchw.device) % count
            x_nchw, masks_nhw = x_nchw[again], masks_nhw[again]
        logits: Tensor = self._run(x_nchw, masks_nhw)
        return logits[:count]


def _reason(error: Exception) -> str:
    """The line of a compiler's long message that says what is wrong."""
    inner = getattr(error, "inner_exception", error)
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()] or [type(inner).__name__]
    return next((line for line in lines if "error:" in line), lines[0])


def _worthwhile(conv: nn.Module) -> bool:
    return (
        isinstance(conv, Conv)
        and conv.kernel_size == (3, 3)
        and conv.stride == (1, 1)
        and min(conv.in_channels, conv.out_channels) >= WORTHWHILE
    )


def _fold(norm: Any, conv: Any) -> None:
    """Multiplies a batch normalisation in evaluation mode into the convolution that comes before it."""
    transposed = isinstance(conv, nn.ConvTranspose2d)
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, transpose=transposed)


def _norms_and_their_convolutions(network: Network) -> dict[str, str]:
    """The name of the convolution whose output each batch normalisation takes in, found by sending an image through."""
    made_by: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no two outputs have one id
    found: dict[str, str] = {}
    hooks = []

    def after(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            kept.append(output)
            made_by[id(output)] = name

        return hook

    def before(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor]) -> None:
            found[name] = made_by[id(inputs[0])]

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            hooks.append(module.register_forward_hook(after(name)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(before(name)))
    parameter = next(network.parameters())
    image = parameter.new_zeros(1, len(CANVAS_CHANNELS), 8, max(64, 2 * network.stride))
    with torch.no_grad():
        network(image)
    for handle in hooks:
        handle.remove()
    assert len(set(found.values())) == len(found), "a convolution that two norms take in cannot take in both"
    return found

"""In which ways benchmarks/gpu.py runs a network, and on what."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor, nn

from lidartune.backbones import build
from lidartune.backbones.network import Network
from lidartune.training.losses import weighted_loss

NUM_CLASSES = 20


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How a network is run. `tf32` lets convolutions and products round their inputs to 10 bits, torch's default."""

    tf32: bool = True
    bf16: bool = False
    compiled: bool = False
    channels_last: bool = False


MODES = {
    "fp32": Mode(tf32=False),
    "tf32": Mode(),
    "channels_last": Mode(channels_last=True),
    "compiled": Mode(compiled=True),
    "bf16": Mode(bf16=True),
    "bf16+channels_last": Mode(bf16=True, channels_last=True),
    "bf16+channels_last+compiled": Mode(bf16=True, channels_last=True, compiled=True),
}
PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A backbone on a canvas, with a batch."""

    name: str
    height: int
    width: int
    batch: int
    channels: float
    device: torch.device

    @property
    def cells(self) -> list[str]:
        """Backbone, canvas and batch, as a table names them."""
        return [self.name, f"{self.height} x {self.width}", str(self.batch)]

    def network(self, *, dropout: float | None = None, bn_momentum: float | None = None) -> Network:
        """The same weights at every call."""
        torch.manual_seed(0)
        return build(self.name, channels=self.channels, dropout=dropout, bn_momentum=bn_momentum).to(self.device)

    def images_and_truth(self) -> tuple[Tensor, Tensor]:
        """Smooth random images (B, 5, H, W), and classes 1..19 (B, H, W) that can be told from them."""
        draw = torch.Generator().manual_seed(0)
        coarse = torch.randn(self.batch, 5, max(1, self.height // 4), self.width // 4, generator=draw)
        smooth = nn.functional.interpolate(coarse, (self.height, self.width), mode="bilinear")
        images = smooth + 0.1 * torch.randn(smooth.shape, generator=draw)
        truth = 1 + torch.einsum("kc,bchw->bkhw", torch.randn(NUM_CLASSES - 1, 5, generator=draw), smooth).argmax(1)
        return images.to(self.device), truth.to(self.device)


@contextmanager
def running(mode: Mode) -> Iterator[None]:
    """torch's settings and the networks' layout as a mode has them."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode.tf32
    layout = torch.channels_last if mode.channels_last else torch.contiguous_format
    try:
        with mock.patch("lidartune.backbones.network.memory_format", lambda *_: layout):
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def logits_by(network: nn.Module, mode: Mode) -> Callable[[Tensor], Tensor]:
    """What is called in the network's place, images -> logits; the network goes to the mode's layout."""
    device = next(network.parameters()).device
    called: Callable[[Tensor], Tensor] = network
    if mode.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if mode.compiled:
        torch._dynamo.reset()
        # A rehearsal on a CPU need not wait for a compiler.
        called = torch.compile(network, dynamic=False, backend="inductor" if device.type == "cuda" else "eager")

    def logits(images: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=mode.bf16):
            return called(images)

    return logits


def updates(network: nn.Module, setting: Setting, mode: Mode, learning_rate: float = 1e-3) -> Callable[[], None]:
    """A training step: forward, loss, backward and SGD, as lidartune trains."""
    logits = logits_by(network.train(), mode)
    images, truth = setting.images_and_truth()
    weights = torch.ones(NUM_CLASSES, device=setting.device)
    weights[0] = 0.0
    optimiser = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        weighted_loss(logits(images).float(), truth, weights).backward()
        optimiser.step()

    return step


def tried(count: int, device: torch.device, work: Callable[[], list[str]]) -> list[str]:
    """The `count` cells that `work` gives; where it cannot, the reason, so that the rows of others are not lost."""
    try:
        cells = work()
        assert len(cells) == count
        return cells
    except torch.cuda.OutOfMemoryError:
        return ["out of memory"] + ["-"] * (count - 1)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:100]
        return [f"failed: {type(error).__name__}: {reason}"] + ["-"] * (count - 1)
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()

"""The counts that plans are made of are those of the networks."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lidartune.backbones import NAMES, build
from lidartune.backbones.cost import COUNTS, parameters, saved_bytes_per_pixel

HEIGHT, WIDTH = 16, 128


def counted(name: str, channels: float) -> tuple[int, float, float]:
    """Parameters, operations of a forward pass per pixel, and bytes that autograd keeps per pixel."""
    network = build(name, channels=channels).train()
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with FlopCounterMode(display=False) as flops, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.randn(2, 5, HEIGHT, WIDTH))
    saved = sum(tensor.untyped_storage().nbytes() for where, tensor in kept.items() if where not in own)
    pixels = 2 * HEIGHT * WIDTH
    size = sum(parameter.numel() for parameter in network.parameters())
    return size, flops.get_total_flops() / pixels, saved / pixels


@pytest.mark.parametrize("name", NAMES)
def test_the_counts_are_those_of_the_network(name: str) -> None:
    assert set(COUNTS) == set(NAMES)
    size, flops, saved = counted(name, 0.5)
    counts = COUNTS[name]
    assert counts.parameters[1] == size
    assert counts.flops_per_pixel[1] == pytest.approx(flops, rel=0.02)
    assert counts.saved_bytes_per_pixel[1] == pytest.approx(saved, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [0.25, 0.125])
def test_between_and_below_they_are_near(name: str, channels: float) -> None:
    size, _, saved = counted(name, channels)
    assert parameters(name, channels) == pytest.approx(size, rel=0.12)
    assert saved_bytes_per_pixel(name, channels) == pytest.approx(saved, rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_at_full_size_they_are_the_published_parameters(name: str) -> None:
    with torch.device("meta"):
        network = build(name)
    assert parameters(name, 1.0) == sum(parameter.numel() for parameter in network.parameters())

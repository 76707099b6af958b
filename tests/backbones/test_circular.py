"""A canvas that goes once round: what happens at its first and last column, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lidartune.backbones import INPUTS, NAMES, build
from lidartune.backbones.cenet import enlarged
from lidartune.backbones.layers import Conv, DoubleWidth, max_pool
from lidartune.backbones.network import Network


def settled(net: Network) -> Network:
    """Evaluation mode with running statistics away from their start, so that every layer has its say."""
    generator = torch.Generator().manual_seed(5)
    for norm in net.norms():
        norm.running_mean.copy_(0.2 * torch.randn(norm.num_features, generator=generator))  # type: ignore[union-attr]
        norm.running_var.copy_(0.5 + torch.rand(norm.num_features, generator=generator))  # type: ignore[union-attr]
    return net.double().eval()


def scan(width: int, height: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    masks = torch.rand(2, height, width, generator=generator) > 0.2
    return torch.randn(2, 5, height, width, generator=generator).double() * masks.unsqueeze(1), masks


def turned_apart(net: Network, columns: int) -> float:
    """How far the logits of a turned scan are from the turned logits, relative to the largest."""
    x, masks = scan(width=64)
    with torch.no_grad():
        wanted = net(x, masks).roll(columns, -1)
        found = net(x.roll(columns, -1), masks.roll(columns, -1))
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("crf", [False, True])
def test_a_turned_scan_gives_the_same_logits_turned(name: str, crf: bool) -> None:
    net = settled(build(name, channels=0.25, circular=True, crf=crf, inputs=INPUTS))
    for columns in (net.stride, -net.stride, 64 - net.stride):
        assert turned_apart(net, columns) < 1e-9
    assert turned_apart(settled(build(name, channels=0.25, crf=crf)), net.stride) > 1e-4  # zeros beyond the border


@pytest.mark.parametrize("name", ["squeezesegv2", "darknet21"])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_smaller_output_strides_turn_in_smaller_steps(name: str, stride: int) -> None:
    assert turned_apart(settled(build(name, channels=0.25, circular=True, output_stride=stride)), stride) < 1e-9


LAYERS: dict[str, tuple[float, Callable[[bool], Callable[[Tensor], Tensor]]]] = {
    "3x3": (1, lambda c: Conv(3, 2, 3, circular=c)),
    "3x3 strided": (0.5, lambda c: Conv(3, 2, 3, stride=2, circular=c)),
    "3x3 strided both ways": (0.5, lambda c: Conv(3, 2, 3, stride=(2, 2), circular=c)),
    "doubled": (2, lambda c: DoubleWidth(3, 2, circular=c)),
    "pool 3 strided": (0.5, lambda c: lambda x: max_pool(x, 3, 2, circular=c)),
    "pool 7": (1, lambda c: lambda x: max_pool(x, 7, circular=c)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_circular_layer_is_the_plain_one_on_three_copies_side_by_side(layer: str) -> None:
    scale, make = LAYERS[layer]
    plain, circular = make(False), make(True)
    if isinstance(plain, nn.Module) and isinstance(circular, nn.Module):
        circular.load_state_dict(plain.state_dict(), strict=True)
    x = torch.randn(2, 3, 5, 8)
    width = int(8 * scale)
    with torch.no_grad():
        wanted = plain(torch.cat([x, x, x], -1))[..., width : 2 * width]
        found, bordered = circular(x), plain(x)
    torch.testing.assert_close(found, wanted)
    assert found.shape == bordered.shape
    torch.testing.assert_close(found[..., 3:-3], bordered[..., 3:-3])  # far from the border, rows above and below alike
    assert not torch.allclose(found, bordered)


def test_enlarging_once_round_interpolates_between_the_last_and_the_first_column() -> None:
    x = torch.tensor([0.0, 4.0, 8.0, 2.0]).view(1, 1, 1, 4)
    around = enlarged(x, (1, 8), circular=True).flatten()
    assert around.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 5.0, 2.0, 1.0]
    bordered = enlarged(x, (1, 8), circular=False).flatten()
    assert bordered[0] == 0.0 and bordered[-1] == 2.0


def test_layers_keep_the_memory_layout() -> None:
    x = torch.randn(2, 3, 8, 16).contiguous(memory_format=torch.channels_last)
    for _, make in LAYERS.values():
        assert make(True)(x).is_contiguous(memory_format=torch.channels_last)

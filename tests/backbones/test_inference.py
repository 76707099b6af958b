"""Networks made faster for predictions say the same, but for rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from lidartune.backbones import NAMES, build
from lidartune.backbones.inference import Compiled, for_inference
from lidartune.backbones.layers import Conv
from lidartune.backbones.network import Network
from lidartune.backbones.winograd import Winograd
from lidartune.errors import UserError


def images(batch: int = 2, height: int = 16, width: int = 64) -> Tensor:
    return torch.randn(batch, 5, height, width, generator=torch.Generator().manual_seed(0))


def trained(name: str, channels: float, **options: object) -> Network:
    """A network whose running statistics, scales and shifts are not those it began with."""
    torch.manual_seed(0)
    network = build(name, channels=channels, dropout=0.0, bn_momentum=0.3, **options)  # type: ignore[arg-type]
    for norm in network.norms():
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    with torch.no_grad():
        for _ in range(3):
            network.train()(images())
    return network.eval()


def largest_difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("circular", [False, True])
def test_fast_logits_are_the_same(name: str, circular: bool) -> None:
    network = trained(name, 1.0 if name in ("squeezesegv2", "cenet") else 0.5, circular=circular, crf=True)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fast = for_inference(network)
    x = images()
    with torch.inference_mode():
        assert largest_difference(fast(x), network(x)) < 1e-4
    assert not fast.norms()
    has_winograd = any(isinstance(module, Winograd) for module in fast.modules())
    assert has_winograd == ("squeeze" not in name), "few channels: no gain"
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("stride", [1, 4])
def test_fast_networks_of_a_smaller_output_stride(stride: int) -> None:
    network = trained("squeezesegv2", 0.25, circular=True, output_stride=stride)
    with torch.inference_mode():
        assert largest_difference(for_inference(network)(images()), network(images())) < 1e-4


@pytest.mark.parametrize("size", [(1, 8, 16), (2, 7, 16), (1, 1, 3), (2, 64, 5)])
@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
def test_winograd_is_the_convolution(size: tuple[int, int, int], circular: bool, slope: float) -> None:
    conv = Conv(6, 10, 3, circular=circular).double()
    batch, height, width = size
    x = torch.randn(batch, 6, height, width, dtype=torch.float64)
    with torch.inference_mode():
        wanted = torch.maximum(conv(x), slope * conv(x))
        torch.testing.assert_close(Winograd(conv, slope)(x), wanted)


def test_a_canvas_taken_in_groups_of_rows_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Conv(6, 10, 3).double()
    x = torch.randn(1, 6, 22, 8, dtype=torch.float64)
    monkeypatch.setattr("lidartune.backbones.winograd.CACHED", 3 * 16 * 4 * 16)
    torch.testing.assert_close(Winograd(conv, 1.0)(x), conv(x))


def test_compiled_logits_are_the_same_and_smaller_batches_fit() -> None:
    torch._dynamo.reset()
    graphs = counters["stats"]["unique_graphs"]
    network = trained("squeezeseg", 0.25)
    compiled = Compiled(network, 2, 16, 64)
    x = images()
    masks = x[:, 0] > 0
    with torch.inference_mode():
        x = x + 0  # as it comes from the normalisation, made in inference mode
        assert largest_difference(compiled(x, masks), network(x, masks)) < 1e-4
        assert largest_difference(compiled(x[:1], masks[:1]), network(x[:1], masks[:1])) < 1e-4
    assert counters["stats"]["unique_graphs"] == graphs + 1, "once, when it was made"


def test_without_a_compiler_it_says_so() -> None:
    import torch._inductor.config as inductor

    torch._dynamo.reset()
    with inductor.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(UserError, match="cannot be compiled here"):
        Compiled(trained("squeezeseg", 0.25), 1, 8, 48)

"""How the networks behave: shapes, gradients, agreement with the plain formulation, determinism."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidartune.backbones import NAMES, build

CPU_TEST_CHANNELS = [("squeezeseg", 1.0), ("squeezesegv2", 1.0), ("darknet21", 0.5), ("darknet53", 0.25)]
CPU_TEST_CHANNELS += [("cenet", 0.5)]


def images(batch: int = 2, height: int = 8, width: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(batch, 5, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(16, 64), (32, 256), (64, 96), (17, 32)])
def test_shape(name: str, height: int, width: int) -> None:
    net = build(name, channels=0.25)
    with torch.no_grad():
        assert net(images(2, height, width)).shape == (2, 20, height, width)


@pytest.mark.parametrize("name", NAMES)
def test_shape_at_the_widths_of_the_study(name: str) -> None:
    with torch.device("meta"):
        nets = [build(name), build(name, channels=0.5, num_classes=7, crf=True, inputs=("x", "y", "z", "mask"))]
        for width in (512, 1024, 2048):
            for net, classes in zip(nets, (20, 7), strict=True):
                assert net(torch.empty(2, 5, 64, width)).shape == (2, classes, 64, width)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "channels"), CPU_TEST_CHANNELS + [("squeezesegv2", 0.25), ("darknet21", 0.25)])
def test_logits_equal_the_plain_formulation(
    plain: Callable[..., nn.Module], name: str, channels: float, training: bool
) -> None:
    torch.manual_seed(0)
    ours, twin = build(name, channels=channels, dropout=0.0), plain(name, channels=channels, dropout=0.0)
    twin.load_state_dict(ours.state_dict(), strict=True)
    x = images(2, 11, 128)
    if training:  # batch statistics magnify rounding: 1e-4 is within what float32 leaves open
        ours, twin, x = ours.double(), twin.double(), x.double()
    for _ in range(3):  # a forward in training moves the running statistics
        ours.train()(x), twin.train()(x)
    with torch.no_grad():
        found, wanted = ours.train(training)(x), twin.train(training)(x)
    assert (found - wanted).abs().max() <= (1e-9 if training else 1e-4) * wanted.abs().max()
    for key, value in twin.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_the_plain_formulation_in_float64(plain: Callable[..., nn.Module], name: str) -> None:
    ours, twin = build(name, channels=0.25, dropout=0.0).double(), plain(name, channels=0.25, dropout=0.0).double()
    twin.load_state_dict(ours.state_dict(), strict=True)
    x, weight = images(2, 11, 64).double(), torch.randn(2, 20, 11, 64).double()
    for net in (ours, twin):
        (net(x) * weight).sum().backward()
    for key, found in ours.named_parameters():
        wanted = twin.get_parameter(key)
        assert found.grad is not None and wanted.grad is not None, key
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-8, atol=1e-8, msg=key)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("skip_gradient", [True, False])
def test_which_parameters_a_gradient_reaches(name: str, skip_gradient: bool) -> None:
    net = build(name, channels=0.25, skip_gradient=skip_gradient)
    F.cross_entropy(net(images()), torch.randint(0, 20, (2, 8, 64))).backward()
    without = {key for key, p in net.named_parameters() if p.grad is None}
    if skip_gradient or not name.startswith("squeezeseg"):
        assert without == set()
    else:
        assert without == {key for key, _ in net.named_parameters() if key.startswith("backbone.conv1b.")}
    assert all(p.grad is None or (p.grad.isfinite().all() and p.grad.any()) for p in net.parameters())


def test_without_any_halving_nothing_uses_the_full_resolution_skip() -> None:
    net = build("squeezesegv2", channels=0.25, output_stride=1)
    net(images()).square().mean().backward()
    without = {key for key, p in net.named_parameters() if p.grad is None}
    assert without == {key for key, _ in net.named_parameters() if key.startswith("backbone.conv1b.")}


@pytest.mark.parametrize("name", NAMES)
def test_detached_skips_change_the_gradient_alone(name: str) -> None:
    with_, without = (build(name, channels=0.25, dropout=0.0, skip_gradient=s) for s in (True, False))
    without.load_state_dict(with_.state_dict())
    x = images()
    a, b = with_(x), without(x)
    assert torch.equal(a, b)
    for key, value in with_.state_dict().items():  # running statistics too, conv1b's among them
        assert torch.equal(value, without.state_dict()[key]), key
    a.square().mean().backward()
    b.square().mean().backward()
    first = next(key for key in with_.state_dict() if "conv1b" not in key)
    one, two = with_.get_parameter(first).grad, without.get_parameter(first).grad
    assert one is not None and two is not None and not torch.allclose(one, two)


def train(name: str, steps: int) -> tuple[list[float], list[Tensor]]:
    torch.manual_seed(0)
    net = build(name, channels=0.25, bn_momentum=0.1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    x, truth = images(2, 16, 64), torch.randint(0, 20, (2, 16, 64), generator=torch.Generator().manual_seed(1))
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = F.cross_entropy(net(x), truth)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, [v.clone() for v in net.state_dict().values()]


@pytest.mark.parametrize("name", NAMES)
def test_training_is_bit_identical_when_repeated(name: str) -> None:
    first, second = train(name, 3), train(name, 3)
    assert first[0] == second[0]
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_active_in_training_only(name: str) -> None:
    net, x = build(name, channels=0.25, dropout=0.5), images()
    with torch.no_grad():
        assert not torch.equal(net.train()(x), net(x))
        assert torch.equal(net.eval()(x), net(x))
    still = build(name, channels=0.25, dropout=0.0)
    with torch.no_grad():
        assert torch.equal(still.train()(x), still(x))

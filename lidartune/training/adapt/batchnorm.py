"""AdaBN: the running means and variances of batch normalisation, estimated anew on scans of another domain.

Training normalises a batch by its own moments and takes *all* of its pixels for them, the empty ones (exactly 0 on the
normalised canvas) too; what follows learns to live with that, so the estimate takes all pixels as well, and how full
the target's canvases are is part of what it adapts to. Moments are exact: each scan's in float64, pooled scan by scan
(Chan, Golub and LeVeque 1983), not a moving average. Variances are those of the population, so that evaluation
normalises the scans together as training mode would. Dropout is off: no score knows it.

`target`: one pass. Every norm passes each scan on normalised by that scan's own moments, as training mode does with a
batch of one scan, and its moments over all scans are what is kept.

`target_layerwise`: AdaBN as it is defined (Li et al. 2016; Pattern Recognition 80, 2018). Norms are taken in the order
in which the network reaches them, and the moments of each are measured with those of all norms before it already the
target's. The result is what training mode would compute of one batch that holds all the scans. It takes a pass for
every norm, each as far as that norm.

The two agree at norms with no other before them, and everywhere for a single scan. Elsewhere `target` measures deep
norms behind layers that have made every scan alike (mean 0 and variance 1 scan by scan), where the network that is
scored keeps what tells scans apart.

Measuring all norms in one pass with the *carried* moments still in place would be wrong, not coarse: a shift that an
early norm takes out would be taken out again by every later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.scans.statistics import HasImage, Moments
from lidartune.training.state import Normalization

Scans = Callable[[], Iterable[HasImage]]
"""A fresh stream of the same unlabelled canvases, in the same order, at each call."""

Show = Callable[[HasImage], Tensor]
"""Puts one canvas through the network and returns the logits `(1, C, H, W)`."""

Layers = Literal["target", "target_layerwise"]


class _FarEnough(Exception):
    """The norm that is being measured has been reached: the rest of the network has nothing to say."""


@dataclass(frozen=True, kw_only=True)
class NormShift:
    """How far a norm's statistics moved, in the deviations it had: means over its channels.

    `mean` is of |new mean - old mean| / old deviation, `log_std` of log(new deviation / old deviation).
    """

    name: str
    mean: float
    log_std: float


def shower(network: Network, normalization: Normalization, device: torch.device) -> Show:
    """One canvas at a time, so that no result depends on how scans are put together."""

    def show(scan: HasImage) -> Tensor:
        images = torch.from_numpy(scan.image[None]).to(device)
        masks = torch.from_numpy(scan.mask[None]).to(device)
        logits: Tensor = network(normalization.apply(images, masks), masks)
        return logits

    return show


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """The network in evaluation mode and without gradients; each module is in its own mode again afterwards."""
    modes = {module: module.training for module in network.modules()}
    try:
        network.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def reestimate(
    network: Network, normalization: Normalization, scans: Scans, layers: Layers, device: torch.device
) -> list[NormShift]:
    """Puts moments of these scans in place of every norm's running mean and variance; says how far each moved.

    A norm that the network never reaches keeps its own, and is not among the answers.

    Raises:
        UserError: the network has no batch normalisation, or there is no scan.
    """
    show = shower(network, normalization, device)
    if not network.norms():
        raise UserError(
            "the network has no batch normalisation whose statistics could be the target's",
            where="batchnorm",
            found=network.name,
            wanted="a backbone with batch normalisation",
            do="leave this rung out for this backbone",
        )
    with evaluating(network):
        before = _statistics(network.norms())
        order = _reached(network, scans, show)
        if layers == "target":
            for norm, moments in _own_moments(order, scans, show).items():
                _place(norm, moments)
        else:
            for norm in order:
                _place(norm, _moments_at(norm, scans, show))
    names = {module: name for name, module in network.named_modules()}
    return [_shift(names[norm], *before[norm], norm) for norm in order]


def _reached(network: Network, scans: Scans, show: Show) -> list[nn.BatchNorm2d]:
    """The norms in the order in which a canvas reaches them, which is not always that of their names."""
    order: list[nn.BatchNorm2d] = []

    def note(norm: nn.BatchNorm2d, x: Tensor) -> None:
        assert norm not in order, "a norm that is passed twice has no one distribution"
        order.append(norm)

    with _watched(network.norms(), note):
        for scan in scans():
            show(scan)
            return order
    raise UserError("no scan to estimate batch normalisation on", do="check that the training split has scans")


def _own_moments(norms: list[nn.BatchNorm2d], scans: Scans, show: Show) -> dict[nn.BatchNorm2d, Moments]:
    """Pooled moments of every norm, each passing on every scan normalised by the scan's own."""
    pooled = dict.fromkeys(norms, Moments())

    def take(norm: nn.BatchNorm2d, x: Tensor) -> None:
        moments = _moments(x)
        pooled[norm] = pooled[norm].joined(moments)
        _place(norm, moments)

    with _watched(norms, take):
        for scan in scans():
            show(scan)
    return pooled


def _moments_at(norm: nn.BatchNorm2d, scans: Scans, show: Show) -> Moments:
    """Pooled moments of what reaches one norm."""
    pooled = Moments()

    def take(norm: nn.BatchNorm2d, x: Tensor) -> None:
        nonlocal pooled
        pooled = pooled.joined(_moments(x))
        raise _FarEnough

    with _watched([norm], take):
        for scan in scans():
            try:
                show(scan)
            except _FarEnough:
                continue
    return pooled


def _moments(x_nchw: Tensor) -> Moments:
    """Per channel over all pixels, in float64."""
    variance, mean = torch.var_mean(x_nchw.double(), dim=(0, 2, 3), correction=0)
    count = x_nchw.numel() // x_nchw.shape[1]
    return Moments(count, mean.cpu().numpy(), variance.cpu().numpy() * count)


def _place(norm: nn.BatchNorm2d, moments: Moments) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.from_numpy(moments.mean))
    norm.running_var.copy_(torch.from_numpy(moments.squares / moments.count))


@contextmanager
def _watched(norms: list[nn.BatchNorm2d], see: Callable[[nn.BatchNorm2d, Tensor], None]) -> Iterator[None]:
    """`see(norm, x)` of each canvas `x` that reaches one of the norms, just before it is normalised."""

    def hook(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        see(norm, inputs[0])

    handles = [norm.register_forward_pre_hook(hook) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _statistics(norms: list[nn.BatchNorm2d]) -> dict[nn.BatchNorm2d, tuple[Tensor, Tensor]]:
    found = {}
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        found[norm] = norm.running_mean.clone(), norm.running_var.clone()
    return found


def _shift(name: str, mean: Tensor, variance: Tensor, norm: nn.BatchNorm2d) -> NormShift:
    assert norm.running_mean is not None and norm.running_var is not None
    old_mean, new_mean = (t.double().cpu().numpy() for t in (mean, norm.running_mean))
    old_std, new_std = (np.sqrt(t.double().cpu().numpy() + norm.eps) for t in (variance, norm.running_var))
    return NormShift(
        name=name,
        mean=float(np.mean(np.abs(new_mean - old_mean) / old_std)),
        log_std=float(np.mean(np.log(new_std / old_std))),
    )

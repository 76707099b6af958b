"""The conditional random field against a formulation window by window."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lidartune.backbones import build
from lidartune.backbones.crf import CRF


def crf_by_unfolding(crf: CRF, logits: Tensor, xyz: Tensor, mask: Tensor) -> Tensor:
    """Probabilities after three rounds, each with its windows unfolded."""
    batch, classes, height, width = logits.shape
    near_xyz = F.unfold(xyz, (3, 5), padding=(1, 2)).view(batch, 3, 15, height, width)
    weight = (-(near_xyz - xyz.unsqueeze(2)).square().sum(1) / (2 * 0.1**2)).exp()
    probabilities = logits.softmax(1)
    for _ in range(3):
        near = F.unfold(probabilities * mask, (3, 5), padding=(1, 2)).view(batch, classes, 15, height, width)
        message = (near * weight.unsqueeze(1)).sum(2)
        probabilities = (crf.compat_conv(message) + probabilities).softmax(1)
    return probabilities


def scan(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Coordinates (2, 3, 6, 16) that vary slowly, as neighbouring points' do, and a mask (2, 1, 6, 16)."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(2, 1, 6, 16, generator=generator) > 0.3).double()
    xyz = 0.05 * torch.randn(2, 3, 6, 16, generator=generator).double().cumsum(-1)
    return xyz * mask, mask


def test_probabilities_equal_the_unfolded_ones() -> None:
    torch.manual_seed(0)
    crf = CRF(7).double()
    torch.nn.init.normal_(crf.compat_conv.weight)
    logits = torch.randn(2, 7, 6, 16, dtype=torch.double, requires_grad=True)
    xyz, mask = scan()
    found, wanted = crf(logits, xyz, mask).softmax(1), crf_by_unfolding(crf, logits, xyz, mask)
    torch.testing.assert_close(found, wanted)
    assert (found - logits.softmax(1)).abs().max() > 0.1  # it does something
    weight = torch.randn_like(found)
    gradients = [torch.autograd.grad((p * weight).sum(), logits)[0] for p in (found, wanted)]
    torch.testing.assert_close(*gradients)


def test_at_the_start_other_classes_nearby_push() -> None:
    crf = CRF(4)
    weight = crf.compat_conv.weight.detach().squeeze()
    assert torch.equal(weight, 0.1 * (1 - torch.eye(4)))


def test_an_empty_pixel_says_nothing() -> None:
    torch.manual_seed(0)
    crf, (xyz, mask) = CRF(5).double(), scan()
    mask[:] = 1.0
    mask[..., 2, 8] = 0.0
    logits = torch.randn(2, 5, 6, 16).double()
    other = logits.clone()
    other[:, 0, 2, 8] += 3.0
    with torch.no_grad():
        changed = (crf(logits, xyz, mask) != crf(other, xyz, mask)).any(1).any(0)
    assert changed.nonzero().tolist() == [[2, 8]]
    mask[..., 2, 8] = 1.0
    with torch.no_grad():
        changed = (crf(logits, xyz, mask) != crf(other, xyz, mask)).any(1).any(0)
    assert changed.sum() > 15


@pytest.mark.parametrize("name", ["squeezeseg", "darknet21", "cenet"])
def test_the_networks_crf_works_on_its_logits(name: str) -> None:
    net = build(name, channels=0.25, crf=True, inputs=("range", "remission")).double().eval()
    xyz, mask = scan()
    x = torch.cat([torch.randn(2, 1, 6, 16).double(), xyz, torch.randn(2, 1, 6, 16).double()], 1) * mask
    x, mask = F.pad(x, (0, 48)), F.pad(mask, (0, 48))  # to a width that all of them take
    with torch.no_grad():
        found = net(x, mask.squeeze(1).bool()).softmax(1)
        crf, net.CRF = net.CRF, None
        assert crf is not None
        wanted = crf_by_unfolding(crf, net(x), x[:, 1:4], mask)
    torch.testing.assert_close(found, wanted)


def test_the_settings_do_not_learn() -> None:
    net = build("squeezesegv2", channels=0.25, crf=True)
    x = torch.randn(2, 5, 8, 32)
    F.cross_entropy(net(x), torch.randint(0, 20, (2, 8, 32))).backward()
    without = {key for key, p in net.named_parameters() if p.grad is None}
    assert without == {f"CRF.{key}" for key in ("iter", "lcn_size", "xyz_coef", "xyz_sigma")}
    assert net.state_dict()["CRF.iter"] == 3 and net.state_dict()["CRF.lcn_size"].tolist() == [3, 5]

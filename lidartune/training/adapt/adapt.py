"""Carries out an adaptation on a network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.training.adapt.batchnorm import Scans, evaluating, reestimate, shower
from lidartune.training.adapt.model import Adaptation, why_unadaptable
from lidartune.training.adapt.prior import logit_bias, shares_taught, target_prior
from lidartune.training.state import Normalization

PIXELS = 2**19
"""Pixels of all scans together that the target's class shares are estimated on: neighbours say nearly the same."""


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """What an adaptation has found beside the network, which it changed in place.

    Attributes:
        normalization: what the adapted network expects.
        logit_bias: `(C,)` what has been added to the bias of the network's head; zeros without a prior.
        report: what was found, as plain values: `statistics` (`means`, `stds`), `batchnorm` (how far each norm
            moved, `NormShift`) and `prior` (`taught`, `target`; by EM also `pixels`, `iterations`, `converged` and the
            `log_likelihood` per pixel, first and last) where they are the target's.
    """

    normalization: Normalization
    logit_bias: tuple[float, ...]
    report: dict[str, Any]


def adapt(
    network: Network,
    normalization: Normalization,
    adaptation: Adaptation,
    scans: Scans,
    *,
    device: torch.device,
    taught: np.ndarray | None = None,
    oracle: np.ndarray | None = None,
) -> Adapted:
    """Adapts the network in place: its running statistics, and by the prior the bias of its head.

    The same scans in the same order give the same bits. Modes and what takes gradients stay as they are.

    Args:
        normalization: what belongs to the weights.
        scans: a fresh stream of the target's unlabelled canvases at each call; nothing but `image` and `mask` is read.
            The caller has chosen `adaptation.scans` of them.
        taught: `(C,)` the effective prior of the network's training (`effective_prior`); needed by any prior.
        oracle: `(C,)` labelled pixels of each class in the target's training scans; needed by the oracle alone.

    Raises:
        UserError: the adaptation is not possible for this network, or there is no scan.
    """
    reason = why_unadaptable(network.name, adaptation, crf=network.CRF is not None)
    if reason:
        raise UserError(
            "this network cannot be adapted like this",
            where=network.name,
            found=reason,
            do="leave this rung out for this backbone",
        )
    assert adaptation.prior == "none" or taught is not None, "every prior needs the one that was taught"
    assert (adaptation.prior == "oracle") == (oracle is not None), "labels are for the oracle, and for nobody else"
    report: dict[str, Any] = {}
    if adaptation.statistics == "target":
        normalization = Normalization.measured(scans())
        report["statistics"] = asdict(normalization)
    if adaptation.batchnorm != "carried":
        moved = reestimate(network, normalization, scans, adaptation.batchnorm, device)
        report["batchnorm"] = [asdict(norm) for norm in moved]
    bias = np.zeros(network.options.num_classes)
    if taught is not None and adaptation.prior != "none":
        if oracle is None:
            posteriors = _posteriors(network, normalization, scans, taught, device)
            found = target_prior(posteriors, taught)
            target = found.shares
            report["prior"] = {
                "pixels": len(posteriors),
                "iterations": len(found.log_likelihoods),
                "converged": found.converged,
                "log_likelihood": [found.log_likelihoods[0], found.log_likelihoods[-1]],
            }
        else:
            target = shares_taught(oracle, taught)
        bias = logit_bias(taught, target)
        _add_to_head(network, bias)
        report["prior"] = report.get("prior", {}) | {"taught": taught.tolist(), "target": target.tolist()}
    return Adapted(normalization=normalization, logit_bias=tuple(bias.tolist()), report=report)


def _posteriors(
    network: Network, normalization: Normalization, scans: Scans, taught: np.ndarray, device: torch.device
) -> np.ndarray:
    """Class probabilities `(N, C)` float32 of filled pixels, at most PIXELS, evenly spread over each of the scans."""
    show = shower(network, normalization, device)
    never = torch.from_numpy(taught == 0).to(device)
    a_scan = max(1, PIXELS // max(1, sum(1 for _ in scans())))
    found = [np.zeros((0, len(taught)), np.float32)]
    with evaluating(network):
        for scan in scans():
            filled = np.flatnonzero(scan.mask)
            count = min(a_scan, len(filled))
            chosen = torch.from_numpy(filled[np.arange(count) * len(filled) // max(1, count)]).to(device)
            logits = show(scan)[0].flatten(1).index_select(1, chosen).T.masked_fill(never, -torch.inf)
            found.append(logits.double().softmax(1).float().cpu().numpy())
    return np.concatenate(found)


def _add_to_head(network: Network, bias: np.ndarray) -> None:
    """Adds to the logits by the head's own bias, so that whatever uses the weights has it."""
    last = [module for module in network.head.modules() if isinstance(module, nn.Conv2d)][-1]
    assert last.bias is not None
    with torch.no_grad():
        last.bias += torch.from_numpy(bias).to(last.bias)

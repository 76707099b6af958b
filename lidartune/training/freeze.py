"""Carries out a freezing policy on a network; lidartune/training/policies.py says what each one means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.training.policies import FreezePolicy, Group
from lidartune.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Moving:
    """What training changes: the parameters of the modules `trained`, the running statistics of those in `live`.

    `live` modules are in training mode, all others in evaluation mode.
    """

    trained: list[nn.Module]
    live: list[nn.Module]


def _everything(network: Network) -> Moving:
    return Moving(trained=[network], live=[network])


def _all_but_the_encoder(network: Network) -> Moving:
    parts = _parts(network, "decoder", "head", "crf")
    return Moving(trained=parts, live=parts)


def _all_but_the_encoder_s_weights(network: Network) -> Moving:
    return Moving(trained=_parts(network, "decoder", "head", "crf"), live=[network])


def _head(network: Network) -> Moving:
    parts = _parts(network, "head", "crf")
    return Moving(trained=parts, live=parts)


def _first_block(network: Network) -> Moving:
    parts = _parts(network, "stem", "stage1")
    return Moving(trained=parts, live=parts)


def _norms(network: Network) -> Moving:
    norms: list[nn.Module] = [*network.norms()]
    if not norms:
        raise UserError(
            "the policy trains batch normalisation only, and the network has none",
            where="freeze: batchnorm",
            found=network.name,
            do="choose another policy for this backbone",
        )
    return Moving(trained=norms, live=[network])


_MOVING: dict[FreezePolicy, Callable[[Network], Moving]] = {
    "none": _everything,
    "encoder": _all_but_the_encoder,
    "encoder_weights": _all_but_the_encoder_s_weights,
    "head_only": _head,
    "probe_then_full": _everything,  # what it comes to; `policy_at` says when
    "first_block": _first_block,
    "batchnorm": _norms,
}


def _parts(network: Network, *names: str) -> list[nn.Module]:
    groups = network.groups()
    return [module for name in names for module in groups.get(name, [])]


def policy_at(policy: FreezePolicy, recipe: Recipe, update: int) -> FreezePolicy:
    """The policy that holds for the update with this index: `probe_then_full` is `head_only`, then `none`.

    It depends on the index alone, so that the first epochs of a long run are exactly those of a short one.
    """
    if policy != "probe_then_full":
        return policy
    assert recipe.probe_updates is not None, "Plan refuses a study that does not state them"
    return "head_only" if update < recipe.probe_updates else "none"


def apply_freeze(network: Network, policy: FreezePolicy) -> None:
    """Lets the policy's parameters, and no others, take gradients, and puts each module into its mode.

    Raises:
        UserError: `batchnorm` for a network without any.
    """
    moving = _MOVING[policy](network)
    trained = {id(parameter) for part in moving.trained for parameter in part.parameters()}
    trained -= {id(setting) for setting in network.CRF.parameters(recurse=False)} if network.CRF else set()
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    network.eval()
    for part in moving.live:
        part.train()


def trained_groups(network: Network) -> dict[Group, list[nn.Parameter]]:
    """The parameters that take gradients, in the network's order, by the group whose learning rate they have."""
    parts: dict[Group, list[nn.Module]] = {
        "encoder": [network.backbone],
        "decoder": [network.decoder],
        "head": _parts(network, "head", "crf"),
    }
    return {
        group: [p for module in modules for p in module.parameters() if p.requires_grad]
        for group, modules in parts.items()
    }

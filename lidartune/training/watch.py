"""Numbers worth watching while a network trains: how large its gradient is, and how far its weights move.

They are tensors on the network's device, which nothing waits for: they are read once, when the epoch is over or is kept
inside (`EpochSoFar.read`). They change no weight.
"""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from lidartune.backbones.network import Network
from lidartune.training.freeze import trained_groups
from lidartune.training.recipe import Recipe

MEASURED = 4
"""At so many updates of an epoch it is measured how far the weights move."""


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Euclidean norm `()` of the whole gradient, as `torch.nn.utils.clip_grad_norm_` counts it."""
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    return _norm([p.grad for p in parameters if p.grad is not None])


def measured_updates(updates_per_epoch: int) -> frozenset[int]:
    """Indices of the epoch's updates at which the weights' movement is measured: spread evenly, the last among them."""
    count = min(MEASURED, updates_per_epoch)
    return frozenset((k + 1) * updates_per_epoch // count - 1 for k in range(count))


class Movement:
    """How far a step moves the weights of each group that trains: made before the step, asked after it.

    It holds a copy of the weights meanwhile, at a moment when no activations are held.
    """

    def __init__(self, model: Network):
        self._groups = {name: group for name, group in trained_groups(model).items() if group}
        self._before = {name: [p.detach().clone() for p in group] for name, group in self._groups.items()}

    def ratios(self) -> dict[str, float | Tensor]:
        """`update_ratio_<group>`: the Euclidean norm of what was added to a group's weights, over that of the weights.

        Weights are all that the optimiser moves: kernels, biases, scales and shifts.
        """
        found: dict[str, float | Tensor] = {}
        for name, before in self._before.items():
            size = _norm(before)
            moved = _norm(torch._foreach_sub([p.detach() for p in self._groups[name]], before))
            found[f"update_ratio_{name}"] = moved / size.clamp(min=torch.finfo(size.dtype).tiny)
        return found


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """Euclidean norm `()` of all numbers of all tensors."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))


def learning_rates(recipe: Recipe, model: Network, rate: float) -> dict[str, float]:
    """`learning_rate`, and `learning_rate_<group>` of each group that trains, by its factor."""
    factors: dict[str, float] = asdict(recipe.group_learning_rates)
    groups = [name for name, group in trained_groups(model).items() if group]
    return {"learning_rate": rate} | {f"learning_rate_{name}": rate * factors[name] for name in groups}


def summary(numbers: dict[str, list[float]]) -> dict[str, float]:
    """An epoch's numbers from those of its updates: their means, and the largest gradient norm."""
    figures = {name: float(np.mean(values)) for name, values in numbers.items()}
    return figures | {"gradient_norm_largest": max(numbers["gradient_norm"])}


def first_not_finite(numbers: dict[str, list[float]]) -> int | None:
    """Index of the first update whose gradient is not finite."""
    return next((index for index, norm in enumerate(numbers["gradient_norm"]) if not isfinite(norm)), None)

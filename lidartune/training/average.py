"""Exponential moving averages of a network's tensors: of weights for scoring, and of a student for its teacher."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def average_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The average that a series of updates begins with: detached copies, laid out in memory as the tensors are."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def averaged_update(average: dict[str, Tensor], current: Mapping[str, Tensor], decay: float) -> None:
    """In place, `average = decay * average + (1 - decay) * current`, tensor by tensor.

    Decay 1 keeps the average to the bit, decay 0 takes the current tensors to the bit.

    Raises:
        ValueError: the names differ, a tensor holds no floating-point numbers, or the decay is outside [0, 1].
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"a decay of {decay}; it is in [0, 1]")
    kept, new = _paired(average, current)
    if not all(tensor.is_floating_point() for tensor in kept + new):
        raise ValueError("only floating-point tensors have an average; `copied_update` takes counters over")
    if kept:
        torch._foreach_lerp_(kept, new, 1.0 - decay)


@torch.no_grad()
def copied_update(average: dict[str, Tensor], current: Mapping[str, Tensor]) -> None:
    """In place, the current tensors themselves: for counters, and for buffers that are averages already.

    Raises:
        ValueError: the names differ.
    """
    kept, new = _paired(average, current)
    if kept:
        torch._foreach_copy_(kept, new)


def ramped_decay(decay: float, updates: int) -> float:
    """The decay of the update with this index (0 is the first): `min(decay, 1 - 1 / (updates + 1))`.

    The first update takes the current tensors, the next ones their plain mean, until `decay` is reached: early
    weights are forgotten soon. As in the code of Tarvainen and Valpola, NeurIPS 2017; a function of the index alone.
    """
    return min(decay, 1.0 - 1.0 / (updates + 1))


def _paired(average: Mapping[str, Tensor], current: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    if average.keys() != current.keys():
        raise ValueError(f"not in both: {', '.join(sorted(average.keys() ^ current.keys()))}")
    return list(average.values()), [current[name] for name in average]

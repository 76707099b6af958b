"""The exponential moving average of a network in training.

Everything with a fraction is averaged, weights and running statistics alike, so that the statistics are of the same
stretch of training as the weights; counters are copied. Update t of a run (0 is its first) has the decay
`ramped_decay(decay, t)`: the plain mean of the weights so far, until `decay` is reached. What never moves keeps its
bits.
"""

from __future__ import annotations

from torch import Tensor, nn

from lidartune.training.average import average_of, averaged_update, copied_update, ramped_decay


def begun_average(model: nn.Module) -> dict[str, Tensor]:
    """The average of a network before its first update: the network itself."""
    return average_of(model.state_dict())


def follow(average: dict[str, Tensor], model: nn.Module, decay: float, update: int) -> None:
    """Takes the network as it is after the update with this index into the average, in place."""
    current = model.state_dict()
    fractions = [name for name, tensor in average.items() if tensor.is_floating_point()]
    counters = [name for name in average if name not in set(fractions)]
    averaged_update(_of(average, fractions), _of(current, fractions), ramped_decay(decay, update))
    copied_update(_of(average, counters), _of(current, counters))


def _of(tensors: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    return {name: tensors[name] for name in names}

"""A milestone as it is handed to a run that starts there, and the optimiser's memories that may come with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.training.freeze import apply_freeze
from lidartune.training.state import Normalization, optimizer_entries, place_optimizer

Remembered = dict[str, Tensor]
"""What an optimiser remembers of one parameter: momentum; AdamW also its square and how many steps it has taken."""


@dataclass(frozen=True, kw_only=True)
class HandedOn:
    """A milestone, as the run that starts there is handed it.

    Attributes:
        spec, epoch: which it is.
        file, weights: the name and content of the file that holds its tensors.
        class_weights: `(C,)` those that its run was trained with, None where nobody knows.
        optimizer: the content of `optimizer.safetensors`, None where there is none.
        updates: how many its learning rate's schedule has behind it, None where nobody knows.
    """

    spec: RunSpec
    epoch: int
    file: str
    weights: bytes
    normalization: Normalization
    class_weights: np.ndarray | None = None
    optimizer: bytes | None = None
    updates: int | None = None

    @property
    def where(self) -> str:
        return f"{self.spec.folder}, epoch {self.epoch}"


def milestone_memories(milestone: HandedOn, model: Network, optimizer: str) -> dict[str, Remembered]:
    """The milestone's optimiser state by the names of the parameters that its run has trained.

    Args:
        model: a network of the milestone's kind; which of its parameters take gradients is changed.
        optimizer: the kind that is to take the state over.

    Raises:
        UserError: there is no state to be kept, or it is of another kind of optimiser.
    """
    recipe = milestone.spec.recipe
    entries = optimizer_entries(milestone.optimizer, milestone.where) if milestone.optimizer is not None else {}
    forgetful = recipe.optimizer == "sgd" and recipe.momentum == 0 and milestone.optimizer is not None
    if recipe.optimizer != optimizer or (not entries and not forgetful):
        raise UserError(
            "the milestone's optimiser cannot be kept",
            where=milestone.where,
            found=recipe.optimizer if entries else "a network without an optimiser: imported, or not trained",
            wanted=optimizer,
            do="set recipe_second_stage.start.optimizer=fresh",
        )
    apply_freeze(model, milestone.spec.freeze)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return {trained[number]: entry for number, entry in entries.items()}


def give_memories(optimizer: torch.optim.Optimizer, trained: Sequence[str], memories: Mapping[str, Remembered]) -> None:
    """Gives an optimiser the memories of its parameters, in place; one without begins as with a fresh optimiser.

    Args:
        trained: the names of the optimiser's parameters, in its order.
    """
    numbered = {number: dict(memories[name]) for number, name in enumerate(trained) if name in memories}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, memory in numbered.items():  # torch's fused steps walk over memory without looking
        assert all(t.dim() == 0 or t.shape == parameters[number].shape for t in memory.values()), trained[number]
    if isinstance(optimizer, torch.optim.SGD) and numbered:
        begin = 0
        for group in optimizer.param_groups:
            members = range(begin, begin := begin + len(group["params"]))
            if any(number in numbered for number in members):  # torch's fused SGD has momentum for all of a group
                for number in members:  # a momentum of 0 gives the step that none gives
                    numbered.setdefault(number, {"momentum_buffer": torch.zeros_like(parameters[number])})
    if numbered:
        place_optimizer(optimizer, numbered)

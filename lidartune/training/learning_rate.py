"""The learning rate as a function of the update's index alone, and which runs may be kept on their way. No torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lidartune.training.recipe import Recipe


def decayed(update: int, decay_per_epoch: float, updates_per_epoch: int) -> float:
    """lidar-bonnetal's `d^step` with `d = decay^(1/updates per epoch)`."""
    return decay_per_epoch ** (update / updates_per_epoch)


def cosine(update: int, updates: int) -> float:
    """From 1 at update 0 down to 0 at `updates` and ever after, along half a cosine: Loshchilov and Hutter, ICLR 2017,
    equation 5 without restarts."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, update / updates)))


def why_no_milestone(recipe: Recipe, epoch: int, *, starts: bool = False, behind: int = 0) -> str | None:
    """The reason why a run of this recipe cannot be kept at this epoch, or None.

    A decaying learning rate knows no end, so that every epoch is the last one of a shorter run: any can be a milestone.
    Half a cosine is made for one length: what it has reached before its end is no result of a shorter run, and what
    it has reached at its end has a learning rate of 0.

    Args:
        epoch: the epoch that is to be kept, and reported.
        starts: whether another run starts from it.
        behind: the updates that the schedule has behind it at epoch 0, where `start.learning_rate` is `continued`.
    """
    if recipe.schedule != "cosine" or epoch == 0:
        return None
    updates = behind + epoch * recipe.updates_per_epoch
    if recipe.cosine_updates is None:
        return f"the schedule cosine needs cosine_updates: {updates:,} for a run that ends at epoch {epoch}"
    if starts:
        return "a run with the schedule cosine ends with learning rate 0: nothing starts from it (use schedule: decay)"
    if updates != recipe.cosine_updates:
        return (
            f"the schedule cosine is made for {recipe.cosine_updates:,} updates, and epoch {epoch} comes after "
            f"{updates:,}: no result of a run that long (set cosine_updates, or use schedule: decay)"
        )
    return None

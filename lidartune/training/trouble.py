"""What can go wrong while a network trains, said so that a person knows what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
"""How torch's messages for a full memory read, in small letters."""


class TrainingDiverged(Exception):
    """The loss is no number any more: trying again would repeat it."""


class NotFinite(Exception):
    """A number of one update is not finite."""


def diverged(spec: RunSpec, what: str) -> TrainingDiverged:
    """The exception that ends a run, with what may help."""
    recipe = spec.recipe
    clip = "" if recipe.clip_gradient_norm else ", or recipe.clip_gradient_norm,"
    return TrainingDiverged(
        f"{what}; a lower recipe.learning_rate than {recipe.learning_rate} or a longer recipe.warmup_updates{clip} "
        "may help"
    )


@contextmanager
def memory_named(spec: RunSpec) -> Iterator[None]:
    """Turns a full memory into one message that says what took it and what to lower.

    Raises:
        UserError: memory of the machine or of its accelerator ran out inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = str(error)
        if not isinstance(error, MemoryError) and not any(words in said.lower() for words in NO_MEMORY):
            raise
        on_device = isinstance(error, torch.OutOfMemoryError)
        recipe, canvas = spec.recipe, spec.canvas
        parts = f" in {recipe.accumulation} parts" if recipe.accumulation > 1 else ""
        share = "give a trial more of a GPU (resources.gpus_per_trial)"
        if not on_device:
            share = "run fewer trials at once (resources.trials_at_once), or lower resources.scan_memory_gib"
        raise UserError(
            "the GPU's memory is full" if on_device else "the machine's memory is full",
            where=spec.name,
            found=f"batches of {recipe.batch_size} scans{parts} on a canvas of {canvas.height} x {canvas.width}",
            do=f"lower recipe.batch_size or grid.width, take a batch in parts (recipe.accumulation), or {share}",
        ) from error

"""Of the recipes that a search may draw the one that takes most memory and time. Knows neither Ray nor torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lidartune.config import StudyConfig, read_space
from lidartune.config.space import Section
from lidartune.runs.spec import RunSpec
from lidartune.tuning.footprint import OPTIMIZER_MEMORIES
from lidartune.tuning.space import ends_of

HUNGER: dict[str, Callable[[Any], float]] = {
    "batch_size": lambda scans: scans,
    "accumulation": lambda parts: -parts,
    "optimizer": lambda name: OPTIMIZER_MEMORIES[name],
    "ema": lambda value: value is not None,  # a field inside it, `ema.decay`, brings an average too
    "precise_batchnorm": lambda scans: scans is not None,
}
"""Fields of a recipe that a run's memory, time and disk depend on; each takes more the higher this is."""


def hungriest(config: StudyConfig, spec: RunSpec) -> RunSpec:
    """The run with those values of all that may be drawn for it by which it takes most; itself where none is.

    Args:
        spec: a run with the study's own recipe.
    """
    section: Section = "finetuning" if spec.start or spec.domain == "real" else "pretraining"
    changes = _hungriest_values(config, section)
    if not changes or spec.imported:
        return spec
    starts = spec.start is not None
    recipe = config.recipe_for(
        spec.backbone,
        spec.domain,
        second_stage=starts,
        updates_per_epoch=spec.recipe.updates_per_epoch,
        changes=changes,
    )
    return replace(spec, recipe=recipe.for_run(spec.freeze, spec.domain, backbone=spec.backbone, starts=starts))


def _hungriest_values(config: StudyConfig, section: Section) -> dict[str, Any]:
    """Of each field that is drawn in this section and matters here the value that takes most."""
    found = {}
    for field, values in read_space(config, section).items():
        hunger = HUNGER.get(field.split(".")[0])
        if hunger is not None:
            found[field] = max(ends_of(values), key=hunger)
    return found

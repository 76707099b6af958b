"""Which network is scored: the one that trains, its average, or one with running statistics measured anew."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import torch

from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile, spread
from lidartune.training.freeze import apply_freeze, policy_at
from lidartune.training.loader import ScanReader
from lidartune.training.precise import live_norms, measure_statistics
from lidartune.training.state import TrainingState


def scored_state(
    spec: RunSpec, state: TrainingState, scans: Sequence[ScanFile], reader: ScanReader, device: torch.device
) -> TrainingState:
    """The state with the network that is scored: a copy, where it is not the one that trains, which stays as it is.

    Statistics that the freeze policy fixes are measured anew no more than they follow. Epoch 0 of a run that starts
    from a milestone is scored as it was handed on, so that it equals the milestone's own score.
    """
    recipe = spec.recipe
    handed_on = state.epoch == 0 and (spec.start is not None or spec.imported is not None)
    precise = recipe.precise_batchnorm if not handed_on else None
    if state.average is None and precise is None:
        return state
    model = copy.deepcopy(state.model)
    if state.average is not None:
        model.load_state_dict(state.average)
    if precise is not None:
        last = max(0, state.epoch * recipe.updates_per_epoch - 1)
        apply_freeze(model, policy_at(spec.freeze, recipe, last))
        measure_statistics(
            model,
            live_norms(model),
            state.normalization,
            spread(scans, precise),
            reader,
            spec.canvas,
            recipe.batch_size,
            device,
        )
    return dataclasses.replace(state, model=model)

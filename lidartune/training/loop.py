"""One epoch of training. No Ray in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
import torch

from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile
from lidartune.training.augment import augmented
from lidartune.training.checkpoint import restore_generators
from lidartune.training.ema import follow
from lidartune.training.freeze import apply_freeze, policy_at
from lidartune.training.loader import Alteration, ScanReader
from lidartune.training.policies import FreezePolicy
from lidartune.training.seeding import derived_seed, scan_order, sequence_order
from lidartune.training.state import EpochSoFar, TrainingState
from lidartune.training.trouble import NotFinite, TrainingDiverged, diverged, memory_named
from lidartune.training.update import one_update

__all__ = ["TrainingDiverged", "epoch_alteration", "epoch_order", "train_epoch"]


def epoch_order(spec: RunSpec, scans: Sequence[ScanFile], epoch: int) -> np.ndarray:
    """Indices of the scans that an epoch draws, in order, as the recipe's `sampling` says."""
    recipe = spec.recipe
    draws = recipe.updates_per_epoch * recipe.batch_size
    if recipe.sampling == "sequences":
        return sequence_order([scan.sequence for scan in scans], draws, spec.seed, epoch)
    return scan_order(len(scans), draws, spec.seed, epoch)


def epoch_alteration(spec: RunSpec, epoch: int, first: int = 0) -> Alteration | None:
    """The recipe's augmentation, each draw by a seed of its own: neither threads nor other draws change it.

    Args:
        first: the draw of the epoch that the stream begins with.
    """
    augmentation = spec.recipe.augmentation
    if augmentation.off:
        return None
    return lambda draw, points, truth: augmented(
        points, truth, augmentation, derived_seed(spec.seed, "augmentation", epoch, first + draw)
    )


def train_epoch(
    spec: RunSpec,
    state: TrainingState,
    scans: Sequence[ScanFile],
    reader: ScanReader,
    device: torch.device,
    keep: Callable[[TrainingState], None] | None = None,
) -> dict[str, float]:
    """Trains one epoch in place, or the rest of one that was begun, and returns its numbers.

    Those are means over the epoch's updates: `loss`, and where there is more than one term each of them as
    `loss_<term>`, `gradient_norm` where it is clipped; and its last `learning_rate`, before any group's factor.

    Args:
        keep: called after every update but the last, when the state could be kept (training/checkpoint.py).

    Raises:
        TrainingDiverged: when the loss, a gradient that is clipped, or a weight is not finite; the state is then of no
            use any more.
        UserError: memory is full.
    """
    recipe, epoch = spec.recipe, state.epoch + 1
    weights = torch.from_numpy(state.class_weights).to(device)
    order = epoch_order(spec, scans, epoch)
    so_far = state.so_far = _begun(spec, state, device)
    begin, rate = so_far.updates * recipe.batch_size, 0.0
    policy: FreezePolicy | None = None
    drawn = [scans[i] for i in order[begin:]]
    stream = reader.training_stream(drawn, spec.canvas, epoch_alteration(spec, epoch, begin))
    with closing(stream), memory_named(spec):
        for update in range(so_far.updates, recipe.updates_per_epoch):
            since_start = state.epoch * recipe.updates_per_epoch + update
            before, policy = policy, policy_at(spec.freeze, recipe, since_start)
            if policy != before:
                apply_freeze(state.model, policy)
            rate = recipe.learning_rate_at(since_start, behind=state.behind)
            for group in state.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            batch = [next(stream) for _ in range(recipe.batch_size)]
            try:
                numbers = one_update(recipe, state, batch, weights, device)
            except NotFinite as error:
                first = order[update * recipe.batch_size : (update + 1) * recipe.batch_size]
                names = ", ".join(f"{scans[i].sequence}/{scans[i].name}" for i in first)
                raise diverged(spec, f"{error} in epoch {epoch}, update {update + 1} (scans {names})") from None
            if state.average is not None and recipe.ema:
                follow(state.average, state.model, recipe.ema.decay, since_start)
            _note(so_far, numbers)
            if keep is not None and so_far.updates < recipe.updates_per_epoch:
                keep(state)
    if not all(bool(parameter.isfinite().all()) for parameter in state.model.parameters()):
        raise diverged(spec, f"weights became infinite in epoch {epoch}")
    state.epoch, state.so_far = epoch, None
    return {name: float(np.mean(values)) for name, values in so_far.numbers.items()} | {"learning_rate": rate}


def _begun(spec: RunSpec, state: TrainingState, device: torch.device) -> EpochSoFar:
    """What is done of the epoch; torch's generators stand where they did then."""
    torch.manual_seed(derived_seed(spec.seed, "dropout", state.epoch + 1))
    if state.so_far is None:
        return EpochSoFar()
    restore_generators(state.so_far.generators, device)
    return state.so_far


def _note(so_far: EpochSoFar, numbers: dict[str, float]) -> None:
    so_far.updates += 1
    for name, value in numbers.items():
        so_far.numbers.setdefault(name, []).append(value)

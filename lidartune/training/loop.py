"""One epoch of training. No Ray in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile
from lidartune.training.begin import Scans
from lidartune.training.checkpoint import restore_generators
from lidartune.training.draws import epoch_batches, epoch_draws
from lidartune.training.ema import follow
from lidartune.training.freeze import apply_freeze, policy_at
from lidartune.training.loader import ScanReader
from lidartune.training.policies import FreezePolicy
from lidartune.training.raydrop import counted_probability
from lidartune.training.seeding import derived_seed
from lidartune.training.self_training import lesson
from lidartune.training.state import EpochSoFar, TrainingState
from lidartune.training.teacher import update_teacher
from lidartune.training.trouble import NotFinite, diverged, memory_named
from lidartune.training.update import one_update
from lidartune.training.watch import first_not_finite, learning_rates, measured_updates, summary


def train_epoch(
    spec: RunSpec,
    state: TrainingState,
    scans: Sequence[ScanFile],
    reader: ScanReader,
    device: torch.device,
    keep: Callable[[TrainingState], None] | None = None,
    other: Scans | None = None,
) -> dict[str, float]:
    """Trains one epoch in place, or the rest of one that was begun, and returns its numbers.

    Those are means over the epoch's updates: `loss`, and where there is more than one term each of them as
    `loss_<term>`; `gradient_norm`, before any clipping, and `gradient_norm_largest`; for each group of the network that
    trains `update_ratio_<group>` (lidartune/training/watch.py). And of its last update the `learning_rate`, and
    `learning_rate_<group>`, by its factor.

    Args:
        keep: called after every update but the last, when the state could be kept (training/checkpoint.py).
        other: training scans of the domain that the run is not on, where its spec says that it sees them.

    Raises:
        TrainingDiverged: when the loss, the gradient or a weight is not finite; the state is then of no use any more.
            Of the loss and of a gradient that is clipped it is known at once, else when the epoch is over.
        UserError: memory is full.
    """
    recipe, epoch = spec.recipe, state.epoch + 1
    weights = torch.from_numpy(state.class_weights).to(device)
    so_far = state.so_far = _begun(spec, state, device)
    rate = 0.0
    policy: FreezePolicy | None = None
    measured = measured_updates(recipe.updates_per_epoch)

    own = Scans(files=scans, reader=reader)
    draws = epoch_draws(spec, scans, other.files if other else (), epoch)

    def where(update: int) -> str:
        return f"epoch {epoch}, update {update + 1} (scans {draws.names(update)})"

    batches = epoch_batches(spec, draws, epoch, so_far.updates, own, other, _raydrop(spec, state, own, other))
    with closing(batches), memory_named(spec):
        for update in range(so_far.updates, recipe.updates_per_epoch):
            since_start = state.epoch * recipe.updates_per_epoch + update
            before, policy = policy, policy_at(spec.freeze, recipe, since_start)
            if policy != before:
                apply_freeze(state.model, policy)
            rate = recipe.learning_rate_at(since_start, behind=state.behind)
            for group in state.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            learnt = lesson(spec, state, next(batches), device)
            try:
                numbers = one_update(
                    recipe,
                    state,
                    learnt.scans,
                    weights,
                    device,
                    others=learnt.others,
                    others_weight=learnt.weight,
                    measured=update in measured,
                )
            except NotFinite as error:
                _check_gradients(spec, so_far, where)  # a batch before this one may have broken the weights
                raise diverged(spec, f"{error} in {where(update)}") from None
            if state.average is not None and recipe.ema:
                follow(state.average, state.model, recipe.ema.decay, since_start)
            if state.teacher is not None and spec.joint and spec.joint.teacher:
                update_teacher(state.teacher, state.model, spec.joint.teacher.decay)
            _note(so_far, numbers | learnt.numbers)
            if keep is not None and so_far.updates < recipe.updates_per_epoch:
                keep(state)
    found = _check_gradients(spec, so_far, where)
    if not all(bool(parameter.isfinite().all()) for parameter in state.model.parameters()):
        raise diverged(spec, f"weights became infinite in epoch {epoch}")
    state.epoch, state.so_far = epoch, None
    return summary(found) | learning_rates(recipe, state.model, rate)


def _check_gradients(spec: RunSpec, so_far: EpochSoFar, where: Callable[[int], str]) -> dict[str, list[float]]:
    """The numbers of the epoch so far; TrainingDiverged, naming the batch, where a gradient was not finite."""
    found = so_far.read()
    if so_far.updates and (broken := first_not_finite(found)) is not None:
        raise diverged(spec, f"the gradient's norm became {found['gradient_norm'][broken]} in {where(broken)}")
    return found


def _raydrop(
    spec: RunSpec, state: TrainingState, own: Scans, other: Scans | None
) -> float | np.ndarray | None:
    """With what probability the run's own scans lose each filled pixel, None where the recipe has them lose none."""
    if spec.recipe.raydrop != "off" and state.raydrop is None:
        assert other is not None and other.files, "the plan names the scans that lost rays are counted on"
        state.raydrop = counted_probability(spec, own, other)
    return state.raydrop


def _begun(spec: RunSpec, state: TrainingState, device: torch.device) -> EpochSoFar:
    """What is done of the epoch; torch's generators stand where they did then."""
    torch.manual_seed(derived_seed(spec.seed, "dropout", state.epoch + 1))
    if state.so_far is None:
        return EpochSoFar()
    restore_generators(state.so_far.generators, device)
    return state.so_far


def _note(so_far: EpochSoFar, numbers: dict[str, float | Tensor]) -> None:
    so_far.updates += 1
    for name, value in numbers.items():
        so_far.numbers.setdefault(name, []).append(value)

"""One epoch of training, and what a run begins with. No Ray in sight."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile, canvas_statistics, class_counts, class_weights, spread
from lidartune.training.augment import augmented
from lidartune.training.freeze import apply_freeze, policy_at
from lidartune.training.loader import Alteration, PreparedScan, ScanReader, TrainingScan
from lidartune.training.policies import FreezePolicy
from lidartune.training.seeding import derived_seed, scan_order, sequence_order
from lidartune.training.state import (
    Normalization,
    TrainingState,
    new_model,
    new_state,
    place_weights,
)


class TrainingDiverged(Exception):
    """The loss is no number any more: trying again would repeat it."""


def training_weights(spec: RunSpec, scans: Sequence[ScanFile], reader: ScanReader) -> np.ndarray:
    """Class weights `(20,)`, counted on (a spread of) the run's own training scans."""
    recipe = spec.recipe
    if recipe.class_weights == "none":
        return np.array([0.0] + [1.0] * 19, dtype=np.float32)
    chosen = spread(scans, recipe.statistics_scans)
    counts = class_counts(scan.truth for scan in reader.training_stream(chosen, spec.canvas))
    weights = class_weights(counts, recipe.class_weight_epsilon)
    return np.sqrt(weights) if recipe.class_weights == "sqrt" else weights


def fresh_state(spec: RunSpec, scans: Sequence[ScanFile], reader: ScanReader, device: torch.device) -> TrainingState:
    """Epoch 0 of a run from nothing: random weights of its seed, normalisation measured on its training scans."""
    chosen = spread(scans, spec.recipe.statistics_scans)
    means, stds = canvas_statistics(reader.training_stream(chosen, spec.canvas))
    stds = np.where(stds > 0, stds, 1.0)  # a channel that never varies, as remission where a sensor reports none
    normalization = Normalization(means=tuple(map(float, means)), stds=tuple(map(float, stds)))
    torch.manual_seed(derived_seed(spec.seed, "weights"))
    model = new_model(spec, device)
    return new_state(spec, model, normalization, training_weights(spec, scans, reader))


def state_from_milestone(
    spec: RunSpec,
    weights: bytes,
    normalization: Normalization,
    scans: Sequence[ScanFile],
    reader: ScanReader,
    device: torch.device,
) -> TrainingState:
    """Epoch 0 of a run that starts from another's: its weights, head and normalisation; optimiser and warm-up anew."""
    assert spec.start is not None
    model = new_model(spec, device)
    place_weights(model, weights, f"{spec.start.run}, epoch {spec.start.epoch}")
    return new_state(spec, model, normalization, training_weights(spec, scans, reader))


def imported_state(
    spec: RunSpec, weights: bytes, normalization: Normalization, device: torch.device
) -> TrainingState:
    """A network that was trained elsewhere, to be scored: its class weights, which training alone needs, are 0."""
    model = new_model(spec, device)
    place_weights(model, weights, spec.folder)
    return new_state(spec, model, normalization, np.zeros(spec.network.num_classes, dtype=np.float32))


def to_batch(
    scans: Sequence[TrainingScan] | Sequence[PreparedScan], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Images `(B, 5, H, W)`, masks `(B, H, W)` and true classes `(B, H, W)` int64 on the device."""
    images = torch.from_numpy(np.stack([scan.image for scan in scans]))
    masks = torch.from_numpy(np.stack([scan.mask for scan in scans]))
    truth = torch.from_numpy(np.stack([scan.truth_image for scan in scans]))
    return images.to(device), masks.to(device), truth.to(device).long()  # widened there: an eighth to carry over


def epoch_order(spec: RunSpec, scans: Sequence[ScanFile], epoch: int) -> np.ndarray:
    """Indices of the scans that an epoch draws, in order, as the recipe's `sampling` says."""
    recipe = spec.recipe
    draws = recipe.updates_per_epoch * recipe.batch_size
    if recipe.sampling == "sequences":
        return sequence_order([scan.sequence for scan in scans], draws, spec.seed, epoch)
    return scan_order(len(scans), draws, spec.seed, epoch)


def epoch_alteration(spec: RunSpec, epoch: int) -> Alteration | None:
    """The recipe's augmentation, each draw by a seed of its own: neither threads nor other draws change it."""
    augmentation = spec.recipe.augmentation
    if augmentation.off:
        return None
    return lambda draw, points, truth: augmented(
        points, truth, augmentation, derived_seed(spec.seed, "augmentation", epoch, draw)
    )


def weighted_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Weighted negative log-likelihood over labelled pixels, divided by the sum of their weights; 0 without any."""
    loss = torch.nn.functional.cross_entropy(logits, truth, weight=weights, ignore_index=0, reduction="sum")
    return loss / weights[truth].sum().clamp(min=1e-12)


def train_epoch(
    spec: RunSpec, state: TrainingState, scans: Sequence[ScanFile], reader: ScanReader, device: torch.device
) -> dict[str, float]:
    """Trains one epoch in place and returns its mean loss and last learning rate, before any group's factor.

    Raises:
        TrainingDiverged: when the loss or a weight is not finite; the state is then of no use any more.
    """
    recipe = spec.recipe
    epoch = state.epoch + 1
    torch.manual_seed(derived_seed(spec.seed, "dropout", epoch))
    weights = torch.from_numpy(state.class_weights).to(device)
    order = epoch_order(spec, scans, epoch)
    losses, rate = [], 0.0
    policy: FreezePolicy | None = None
    drawn = [scans[i] for i in order]
    with closing(reader.training_stream(drawn, spec.canvas, epoch_alteration(spec, epoch))) as stream:
        for update in range(recipe.updates_per_epoch):
            since_start = state.epoch * recipe.updates_per_epoch + update
            before, policy = policy, policy_at(spec.freeze, recipe, since_start)
            if policy != before:
                apply_freeze(state.model, policy)
            rate = recipe.learning_rate_at(since_start)
            for group in state.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            batch = [next(stream) for _ in range(recipe.batch_size)]
            images, masks, truth = to_batch(batch, device)
            logits = state.model(state.normalization.apply(images, masks), masks)
            loss = weighted_loss(logits, truth, weights)
            value = float(loss.detach())
            if not np.isfinite(value):
                first = order[update * recipe.batch_size : (update + 1) * recipe.batch_size]
                names = ", ".join(f"{scans[i].sequence}/{scans[i].name}" for i in first)
                raise _diverged(spec, f"the loss became {value} in epoch {epoch}, update {update + 1} (scans {names})")
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            state.optimizer.step()
            losses.append(value)
    if not all(bool(parameter.isfinite().all()) for parameter in state.model.parameters()):
        raise _diverged(spec, f"weights became infinite in epoch {epoch}")
    state.epoch = epoch
    return {"loss": float(np.mean(losses)), "learning_rate": rate}


def _diverged(spec: RunSpec, what: str) -> TrainingDiverged:
    rate = spec.recipe.learning_rate
    return TrainingDiverged(
        f"{what}; a lower recipe.learning_rate than {rate} or a longer recipe.warmup_updates may help"
    )

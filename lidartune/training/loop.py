"""One epoch of training, and what a run begins with. No Ray in sight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile, canvas_statistics, class_counts, class_weights, spread
from lidartune.training.freeze import training_mode
from lidartune.training.loader import PreparedScan, ScanReader
from lidartune.training.seeding import derived_seed, scan_order
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
    counts = class_counts(scan.truth for scan in reader.stream(chosen, spec.canvas))
    weights = class_weights(counts, recipe.class_weight_epsilon)
    return np.sqrt(weights) if recipe.class_weights == "sqrt" else weights


def fresh_state(spec: RunSpec, scans: Sequence[ScanFile], reader: ScanReader, device: torch.device) -> TrainingState:
    """Epoch 0 of a run from nothing: random weights of its seed, normalisation measured on its training scans."""
    chosen = spread(scans, spec.recipe.statistics_scans)
    means, stds = canvas_statistics(scan.canvas for scan in reader.stream(chosen, spec.canvas))
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


def to_batch(scans: Sequence[PreparedScan], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images `(B, 5, H, W)`, masks `(B, H, W)` and true classes `(B, H, W)` on the device."""
    images = torch.from_numpy(np.stack([scan.canvas.image for scan in scans]))
    masks = torch.from_numpy(np.stack([scan.canvas.mask for scan in scans]))
    truth = torch.from_numpy(np.stack([scan.truth_image for scan in scans]).astype(np.int64))
    return images.to(device), masks.to(device), truth.to(device)


def weighted_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Weighted negative log-likelihood over labelled pixels, divided by the sum of their weights; 0 without any."""
    loss = torch.nn.functional.cross_entropy(logits, truth, weight=weights, ignore_index=0, reduction="sum")
    return loss / weights[truth].sum().clamp(min=1e-12)


def train_epoch(
    spec: RunSpec, state: TrainingState, scans: Sequence[ScanFile], reader: ScanReader, device: torch.device
) -> dict[str, float]:
    """Trains one epoch in place and returns its mean loss and last learning rate.

    Raises:
        TrainingDiverged: when the loss or a weight is not finite; the state is then of no use any more.
    """
    recipe = spec.recipe
    epoch = state.epoch + 1
    torch.manual_seed(derived_seed(spec.seed, "dropout", epoch))
    training_mode(state.model, spec.freeze)
    weights = torch.from_numpy(state.class_weights).to(device)
    order = scan_order(len(scans), recipe.updates_per_epoch * recipe.batch_size, spec.seed, epoch)
    stream = reader.stream([scans[i] for i in order], spec.canvas)
    losses, rate = [], 0.0
    for update in range(recipe.updates_per_epoch):
        rate = recipe.learning_rate_at(state.epoch * recipe.updates_per_epoch + update)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        batch = [next(stream) for _ in range(recipe.batch_size)]
        images, masks, truth = to_batch(batch, device)
        logits = state.model(state.normalization.apply(images, masks))
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

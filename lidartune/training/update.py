"""One update of a network: forward, loss, backward, step."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from operator import add

import numpy as np
import torch
from torch import Tensor

from lidartune.training.batches import to_batch
from lidartune.training.loader import Drawn
from lidartune.training.losses import loss_terms
from lidartune.training.recipe import Recipe
from lidartune.training.state import Normalization, TrainingState
from lidartune.training.trouble import NotFinite
from lidartune.training.watch import Movement, gradient_norm


def one_update(
    recipe: Recipe,
    state: TrainingState,
    batch: Sequence[Drawn],
    weights: Tensor,
    device: torch.device,
    *,
    others: Sequence[Drawn] = (),
    others_weight: float = 0.0,
    measured: bool = False,
) -> dict[str, float | Tensor]:
    """Takes one step in place; returns the loss and what else is worth a line: its terms, the gradient's norm.

    The loss is read from the device at every update, so that a batch that breaks it is named and takes no step.

    Args:
        weights: class weights `(C,)` on the device.
        others: a lot that goes through the network by itself, after the batch; the loss is the batch's plus
            `others_weight` times that of these. What they add is a number of its own, `loss_other`.
        measured: return too how far the step moves the weights.

    Raises:
        NotFinite: the loss, or the gradient where it is clipped; no step was taken.
    """
    state.optimizer.zero_grad(set_to_none=True)
    numbers = accumulate_gradient(recipe, state.model, state.normalization, batch, weights, device)
    if others:
        theirs = accumulate_gradient(
            recipe, state.model, state.normalization, others, weights, device, times=others_weight
        )
        numbers = {name: value + theirs[name] for name, value in numbers.items()} | {"loss_other": theirs["loss"]}
    if recipe.clip_gradient_norm is None:
        numbers["gradient_norm"] = gradient_norm(state.optimizer)
    else:
        trained = [p for p in state.model.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(trained, recipe.clip_gradient_norm))
        if not np.isfinite(norm):
            raise NotFinite(f"the gradient's norm became {norm}")
        numbers["gradient_norm"] = norm
    movement = Movement(state.model) if measured else None
    state.optimizer.step()
    return numbers | movement.ratios() if movement else numbers


def accumulate_gradient(
    recipe: Recipe,
    model: torch.nn.Module,
    normalization: Normalization,
    batch: Sequence[Drawn],
    weights: Tensor,
    device: torch.device,
    *,
    times: float = 1.0,
) -> dict[str, float | Tensor]:
    """Adds the gradient of a batch, taken in `recipe.accumulation` parts, to what the parameters have.

    Each part's loss counts as its share of the batch's summed class weights; the shares sum to 1. All counts `times`.

    Raises:
        NotFinite: the loss of a part.
    """
    parts = in_parts(batch, recipe.accumulation)
    shares = _shares(parts, weights) if len(parts) > 1 else None
    numbers: dict[str, float | Tensor] = {}
    for number, part in enumerate(parts):
        images, masks, truth = to_batch(part, device)
        with precision(recipe, device):
            logits = model(normalization.apply(images, masks), masks)
        terms = loss_terms(logits, truth, weights, recipe.loss)
        if shares is not None:
            terms = {name: term * shares[number] for name, term in terms.items()}
        if times != 1.0:
            terms = {name: term * times for name, term in terms.items()}
        loss = reduce(add, terms.values())
        found: dict[str, float | Tensor] = {"loss": float(loss.detach())}
        if not np.isfinite(found["loss"]):
            raise NotFinite(f"the loss became {found['loss']}")
        if len(terms) > 1:
            found |= {f"loss_{name}": term.detach() for name, term in terms.items()}
        numbers = {name: numbers.get(name, 0.0) + value for name, value in found.items()}
        loss.backward()
    return numbers


def in_parts(batch: Sequence[Drawn], count: int) -> list[list[Drawn]]:
    """The batch in `count` parts as equal as can be, in order; none is empty."""
    bounds = np.linspace(0, len(batch), min(count, len(batch)) + 1).round().astype(int)
    return [list(batch[begin:end]) for begin, end in zip(bounds[:-1], bounds[1:], strict=True)]


def _shares(parts: Sequence[Sequence[Drawn]], weights: Tensor) -> Tensor:
    """`(parts,)` on the device: each part's summed class weights over those of all; 0 where nothing is labelled."""
    classes = len(weights)
    counts = [sum(np.bincount(scan.truth_image.ravel(), minlength=classes) for scan in part) for part in parts]
    of_classes = torch.from_numpy(np.stack(counts).astype(np.float64)).to(weights.device)
    sums = of_classes @ weights.double()
    return (sums / sums.sum().clamp(min=1e-12)).to(weights.dtype)


def precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, dtype=torch.bfloat16) if recipe.amp == "bf16" else nullcontext()

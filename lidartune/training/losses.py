"""The terms of the loss over a batch's labelled pixels: negative log-likelihood, focal loss, Lovasz-softmax.

Shapes throughout: logits `(B, C, H, W)`, true classes `(B, H, W)` int64, class weights `(C,)`, the first of them 0.
Pixels of class 0, unlabelled or empty, have no part in any term; the softmax is over all C classes, class 0 included. A
batch without any labelled pixel has loss 0 and gradient 0. Each term is a mean, so that neither the size of the canvas
nor the scale of the class weights changes it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lidartune.training.loss_terms import Loss

SMALLEST = 1e-12
"""What a sum of weights is divided by where there is no labelled pixel."""

MANY = 1 << 15
"""From so many numbers on, torch sorts whole ones by radix on a CPU: 7 to 14 times as fast as floats."""


def loss_terms(logits: Tensor, truth: Tensor, weights: Tensor, loss: Loss) -> dict[str, Tensor]:
    """The terms that are on, each times its weight in `loss`; their sum is the loss. Half precision is widened first.

    The names are the fields of `Loss`: `nll` (which holds the label smoothing), `focal`, `lovasz`.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    terms = {}
    if loss.nll:
        terms["nll"] = loss.nll * smoothed_loss(logits, truth, weights, loss.label_smoothing)
    if loss.focal:
        terms["focal"] = loss.focal * focal_loss(logits, truth, weights, loss.focal_gamma)
    if loss.lovasz:
        terms["lovasz"] = loss.lovasz * lovasz_softmax(logits, truth)
    return terms


def weighted_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Weighted negative log-likelihood over labelled pixels, divided by the sum of their weights; 0 without any."""
    loss = functional.cross_entropy(logits, truth, weight=weights, ignore_index=0, reduction="sum")
    return loss / weights[truth].sum().clamp(min=SMALLEST)


def smoothed_loss(logits: Tensor, truth: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """`weighted_loss` against a target that gives `smoothing` of its mass evenly to the C - 1 real classes.

    A pixel's cross-entropy with its smoothed target has the weight of its true class, whatever class the mass goes to
    (torch's own `label_smoothing` weighs each class's share by that class, and gives class 0 a share too).
    """
    likelihood = weighted_loss(logits, truth, weights)
    if not smoothing:
        return likelihood
    evenly = -functional.log_softmax(logits, 1)[:, 1:].mean(1)
    return (1 - smoothing) * likelihood + smoothing * _weighted_mean(evenly, truth, weights)


def focal_loss(logits: Tensor, truth: Tensor, weights: Tensor, gamma: float) -> Tensor:
    """Focal loss: the weighted mean of `-(1 - p)^gamma log p` over labelled pixels, p the true class's probability.

    Lin and others, ICCV 2017, equation 5 with a class weight in the place of alpha. They divide by the number of
    anchors that hold an object; here the divisor is the sum of the pixels' class weights, as in `weighted_loss`, which
    this is for gamma 0.
    """
    surprise = functional.cross_entropy(logits, truth, ignore_index=0, reduction="none")
    missing = -torch.expm1(-surprise)  # 1 - p without cancellation
    # where p rounds to 1, a gamma below 1 has a power of infinite slope, times 0: the clamp gives it slope 0
    missing = missing.clamp(min=torch.finfo(missing.dtype).tiny)
    return _weighted_mean(missing**gamma * surprise, truth, weights)


def _weighted_mean(of_pixels: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Mean of `(B, H, W)` over the labelled pixels, each weighing as its true class; 0 without any."""
    pixel_weights = weights[truth]
    return (pixel_weights * of_pixels).sum() / pixel_weights.sum().clamp(min=SMALLEST)


def lovasz_softmax(logits: Tensor, truth: Tensor) -> Tensor:
    """Lovasz-softmax: the convex extension of 1 - IoU, its mean over the classes that the batch's truth holds.

    Berman, Rannen Triki and Blaschko, CVPR 2018, the multiclass form, over the labelled pixels of the whole batch at
    once. Where two errors are equal the loss has no one gradient: the pixels' order in memory decides, always alike.
    """
    flat_truth = truth.flatten()
    labelled = flat_truth.nonzero().squeeze(1)
    if not len(labelled):
        return logits[:0].sum()
    classes = flat_truth[labelled]
    scores = logits.transpose(0, 1).flatten(1).index_select(1, labelled)
    rows = functional.softmax(scores, 0).unbind(0)
    present = torch.bincount(classes, minlength=len(rows)).tolist()
    losses = [_lovasz_of_class(rows[c], classes == c) for c, count in enumerate(present) if count]
    return torch.stack(losses).mean()


def _lovasz_of_class(probability: Tensor, is_class: Tensor) -> Tensor:
    """One class's term: its pixels' errors, from the largest on, each times the step of 1 - IoU that it makes.

    Once all pixels of the class are wrong its IoU is 0 and no further error costs anything: pixels of other classes
    whose error is below the smallest of its own are left out of the sorting.

    Args:
        probability, is_class: `(P,)` of the labelled pixels.
    """
    error = torch.where(is_class, 1 - probability, probability)
    with torch.no_grad():
        smallest = error.masked_fill(~is_class, float("inf")).min()
        counted = (~(error < smallest)).nonzero().squeeze(1)  # not >=, which is nowhere true if an error is NaN
        order = counted.index_select(0, _falling(error.index_select(0, counted)))
        steps = torch.zeros_like(error)
        steps.index_copy_(0, order, _jaccard_steps(is_class.index_select(0, order), error.dtype))
    return torch.dot(error, steps)


def _falling(error: Tensor) -> Tensor:
    """Indices that put errors `(P,)` in falling order; equal ones stay in their order."""
    if error.device.type == "cpu" and error.dtype == torch.float32 and len(error) >= MANY:
        bits = error.clamp(min=0).view(torch.int32)  # the bits of floats from 0 on are in the order of the floats
        return torch.argsort(0x7FFFFFFF - bits, stable=True)
    return torch.argsort(error, descending=True, stable=True)


def _jaccard_steps(is_class: Tensor, dtype: torch.dtype) -> Tensor:
    """How much 1 - IoU grows as pixels `(P,)` become wrong one after the other, all right at first.

    A pixel of the class leaves the intersection, another one joins the union. Written as each step itself: differences
    of neighbouring IoUs would lose the digits of a step of one in a million.
    """
    own = is_class.cumsum(0)
    union = own[-1] + torch.arange(1, len(own) + 1, device=own.device) - own
    intersection = own[-1] - own
    before = (union - 1).clamp(min=1)  # of a pixel of another class the union before it; never 0 there
    share = torch.where(is_class, 1, intersection.to(dtype) / before.to(dtype))
    return share / union.to(dtype)

"""Each term of the loss against the paper's formula in plain Python, its gradient against differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lidartune.training import losses
from lidartune.training.loss_terms import Loss
from lidartune.training.losses import focal_loss, loss_terms, lovasz_softmax, smoothed_loss, weighted_loss

SEEDS = st.integers(0, 10_000)
ALL_TERMS = Loss(nll=0.5, focal=2.0, focal_gamma=1.5, lovasz=0.25, label_smoothing=0.1)


def batch(
    seed: int, *, classes: int = 5, pixels: int = 6, spread: float = 2.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (2, C, 3, pixels / 3), truth with about a third unlabelled, and class weights whose first is 0."""
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(0, spread, (2, classes, 3, pixels // 3)), dtype=dtype)
    truth = torch.tensor(rng.integers(0, classes, (2, 3, pixels // 3)) * (rng.random((2, 3, pixels // 3)) < 0.8))
    weights = torch.tensor([0.0, *rng.uniform(0.2, 3, classes - 1)], dtype=dtype)
    return logits, truth, weights


def pixel_probabilities(logits: Tensor, truth: Tensor) -> list[tuple[list[float], int]]:
    """Of each labelled pixel: the probabilities of all classes, and the true class."""
    found = []
    for b in range(truth.shape[0]):
        for row in range(truth.shape[1]):
            for column in range(truth.shape[2]):
                if truth[b, row, column] > 0:
                    exponentials = [math.exp(float(z)) for z in logits[b, :, row, column]]
                    found.append(([e / sum(exponentials) for e in exponentials], int(truth[b, row, column])))
    return found


def plain_weighted_mean(
    logits: Tensor, truth: Tensor, weights: Tensor, of_pixel: Callable[[list[float], int], float]
) -> float:
    pixels = pixel_probabilities(logits, truth)
    total = sum(float(weights[c]) for _, c in pixels)
    return sum(float(weights[c]) * of_pixel(p, c) for p, c in pixels) / total if total else 0.0


def plain_jaccard_loss(wrong: set[int], own: set[int]) -> float:
    """1 - IoU of a class that holds the pixels `own`, where exactly the pixels `wrong` are mistaken."""
    return len(wrong) / len(own | wrong) if own | wrong else 0.0


def plain_lovasz(logits: Tensor, truth: Tensor) -> float:
    """The Lovasz extension by its definition: sorted errors times the differences of the set function."""
    pixels = pixel_probabilities(logits, truth)
    of_classes = []
    for c in sorted({c for _, c in pixels}):
        own = {i for i, (_, true) in enumerate(pixels) if true == c}
        errors = [1 - p[c] if true == c else p[c] for p, true in pixels]
        order = sorted(range(len(pixels)), key=lambda i: -errors[i])
        of_classes.append(
            sum(
                errors[i]
                * (plain_jaccard_loss(set(order[: k + 1]), own) - plain_jaccard_loss(set(order[:k]), own))
                for k, i in enumerate(order)
            )
        )
    return sum(of_classes) / len(of_classes) if of_classes else 0.0


@pytest.mark.parametrize("term", [Loss(), Loss(nll=0, focal=1), Loss(nll=0, lovasz=1), Loss(label_smoothing=0.3)])
@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_terms_are_the_papers_formulas(term: Loss, seed: int) -> None:
    logits, truth, weights = batch(seed)
    if term.focal:
        wanted = plain_weighted_mean(logits, truth, weights, lambda p, c: -((1 - p[c]) ** 2) * math.log(p[c]))
    elif term.lovasz:
        wanted = plain_lovasz(logits, truth)
    else:
        even = term.label_smoothing / 4
        wanted = plain_weighted_mean(
            logits, truth, weights,
            lambda p, c: -sum((even + (1 - term.label_smoothing) * (k == c)) * math.log(p[k]) for k in range(1, 5)),
        )  # fmt: skip
    (found,) = loss_terms(logits, truth, weights, term).values()
    assert float(found) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_default_is_todays_loss_to_the_bit(dtype: torch.dtype) -> None:
    for seed in range(5):
        logits, truth, weights = batch(seed, classes=20, pixels=300, dtype=dtype)
        ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
        terms = loss_terms(ours, truth, weights, Loss())
        plain = torch.nn.functional.cross_entropy(theirs, truth, weight=weights, ignore_index=0, reduction="sum")
        plain = plain / weights[truth].sum().clamp(min=1e-12)
        sum(terms.values()).backward()
        plain.backward()
        assert list(terms) == ["nll"] and torch.equal(terms["nll"], plain) and torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_gradients_are_those_of_differences(gamma: float) -> None:
    logits, truth, weights = batch(3, spread=1.0)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: focal_loss(z, truth, weights, gamma), logits)
    assert torch.autograd.gradcheck(lambda z: smoothed_loss(z, truth, weights, gamma / 4), logits)
    assert torch.autograd.gradcheck(lambda z: lovasz_softmax(z, truth), logits)


def test_terms_are_weighted_and_named_and_only_those_that_are_on() -> None:
    logits, truth, weights = batch(1)
    terms = loss_terms(logits, truth, weights, ALL_TERMS)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(
        {
            "nll": 0.5 * float(smoothed_loss(logits, truth, weights, 0.1)),
            "focal": 2.0 * float(focal_loss(logits, truth, weights, 1.5)),
            "lovasz": 0.25 * float(lovasz_softmax(logits, truth)),
        }
    )
    assert list(loss_terms(logits, truth, weights, Loss(nll=0, lovasz=1))) == ["lovasz"]


@given(SEEDS, st.sampled_from([0.0, 1e-3, 50.0, 1e4]), st.sampled_from([0.1, 1.5]))
@settings(max_examples=40, deadline=None)
def test_pixels_of_class_0_do_not_count(seed: int, spread: float, gamma: float) -> None:
    logits, truth, weights = batch(seed, dtype=torch.float32, spread=spread)
    other = torch.where(truth.unsqueeze(1) == 0, torch.randn(logits.shape) * 10, logits)
    logits.requires_grad_()
    loss = replace(ALL_TERMS, focal_gamma=gamma)
    terms, others = (loss_terms(z, truth, weights, loss) for z in (logits, other))
    sum(terms.values()).backward()
    for name in terms:
        assert torch.isfinite(terms[name]) and torch.equal(terms[name], others[name])
    assert torch.all(logits.grad.isfinite())
    assert torch.count_nonzero(logits.grad.transpose(0, 1)[:, truth == 0]) == 0


@pytest.mark.parametrize("loss", [Loss(), Loss(nll=0, focal=1), Loss(nll=0, lovasz=1), ALL_TERMS])
def test_without_a_labelled_pixel_loss_and_gradient_are_0(loss: Loss) -> None:
    logits, truth, weights = batch(0, dtype=torch.float32)
    logits.requires_grad_()
    total = sum(loss_terms(logits, torch.zeros_like(truth), weights, loss).values())
    total.backward()
    assert total.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [Loss(), Loss(nll=0, focal=1), Loss(nll=0, lovasz=1)])
def test_a_nan_among_labelled_pixels_shows_in_every_term(loss: Loss) -> None:
    logits, truth, weights = batch(0, dtype=torch.float32)
    labelled = (truth > 0).nonzero()[0]
    logits[labelled[0], 2, labelled[1], labelled[2]] = math.nan
    assert math.isnan(sum(loss_terms(logits, truth, weights, loss).values()))


@given(SEEDS, st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=30, deadline=None)
def test_lovasz_is_0_where_all_is_right_1_where_all_is_wrong_and_between_otherwise(
    seed: int, dtype: torch.dtype
) -> None:
    logits, truth, _ = batch(seed, dtype=dtype)
    truth[0, 0, 0] = 1
    assert 0 < float(lovasz_softmax(logits, truth)) < 1
    right = torch.nn.functional.one_hot(truth, 5).movedim(-1, 1).to(dtype) * 1000
    right.requires_grad_()
    loss = lovasz_softmax(right, truth)
    loss.backward()
    assert loss.item() == 0 and torch.count_nonzero(right.grad) == 0
    wrong = right.detach().roll(1, dims=1)
    assert float(lovasz_softmax(wrong, truth)) == pytest.approx(1)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_lovasz_of_a_hard_prediction_is_1_minus_the_mean_iou(seed: int) -> None:
    logits, truth, _ = batch(seed, classes=4, pixels=60)
    predicted = logits.argmax(1)
    hard = torch.nn.functional.one_hot(predicted, 4).movedim(-1, 1).double() * 1000
    labelled = truth > 0
    ious = []
    for c in truth[labelled].unique():
        both = ((predicted == c) & (truth == c)).sum()
        either = ((predicted == c) | (truth == c))[labelled].sum()
        ious.append(float(both) / float(either))
    assert float(lovasz_softmax(hard, truth)) == pytest.approx(1 - np.mean(ious))


def test_what_lovasz_leaves_out_of_its_sorting_costs_nothing() -> None:
    """Large enough for the radix sort; against all pixels in the order of torch's own sort, by differences of IoU."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 4, (1, 200, 300), generator=generator)
    logits = torch.randn(1, 4, 200, 300, generator=generator) + 3 * torch.nn.functional.one_hot(truth, 4).movedim(3, 1)
    assert (truth > 0).sum() > losses.MANY
    kept = logits.clone().requires_grad_()
    found = lovasz_softmax(kept, truth)
    found.backward()

    exact = logits.double().requires_grad_()
    of_classes = []
    for c in (1, 2, 3):
        own = (truth == c)[truth > 0]
        p = exact.softmax(1)[:, c][truth > 0]
        error, order = torch.where(own, 1 - p, p).sort(descending=True, stable=True)
        seen = own[order].cumsum(0)
        iou_loss = 1 - (own.sum() - seen) / (own.sum() + torch.arange(1, len(seen) + 1) - seen).double()
        of_classes.append((error * iou_loss.diff(prepend=torch.zeros(1))).sum())
    wanted = torch.stack(of_classes).mean()
    wanted.backward()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    largest = float(exact.grad.abs().max())
    assert torch.allclose(kept.grad.double(), exact.grad, atol=1e-4 * largest)


@pytest.mark.parametrize("seed", range(4))
def test_the_radix_sort_gives_the_order_of_the_stable_sort(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "MANY", 1)
    errors = torch.rand(5000, generator=torch.Generator().manual_seed(seed)).mul(200).round().div(200)  # many ties
    errors[:3] = torch.tensor([0.0, 1.0, 1e-30])
    assert torch.equal(losses._falling(errors), errors.argsort(descending=True, stable=True))


def test_gradients_are_the_same_each_time_and_with_two_threads() -> None:
    logits, truth, weights = batch(5, classes=8, pixels=30_000, dtype=torch.float32)
    threads, gradients = torch.get_num_threads(), []
    try:
        for count in (1, 1, 2):
            torch.set_num_threads(count)
            again = logits.clone().requires_grad_()
            loss_terms(again, truth, weights, Loss(nll=0, lovasz=1))["lovasz"].backward()
            gradients.append(again.grad)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(gradients[0], gradients[1])
    assert torch.allclose(gradients[0], gradients[2], rtol=1e-5, atol=1e-12)


def test_focal_loss_of_gamma_0_is_the_weighted_likelihood_and_falls_with_gamma() -> None:
    logits, truth, weights = batch(2)
    found = [float(focal_loss(logits, truth, weights, gamma)) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)]
    assert found[0] == pytest.approx(float(weighted_loss(logits, truth, weights)), rel=1e-12)
    assert found == sorted(found, reverse=True)


@given(SEEDS, st.sampled_from([1e-3, 1e3]))
@settings(max_examples=10, deadline=None)
def test_the_scale_of_class_weights_changes_nothing(seed: int, factor: float) -> None:
    logits, truth, weights = batch(seed)
    some = Loss(nll=1, focal=1, label_smoothing=0.2)
    one, other = (loss_terms(logits, truth, w, some) for w in (weights, weights * factor))
    assert {k: float(v) for k, v in one.items()} == pytest.approx({k: float(v) for k, v in other.items()}, rel=1e-9)


def test_half_precision_is_widened() -> None:
    logits, truth, weights = batch(4, dtype=torch.float32)
    half = logits.bfloat16()
    for name, value in loss_terms(half, truth, weights, ALL_TERMS).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, loss_terms(half.float(), truth, weights, ALL_TERMS)[name])


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"nll": 0.0}, "no term is on"),
        ({"nll": -1.0}, "greater than or equal to 0"),
        ({"lovasz": math.inf}, "finite"),
        ({"focal": 1.0, "focal_gamma": -1.0}, "greater than or equal to 0"),
        ({"label_smoothing": 1.0}, "less than 1"),
        ({"nll": 0.0, "focal": 1.0, "label_smoothing": 0.1}, "label_smoothing changes the term nll alone"),
        ({"focal_gamma": 1.0}, "focal_gamma belongs to the term focal"),
        ({"dice": 1.0}, "[Uu]nexpected"),
    ],
)
def test_losses_that_cannot_be_are_refused(given_: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Loss(**given_)

"""Class shares taught and met: by hand, against plain Python, and where the truth is planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidartune.errors import UserError
from lidartune.training.adapt import prior
from lidartune.training.adapt.prior import effective_prior, logit_bias, shares_taught, target_prior

# -- what was taught --------------------------------------------------------------------------------------------------


def test_what_is_taught_is_count_times_weight_without_class_0() -> None:
    found = effective_prior(np.array([900, 60, 30, 10, 0]), np.array([5.0, 1.0, 2.0, 4.0, 9.0]))
    np.testing.assert_allclose(found, [0, 0.375, 0.375, 0.25, 0])


def test_a_weighted_likelihood_is_largest_at_the_posteriors_of_the_effective_prior() -> None:
    """The sentence that all of this stands on, for a world of 4 things to see and 3 classes."""
    rng = np.random.default_rng(0)
    seen_given_class = rng.dirichlet(np.ones(4), 3)  # (class, thing)
    shares, weights = np.array([0.7, 0.2, 0.1]), np.array([0.5, 3.0, 8.0])
    taught = effective_prior(np.array([0, *shares]), np.array([0, *weights]))[1:]

    def likelihood(posteriors: np.ndarray) -> float:
        return float((shares[:, None] * seen_given_class * weights[:, None] * np.log(posteriors)).sum())

    answer = taught[:, None] * seen_given_class
    answer /= answer.sum(axis=0)
    for _ in range(200):
        other = answer * np.exp(0.1 * rng.normal(size=answer.shape))
        assert likelihood(answer) > likelihood(other / other.sum(axis=0))


def test_nothing_taught_is_an_error() -> None:
    for counts, weights in (([9, 0, 3], [1, 1, 0]), ([9, 4], [1, 0]), ([5, 5], [0.0, 0.0])):
        with pytest.raises(UserError, match="class shares that a network was taught cannot be told"):
            effective_prior(np.array(counts), np.array(weights))


# -- the correction ---------------------------------------------------------------------------------------------------


def test_two_classes_by_hand() -> None:
    """Taught half and half, and met 4 : 1: odds of 3 : 7 become 12 : 7."""
    bias = logit_bias(np.array([0, 0.5, 0.5]), np.array([0, 0.8, 0.2]))
    np.testing.assert_allclose(bias[1:], [math.log(1.6), math.log(0.4)])
    logits = np.array([-9.0, math.log(0.3), math.log(0.7)])
    after = np.exp(logits + bias)[1:]
    np.testing.assert_allclose(after / after.sum(), [12 / 19, 7 / 19])
    assert logits[1:].argmax() == 1 and (logits + bias)[1:].argmax() == 0


shares = st.lists(st.floats(0.01, 1), min_size=3, max_size=8).map(lambda values: np.array([0.0, *values]))


@given(shares, st.floats(0.1, 9))
def test_shares_as_taught_move_every_logit_alike(taught: np.ndarray, scale: float) -> None:
    bias = logit_bias(taught, scale * taught)
    assert np.ptp(bias) < 1e-9


@given(shares, st.integers(0, 2**31))
def test_classes_that_one_side_lacks_stay_finite_and_no_pixel_turns_to_one_never_taught(
    taught: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    target = rng.random(len(taught)) * (rng.random(len(taught)) < 0.6)
    taught = taught * (rng.random(len(taught)) < 0.6)
    taught[1] = target[1] = 0.5
    bias, known = logit_bias(taught, target), taught > 0
    assert np.isfinite(bias).all()
    logits = rng.normal(0, 4, (500, len(taught)))
    before, after = logits.argmax(1), (logits + bias).argmax(1)
    assert not (~known[after] & (after != before)).any()


def test_a_class_that_the_target_lacks_counts_as_one_pixel_in_a_million() -> None:
    bias = logit_bias(np.array([0, 0.5, 0.5]), np.array([0, 1.0, 0.0]))
    np.testing.assert_allclose(bias[2] - bias[1], math.log(1e-6), rtol=1e-9)


def test_classes_never_taught_have_no_share() -> None:
    taught = np.array([0, 0.5, 0.5, 0])
    np.testing.assert_allclose(shares_taught(np.array([90, 30, 10, 60]), taught), [0, 0.75, 0.25, 0])
    with pytest.raises(UserError, match="the target shows no class that the network was taught"):
        shares_taught(np.array([90, 0, 0, 60]), taught)


# -- the estimate -----------------------------------------------------------------------------------------------------


def in_plain_python(posteriors: list[list[float]], taught: list[float], iterations: int) -> list[float]:
    present = list(taught)
    for _ in range(iterations):
        following = [0.0] * len(taught)
        for pixel in posteriors:
            moved = [p * s / t if t else 0.0 for p, s, t in zip(pixel, present, taught, strict=True)]
            for c, value in enumerate(moved):
                following[c] += value / sum(moved) / len(posteriors)
        present = following
    return present


def test_two_pixels_by_hand() -> None:
    """0.9 and 0.6 for class 1: their mean is 0.75; with ratios 1.5 and 0.5, 27/28 and 9/11."""
    posteriors, taught = [[0, 0.9, 0.1], [0, 0.6, 0.4]], [0, 0.5, 0.5]
    np.testing.assert_allclose(in_plain_python(posteriors, taught, 1), [0, 0.75, 0.25])
    np.testing.assert_allclose(in_plain_python(posteriors, taught, 2)[1], (27 / 28 + 9 / 11) / 2)


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_the_estimate_is_that_of_plain_python(iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(iterations)
    posteriors = rng.dirichlet(np.full(6, 0.3), 300).astype(np.float32)
    posteriors[:, [0, 4]] = 0
    posteriors /= posteriors.sum(1, keepdims=True)
    taught = np.array([0, 0.1, 0.2, 0.3, 0, 0.4])
    monkeypatch.setattr(prior, "ITERATIONS", iterations)
    found = target_prior(posteriors, taught)
    wanted = in_plain_python(posteriors.tolist(), taught.tolist(), iterations)
    np.testing.assert_allclose(found.shares, wanted, rtol=1e-9)
    assert len(found.log_likelihoods) == iterations and not found.converged
    assert found.shares.sum() == pytest.approx(1) and not found.shares[[0, 4]].any()


def gaussian_posteriors(taught: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    """Exact posteriors, under `taught`, of numbers drawn from classes around 0, 2, 4, ... in the shares `target`."""
    rng = np.random.default_rng(1)
    centres = 2.0 * np.arange(len(taught))
    x = rng.normal(centres[rng.choice(len(target), size=count, p=target)])
    likelihood = taught * np.exp(-0.5 * (x[:, None] - centres) ** 2)
    return (likelihood / likelihood.sum(1, keepdims=True)).astype(np.float32)


def test_a_planted_shift_is_found_and_the_likelihood_never_falls() -> None:
    taught, target = np.array([0, 0.25, 0.25, 0.25, 0.25]), np.array([0, 0.7, 0.05, 0.24, 0.01])
    found = target_prior(gaussian_posteriors(taught, target, 40_000), taught)
    np.testing.assert_allclose(found.shares, target, atol=0.01)
    steps = np.diff(found.log_likelihoods)
    assert found.converged and len(steps) > 5 and (steps > -1e-12).all() and steps[0] > 0.01


def test_without_a_shift_the_estimate_stays() -> None:
    taught = np.array([0, 0.6, 0.3, 0.1])
    found = target_prior(gaussian_posteriors(taught, taught, 40_000), taught)
    np.testing.assert_allclose(found.shares, taught, atol=0.01)


def test_the_correction_by_the_estimate_beats_none() -> None:
    taught, target = np.array([0, 0.25, 0.25, 0.25, 0.25]), np.array([0, 0.7, 0.05, 0.24, 0.01])
    rng = np.random.default_rng(1)
    truth = rng.choice(len(target), size=40_000, p=target)  # as gaussian_posteriors draws them
    posteriors = gaussian_posteriors(taught, target, 40_000)
    bias = logit_bias(taught, target_prior(posteriors, taught).shares)
    with np.errstate(divide="ignore"):
        before, after = np.log(posteriors).argmax(1), (np.log(posteriors) + bias).argmax(1)
    assert (after == truth).mean() > (before == truth).mean() + 0.03


def test_certain_pixels_stay_with_their_class() -> None:
    posteriors = np.eye(4, dtype=np.float32)[[1, 1, 1, 2]]
    found = target_prior(posteriors, np.array([0, 0.2, 0.2, 0.6]))
    np.testing.assert_allclose(found.shares, [0, 0.75, 0.25, 0])
    assert found.converged and np.isfinite(found.log_likelihoods).all()


def test_no_pixel_is_an_error() -> None:
    with pytest.raises(UserError, match="no pixel to estimate the target's class shares on"):
        target_prior(np.zeros((0, 3), np.float32), np.array([0, 0.5, 0.5]))

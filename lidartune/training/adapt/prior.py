"""Class shares: those that a network was taught, those of the target, and how its logits go from one to the other.

Trained with class weights w on classes of shares f, the weighted likelihood is largest where the softmax is
proportional to w_c f_c p(x | c): the network answers as one that was taught without weights on classes of shares
proportional to w_c f_c, its *effective* prior. (This holds for the weighted negative log-likelihood; other loss terms
and label smoothing move the answers in ways that no prior describes.) On a target of shares t, and the same p(x | c),
the right answer is the softmax of logits_c - log(effective prior_c) + log(t_c).

t is estimated without labels by expectation maximisation (Saerens, Latinne and Decaestecker, Neural Computation 14,
2002) over the network's posteriors of target pixels. Class 0, and any other class that was never taught, takes no
part. The estimate stands on two assumptions, and is as good as they are: that only the shares differ, and that the
posteriors are calibrated. On the built-in world neither holds after a short pretraining (192 updates, squeezesegv2,
32 x 512). Half the summed difference from the true shares was 29 and 40 % on the very scans of two pretrainings,
5 and 6 % after a temperature and a bias for each class had been fitted to their labels, and 60 to 75 % on real scans
with or without those: the network finds rare classes in what it has not seen before, and the estimate believes it.
`prior_oracle` beside `prior_em` says how much of a failure is the estimate's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lidartune.errors import UserError
from lidartune.kernels import kernel

SMALLEST_SHARE = 1e-6
ITERATIONS = 1000
STILL = 1e-7  # the estimate has come to rest when no share changes by more


@dataclass(frozen=True, kw_only=True, eq=False)
class PriorEstimate:
    """Class shares `(C,)` of the target, and how expectation maximisation found them.

    `log_likelihoods` holds, per pixel and up to a constant, that of the shares at each iteration's start: it never
    falls.
    """

    shares: np.ndarray
    log_likelihoods: tuple[float, ...]
    converged: bool


def effective_prior(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`(C,)` float64 shares that a network was in effect taught: proportional to count x weight, summing to 1.

    Args:
        counts: `(C,)` labelled pixels of each class on the canvases that it was trained on.
        weights: `(C,)` class weights of its loss; class 0 counts as ignored whatever its weight.

    Raises:
        UserError: no class has both pixels and a weight.
    """
    product = np.asarray(counts, dtype=np.float64) * np.asarray(weights, dtype=np.float64)
    product[0] = 0.0
    if not product.sum() > 0:
        raise UserError(
            "the class shares that a network was taught cannot be told",
            found="no class with labelled pixels and a class weight above 0",
            do="leave the correction of the prior out, or start from a network that was trained here",
        )
    return product / product.sum()


def shares_taught(target: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """`(C,)` the target's counts or shares as shares of the classes that were taught, the others 0.

    Raises:
        UserError: the target shows none of them.
    """
    known = np.where(np.asarray(taught) > 0, np.asarray(target, dtype=np.float64), 0.0)
    if not known.sum() > 0:
        raise UserError(
            "the target shows no class that the network was taught",
            do="leave the correction of the prior out, or check the taxonomy of the target",
        )
    return known / known.sum()


def logit_bias(taught: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`(C,)` float64 to be added to the logits: log(target) - log(taught), both as shares of the classes taught.

    A class of which the target has less than one pixel in a million counts as one in a million: it stays possible. A
    class that was never taught takes the smallest bias of the others, so that no pixel turns to it.
    """
    taught, known = np.asarray(taught, dtype=np.float64), np.asarray(taught) > 0
    shares = np.maximum(shares_taught(target, taught)[known], SMALLEST_SHARE)
    moved = np.log(shares / shares.sum()) - np.log(taught[known] / taught[known].sum())
    bias = np.full(taught.shape, moved.min())
    bias[known] = moved
    return bias


def target_prior(posteriors: np.ndarray, taught: np.ndarray) -> PriorEstimate:
    """Class shares under which the target's pixels are likeliest, by expectation maximisation from `taught`.

    One iteration: with ratios a = shares / taught, a pixel's posterior under the present shares is a_c p_c / sum a p,
    and the new shares are its mean over the pixels. Sums go pixel by pixel in float64, whatever the threads.

    Args:
        posteriors: `(N, C)` float32, a pixel's class probabilities as taught; 0 for classes never taught.
        taught: `(C,)` the effective prior.

    Raises:
        UserError: not one pixel.
    """
    if not len(posteriors):
        raise UserError(
            "no pixel to estimate the target's class shares on",
            wanted="at least one point of the target that falls on a canvas",
            do="check that the training sequences hold scans with points",
        )
    known = taught > 0
    shares = taught.astype(np.float64)
    log_likelihoods: list[float] = []
    for _ in range(ITERATIONS):
        ratios = np.divide(shares, taught, out=np.zeros_like(shares), where=known)
        following, total = _expectation(posteriors, ratios)
        log_likelihoods.append(float(total) / len(posteriors))
        moved = float(np.abs(following - shares).max())
        shares = following
        if moved <= STILL:
            return PriorEstimate(shares=shares, log_likelihoods=tuple(log_likelihoods), converged=True)
    return PriorEstimate(shares=shares, log_likelihoods=tuple(log_likelihoods), converged=False)


@kernel
def _expectation(posteriors: np.ndarray, ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean posterior `(C,)` under the shares taught x ratios, and the summed log-likelihood of the pixels."""
    count, classes = posteriors.shape
    mass, here = np.zeros(classes), np.empty(classes)
    likelihood = 0.0
    for n in range(count):
        evidence = 0.0
        for c in range(classes):
            here[c] = ratios[c] * posteriors[n, c]
            evidence += here[c]
        likelihood += np.log(evidence)
        for c in range(classes):
            mass[c] += here[c] / evidence
    return mass / count, likelihood

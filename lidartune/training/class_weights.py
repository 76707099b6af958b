"""Weights of the classes in the loss, from how often each stands in the training scans; imports no torch.

`inverse`, `sqrt` and `effective_number` are those of `lidartune.scans.class_weights`; with `none` all weigh 1. Class 0,
ignored, weighs 0. Only ratios matter: every term of the loss is divided by the sum of the weights.
A class that is never seen weighs most; no pixel of training has it.
"""

from __future__ import annotations

import numpy as np

from lidartune.scans import CLASS_NAMES, class_weights
from lidartune.training.recipe import Recipe


def weights_of(recipe: Recipe, counts: np.ndarray) -> np.ndarray:
    """Class weights `(C,)` float32 from counted points `(C,)`."""
    if recipe.class_weights == "none":
        return np.array([0.0] + [1.0] * (len(counts) - 1), dtype=np.float32)
    return class_weights(
        counts, recipe.class_weight_epsilon, rule=recipe.class_weights, beta=recipe.effective_number_beta
    )


def never_seen(counts: np.ndarray, scans: int, available: int) -> tuple[str, ...]:
    """One sentence that names the classes without a single point among the scans that were counted, or none."""
    names = [CLASS_NAMES[c] for c in range(1, len(counts)) if not counts[c]]
    if not names:
        return ()
    among = f"{scans:,} of the {available:,} training scans"
    if scans == available:
        among = f"the {scans:,} training scans" if scans > 1 else "the only training scan"
    return (f"never seen in {among}: {', '.join(names)}",)

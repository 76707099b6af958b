"""Weights of the classes in the loss, from how often each stands in the training scans; imports no torch.

With share s_c of all points, the ignored ones included:

| `class_weights` | weight of class c |
|---|---|
| `inverse` | 1 / (s_c + epsilon), as lidar-bonnetal |
| `sqrt` | the square root of that |
| `effective_number` | (1 - beta) / (1 - beta^n_c) for n_c points, at least 1: Cui et al., CVPR 2019 |
| `none` | 1 |

Class 0, ignored, weighs 0. Only ratios matter: every term of the loss is divided by the sum of the weights. The
effective number tells classes apart up to about 1 / (1 - beta) points of a class; all more frequent ones weigh alike.
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
    if recipe.class_weights == "effective_number":
        return _effective_number(counts, recipe.effective_number_beta)
    weights = class_weights(counts, recipe.class_weight_epsilon)
    return np.sqrt(weights) if recipe.class_weights == "sqrt" else weights


def _effective_number(counts: np.ndarray, beta: float) -> np.ndarray:
    seen = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
    weights = (1.0 - beta) / -np.expm1(seen * np.log(beta))
    weights[0] = 0.0
    return weights.astype(np.float32)


def never_seen(counts: np.ndarray, scans: int, available: int) -> tuple[str, ...]:
    """One sentence that names the classes without a single point among the scans that were counted, or none."""
    names = [CLASS_NAMES[c] for c in range(1, len(counts)) if not counts[c]]
    if not names:
        return ()
    among = f"the {scans:,} training scans" if scans == available else f"{scans:,} of the {available:,} training scans"
    return (f"never seen in {among}: {', '.join(names)}",)

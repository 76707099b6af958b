"""Random streams: each derived from what it is for, none carried from one epoch to the next."""

from __future__ import annotations

import hashlib

import numpy as np


def derived_seed(*parts: object) -> int:
    """A 63-bit seed from the parts, the same on every machine: `derived_seed(seed, "order", epoch)`."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def scan_order(count: int, draws: int, seed: int, epoch: int) -> np.ndarray:
    """Indices `(draws,)` of the scans that an epoch (1 is the first) sees.

    Epochs cut one endless row of shuffled passes into pieces, so that no scan is seen again before all have been.
    """
    begin, end = (epoch - 1) * draws, epoch * draws
    first, last = begin // count, (end - 1) // count
    passes = [
        np.random.default_rng(derived_seed(seed, "order", number)).permutation(count)
        for number in range(first, last + 1)
    ]
    return np.concatenate(passes)[begin - first * count : end - first * count]

"""Random streams: each derived from what it is for, none carried from one epoch to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def derived_seed(*parts: object) -> int:
    """A 63-bit seed from the parts, the same on every machine: `derived_seed(seed, "order", epoch)`."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def scan_order(count: int, draws: int, seed: int, epoch: int, purpose: str = "order") -> np.ndarray:
    """Indices `(draws,)` of the scans that an epoch (1 is the first) sees.

    Epochs cut one endless row of shuffled passes into pieces, so that no scan is seen again before all have been.
    """
    return _shuffled_passes(count, (epoch - 1) * draws, epoch * draws, seed, purpose)


def sequence_order(sequences: Sequence[str], draws: int, seed: int, epoch: int) -> np.ndarray:
    """As `scan_order`, but every sequence is drawn equally often, however long it is.

    The endless row takes the sequences in shuffled rounds, one scan of each a round; no scan is seen again before
    all others of its sequence have been.

    Args:
        sequences: the sequence of each scan.
    """
    names, member = np.unique(np.asarray(sequences), return_inverse=True)
    begin = (epoch - 1) * draws
    turns = _shuffled_passes(len(names), begin, begin + draws, seed, "turns")
    order = np.empty(draws, dtype=np.int64)
    for number, name in enumerate(names):
        places = np.flatnonzero(turns == number)
        if places.size:  # one in each round, so that the round counts the sequence's draws
            first, last = (begin + places[[0, -1]]) // len(names)
            passes = _shuffled_passes(int(np.sum(member == number)), first, last + 1, seed, "sequence", name)
            order[places] = np.flatnonzero(member == number)[passes]
    return order


def _shuffled_passes(count: int, begin: int, end: int, *stream: object) -> np.ndarray:
    """A piece of an endless row of passes over 0..count-1, each shuffled anew."""
    first, last = begin // count, (end - 1) // count
    passes = [
        np.random.default_rng(derived_seed(*stream, number)).permutation(count) for number in range(first, last + 1)
    ]
    return np.concatenate(passes)[begin - first * count : end - first * count]

"""Labelled subsets: which of the training scans have labels to learn from; and lists of sequences for people."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from lidartune.scans.dataset import ScanFile


def scans_in(share: str, available: int) -> int:
    """How many scans a share such as `10%` or `0.5%` is: rounded up, so that it is never none.

    Raises:
        ValueError: no number before a percent sign, or one that is not above 0 and at most 100.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)%", share)
    if not match or not 0 < Fraction(match[1]) <= 100:
        raise ValueError(f"{share!r} is no share above 0% and at most 100%")
    return math.ceil(Fraction(match[1]) / 100 * available)


def labelled_subset(scans: Sequence[ScanFile], count: int, seed: int) -> tuple[ScanFile, ...]:
    """`count` of the scans, drawn by the seed: one of each sequence first, then in proportion to their lengths.

    So a tenth of the scans is a tenth of every sequence, but for a few scans, and 8 scans are of 8 sequences. Nested: a
    smaller count of the same seed gives a subset of the larger. In file order, so that the same set is the same run.
    """
    digest = hashlib.sha256(f"labelled\x1f{seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    members: dict[str, list[int]] = {}
    for i, scan in enumerate(scans):
        members.setdefault(scan.sequence, []).append(i)
    shuffled = [np.array(own)[rng.permutation(len(own))][::-1] for own in members.values()]
    turns = rng.permutation(len(shuffled))
    # The k-th of a sequence's L scans comes when a share k / L of all has been drawn; where several come at once, the
    # sequences take turns.
    drawn = np.concatenate([shuffled[i] for i in turns])
    due = np.concatenate([np.arange(len(shuffled[i])) / len(shuffled[i]) for i in turns])
    chosen = drawn[np.argsort(due, kind="stable")[:count]]
    return tuple(scans[i] for i in np.sort(chosen))


def spelled(sequences: Iterable[int]) -> str:
    """`0-2, 7`: sequence numbers for people."""
    runs: list[list[int]] = []
    for number in sorted(sequences):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}-{b}" for a, b in runs) or "none"

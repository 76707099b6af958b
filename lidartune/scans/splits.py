"""Labelled subsets: which of the training scans have labels to learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from lidartune.scans.dataset import ScanFile


def labelled_subset(scans: Sequence[ScanFile], count: int, seed: int) -> tuple[ScanFile, ...]:
    """`count` of the scans, drawn by the seed, as evenly from the sequences as their lengths allow.

    Nested: a smaller count of the same seed gives a subset of the larger. In file order, so that the same set is the
    same run.
    """
    digest = hashlib.sha256(f"labelled\x1f{seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    queues = {name: [s for s in scans if s.sequence == name] for name in dict.fromkeys(s.sequence for s in scans)}
    shuffled = [[queue[i] for i in rng.permutation(len(queue))] for queue in queues.values()]
    turns = [shuffled[i] for i in rng.permutation(len(shuffled))]
    drawn: list[ScanFile] = []
    while len(drawn) < count:
        turns = [queue for queue in turns if queue]
        drawn.extend(queue.pop() for queue in turns[: count - len(drawn)])
    chosen = set(drawn)
    return tuple(scan for scan in scans if scan in chosen)

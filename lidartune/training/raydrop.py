"""Synthetic canvases that lose pixels in training, as rays are lost on real ones (lidartune/training/adapt/raydrop.py).

With what probability is counted once when training begins or goes on, on the canvases of the run's own training scans
and on those of real ones, whose labels are not read: the same scans give the same probabilities, so none are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lidartune.runs.spec import RunSpec
from lidartune.scans import spread
from lidartune.training.adapt.raydrop import (
    drop_frequency,
    drop_probability,
    global_drop_probability,
    raydropped,
)
from lidartune.training.begin import Scans
from lidartune.training.loader import Drawn, TrainingScan
from lidartune.training.seeding import derived_seed


def counted_probability(spec: RunSpec, own: Scans, other: Scans) -> float | np.ndarray:
    """Probability of a filled pixel to be lost, for all or of each `(H, W)`, as `recipe.raydrop` says.

    Counted on a spread of both domains' training scans, `recipe.statistics_scans` of each at most.
    """
    source, target = (_frequency(spec, scans) for scans in (own, other))
    if spec.recipe.raydrop == "global":
        return global_drop_probability(source, target)
    return drop_probability(source, target)


def _frequency(spec: RunSpec, scans: Scans) -> np.ndarray:
    chosen = spread(scans.files, spec.recipe.statistics_scans)
    return drop_frequency(scan.mask for scan in scans.reader.unlabelled_stream(chosen, spec.canvas))


def with_raydrop(
    scans: Iterable[Drawn], probability: float | np.ndarray, seed: int, epoch: int, first: int
) -> Iterator[TrainingScan]:
    """The scans as they come, each without the pixels that its draw loses.

    Args:
        first: the draw of the epoch that the scans begin with.
    """
    for draw, scan in enumerate(scans, first):
        drawn = derived_seed(seed, "raydrop", epoch, draw)
        image, mask, truth_image = raydropped(scan.image, scan.mask, scan.truth_image, probability, drawn)
        yield TrainingScan(image=image, mask=mask, truth_image=truth_image, truth=scan.truth)

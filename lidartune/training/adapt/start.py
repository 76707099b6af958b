"""A run's beginning where it starts from another's milestone and adapts it: which scans say what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lidartune.backbones.network import Network
from lidartune.canvas import Sensor
from lidartune.scans import ScanFile, class_counts, spread
from lidartune.training.adapt.adapt import Adapted, adapt
from lidartune.training.adapt.model import Adaptation
from lidartune.training.adapt.prior import effective_prior
from lidartune.training.loader import ScanReader
from lidartune.training.state import Normalization


def adapt_to_scans(
    network: Network,
    normalization: Normalization,
    class_weights: np.ndarray,
    adaptation: Adaptation,
    *,
    source: Sequence[ScanFile],
    source_reader: ScanReader,
    target: Sequence[ScanFile],
    target_reader: ScanReader,
    sensor: Sensor,
    statistics_scans: int,
    device: torch.device,
) -> Adapted:
    """Adapts the network, in place, to (a spread of) the target's training scans.

    Labels of the target are read for the oracle's prior alone; every other adaptation opens none of their files. Labels
    of the source are read for a prior, to know what was taught: shares of the *pixels* of its canvases, for pixels is
    what the loss was summed over. They are counted on plain scans, each once: what the recipe's `sampling`,
    `augmentation` and `raydrop` change of the shares in training is not in them.

    Args:
        class_weights: `(C,)` those that the network was trained with, as its milestone keeps them.
        source, target: training scans of the domain that the network was trained on, and of the one that it goes to.
        statistics_scans: how many of the source's scans are counted, as for its class weights.

    Raises:
        UserError: as `adapt`; or labels that are needed are not there.
    """
    chosen = spread(target, adaptation.scans)
    taught = oracle = None
    if adaptation.prior != "none":
        counted = spread(source, statistics_scans)
        taught = effective_prior(_pixel_counts(source_reader, counted, sensor), class_weights)
    if adaptation.prior == "oracle":
        oracle = _pixel_counts(target_reader, chosen, sensor)
    return adapt(
        network,
        normalization,
        adaptation,
        lambda: target_reader.unlabelled_stream(chosen, sensor),
        device=device,
        taught=taught,
        oracle=oracle,
    )


def _pixel_counts(reader: ScanReader, scans: Sequence[ScanFile], sensor: Sensor) -> np.ndarray:
    """`(C,)` filled pixels of each class; class 0 has the empty ones too."""
    return class_counts(scan.truth_image for scan in reader.training_stream(scans, sensor))

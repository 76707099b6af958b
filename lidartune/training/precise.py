"""Running statistics for scoring, measured anew on training scans: precise batch normalisation.

The statistics that training leaves behind are a moving average over batches of an ever changing network. Wu and
Johnson ("Rethinking batch in batchnorm", 2021, section 3) measure them for the network as it is instead: the mean over
batches of each batch's mean and variance, all layers in training mode as they were in training, dropout off.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import islice

import torch
from torch import nn

from lidartune.backbones.network import Network
from lidartune.canvas import Sensor
from lidartune.scans import ScanFile
from lidartune.training.batches import to_batch
from lidartune.training.loader import ScanReader
from lidartune.training.state import Normalization


def live_norms(network: Network) -> list[nn.BatchNorm2d]:
    """The batch normalisations whose statistics follow the batches, as the modules' modes stand."""
    return [norm for norm in network.norms() if norm.training]


@torch.no_grad()
def measure_statistics(
    network: Network,
    norms: Sequence[nn.BatchNorm2d],
    normalization: Normalization,
    scans: Sequence[ScanFile],
    reader: ScanReader,
    sensor: Sensor,
    batch_size: int,
    device: torch.device,
) -> None:
    """Gives these norms, in place, the statistics of the scans, in batches of `batch_size` (the last may be smaller).

    The network is in evaluation mode afterwards. The same weights and scans give the same bits.
    """
    network.eval()
    if not norms or not scans:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    with closing(reader.training_stream(scans, sensor)) as stream:
        while batch := list(islice(stream, batch_size)):
            images, masks, _ = to_batch(batch, device)
            network(normalization.apply(images, masks), masks)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()

"""What an update of a joint run learns from: the other domain's scans labelled, mixed, and put onto canvases."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lidartune.canvas import Sensor
from lidartune.runs.spec import RunSpec
from lidartune.training.batches import to_batch
from lidartune.training.draws import Batch
from lidartune.training.joint import Joint
from lidartune.training.loader import Drawn, PreparedScan, TrainingScan, for_training
from lidartune.training.mixing import laser_mix, polar_mix
from lidartune.training.seeding import derived_seed
from lidartune.training.state import TrainingState
from lidartune.training.teacher import pseudo_labels
from lidartune.training.update import precision


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one update learns from: the loss is that of `scans` plus `weight` times that of `others`.

    `others` goes through the network by itself, so that batch normalisation sees one lot at a time and the gradient of
    `scans` is what it is without them. Running statistics follow both lots, `scans` first.
    """

    scans: Sequence[Drawn]
    others: Sequence[Drawn] = ()
    weight: float = 0.0
    numbers: dict[str, float | Tensor] = field(default_factory=dict)


def lesson(spec: RunSpec, state: TrainingState, batch: Batch, device: torch.device) -> Lesson:
    """The batch with the teacher's labels and mixed, as the run's `joint` says; without `joint` the batch as it is.

    Labelled scans of both domains are one lot, as if they were of one data set. Scans that the teacher has labelled are
    a lot of their own. The number `pseudo_labelled` is the share of their points' pixels that it was sure of.
    """
    joint = spec.joint
    if joint is None:
        return Lesson(scans=batch.own)
    others, numbers = batch.other, dict[str, float | Tensor]()
    if joint.teacher is not None:
        labels = _teachers_labels(spec, state, others, joint.teacher.threshold, device)
        filled = sum(int(scan.mask.sum()) for scan in others)
        numbers["pseudo_labelled"] = float(np.count_nonzero(labels)) / max(filled, 1)
        others = [with_labels(scan, image) for scan, image in zip(others, labels, strict=True)]
    if joint.mixing != "none":
        others = [
            _mixed(
                joint,
                batch.own[number % len(batch.own)],
                scan,
                spec.canvas,
                derived_seed(spec.seed, "mixing", state.epoch + 1, batch.first_other + number),
            )
            for number, scan in enumerate(others)
        ]
    if joint.teacher is None:
        return Lesson(scans=[*batch.own, *others])
    return Lesson(scans=batch.own, others=others, weight=joint.teacher.weight, numbers=numbers)


@torch.no_grad()
def _teachers_labels(
    spec: RunSpec, state: TrainingState, scans: Sequence[Drawn], threshold: float, device: torch.device
) -> np.ndarray:
    """Classes `(B, H, W)` uint8 of the scans' own canvases, 0 where the teacher is not sure."""
    assert state.teacher is not None
    images, masks, _ = to_batch(scans, device)
    with precision(spec.recipe, device):
        logits = state.teacher(state.normalization.apply(images, masks), masks)
    return pseudo_labels(logits, masks, threshold).to(torch.uint8).cpu().numpy()


def with_labels(scan: Drawn, labels: np.ndarray) -> Drawn:
    """The scan with these classes `(H, W)`, whatever it had. Of its points those that the canvas shows have them; one
    that is hidden behind another has none, since nobody has seen it."""
    if isinstance(scan, TrainingScan):
        return dataclasses.replace(scan, truth_image=labels, truth=labels[scan.mask])
    truth = np.zeros(len(scan.points), dtype=scan.truth.dtype)
    truth[scan.canvas.index[scan.mask]] = labels[scan.mask]
    return PreparedScan(canvas=scan.canvas, points=scan.points, truth=truth)


def _mixed(joint: Joint, own: Drawn, other: Drawn, sensor: Sensor, seed: int) -> TrainingScan:
    """LaserMix takes areas of both in turn; PolarMix puts a sector and objects of the own scan, whose labels are true,
    into the other one."""
    assert isinstance(own, PreparedScan) and isinstance(other, PreparedScan)
    if joint.mixing == "lasermix":
        mixed = laser_mix(own.points, own.truth, other.points, other.truth, joint.lasermix, seed)
    else:
        mixed = polar_mix(other.points, other.truth, own.points, own.truth, joint.polarmix, seed)
    return for_training(mixed.points, mixed.truth, sensor)

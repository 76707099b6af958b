"""How much memory a trial takes, of its machine and of its GPU, estimated before anything is started.

`python benchmarks/memory.py` holds the estimate against processes that train; docs/reproduce.md has its table.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from lidartune.backbones.cost import parameters, saved_bytes_per_pixel
from lidartune.config import Resources
from lidartune.runs.spec import DOMAINS, RunSpec
from lidartune.scans.files import POINT_BYTES
from lidartune.transfer.data import StudyData

GIB = 2**30
PROCESS_BYTES = 0.7 * GIB
"""A worker before it trains: Python, torch, Ray, numba and the store's libraries."""
GPU_PROCESS_BYTES = 2.0 * GIB
"""The same where torch uses CUDA, with CUDA's libraries. Not measured."""
CONTEXT_BYTES = 0.5 * GIB
"""What CUDA itself takes of a GPU for every process. Not measured."""
BESIDE_SAVED = 1.25
"""Memory of a step over what its forward pass keeps: gradients on their way back, and a layer's working space."""
LOSS_BYTES_PER_PIXEL_AND_CLASS = 16
"""Logits, their logarithms and both gradients, in float32."""
POINTS_OF_A_SCAN = 125_000
"""Of a sensor with 64 beams, where no scan is there to be looked at."""

OPTIMIZER_MEMORIES = {"sgd": 1, "adamw": 2}
"""Numbers that an optimiser remembers of each parameter."""


def trial_bytes(specs: Iterable[RunSpec], resources: Resources, data: StudyData | None) -> int:
    """Memory of its machine that the hungriest of these runs takes; `resources.memory_gib_per_trial` where stated.

    Args:
        data: the scans, which take less than `resources.scan_memory_gib` where they are few; None: as much as that.
    """
    if resources.memory_gib_per_trial is not None:
        return int(resources.memory_gib_per_trial * GIB)
    specs = list(specs)
    scans = scan_bytes(specs, resources, data)
    if resources.gpus_per_trial:
        return int(GPU_PROCESS_BYTES + scans + max((_packed_bytes(spec) for spec in specs), default=0))
    return int(PROCESS_BYTES + scans + max(map(training_bytes, specs), default=0))


def gpu_bytes(specs: Iterable[RunSpec]) -> int:
    """Memory of its GPU that the hungriest of these runs takes."""
    return int(CONTEXT_BYTES + max(map(training_bytes, specs), default=0))


def training_bytes(spec: RunSpec) -> float:
    """What a run keeps and needs to train: weights, gradients, optimiser, averages, and one step's activations.

    A state is packed to be committed when the step's memory is free again, but the process keeps much of what was freed
    (`MALLOC_...` in lidartune/tuning/cluster.py), so that both count.
    """
    recipe, canvas = spec.recipe, spec.canvas
    copies = 2 + optimizer_memories(spec) + averages(spec)
    together = ceil(recipe.batch_size / recipe.accumulation) * (2 if spec.joint else 1)
    saved = saved_bytes_per_pixel(spec.backbone, spec.channels) * BESIDE_SAVED
    pixel = saved + LOSS_BYTES_PER_PIXEL_AND_CLASS * spec.network.num_classes
    step = together * canvas.height * canvas.width * pixel
    return copies * _weight_bytes(spec) + step + _packed_bytes(spec)


def scan_bytes(specs: Iterable[RunSpec], resources: Resources, data: StudyData | None) -> int:
    """What scans take in a worker that meets all of these runs: those kept, and those read ahead."""
    limit = resources.scan_memory_gib * GIB / len(DOMAINS)
    canvases = {spec.canvas for spec in specs}
    if not canvases:
        return 0
    pixels = {canvas.height * canvas.width for canvas in canvases}
    kept = ahead = 0.0
    for domain in DOMAINS:
        scans = data.domains[domain] if data else None
        points = scans.train[0].points.stat().st_size // POINT_BYTES if scans else POINTS_OF_A_SCAN
        scored, trained = 45 * points, points  # PreparedScan and TrainingScan of lidartune/training/loader.py
        ahead = max(ahead, 3 * resources.reader_threads * (scored + 26 * max(pixels)))
        everything = limit
        if scans:
            for_scores = len(scans.validation) + len(scans.test)
            everything = sum((scored + 26 * p) * for_scores + (trained + 22 * p) * len(scans.train) for p in pixels)
        kept += min(limit, everything)
    return int(kept + ahead)


def fitting(bytes_each: int, available: int) -> int:
    """How many trials of this size fit into so much memory."""
    return available // max(1, bytes_each)


def _weight_bytes(spec: RunSpec) -> float:
    return 4 * parameters(spec.backbone, spec.channels)


def optimizer_memories(spec: RunSpec) -> int:
    """Numbers that the run's optimiser remembers of each parameter."""
    return OPTIMIZER_MEMORIES[spec.recipe.optimizer]


def averages(spec: RunSpec) -> int:
    """Networks beside the one that trains: its average, its teacher, the one with statistics measured anew."""
    recipe = spec.recipe
    return bool(recipe.ema) + bool(spec.joint and spec.joint.teacher) + (recipe.precise_batchnorm is not None)


def _packed_bytes(spec: RunSpec) -> float:
    """A state on its way to the store: every tensor once more, and the bytes that are written."""
    return 2 * _weight_bytes(spec) * (1 + optimizer_memories(spec) + averages(spec))

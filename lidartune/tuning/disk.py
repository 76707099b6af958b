"""How many bytes a study will leave in its results folder, estimated from what its files hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import ceil

from lidartune.backbones.cost import parameters
from lidartune.runs.spec import DOMAINS, RunSpec
from lidartune.transfer.data import StudyData
from lidartune.transfer.plan import Plan
from lidartune.tuning.footprint import averages, optimizer_memories
from lidartune.tuning.schedule import epochs_to_train

EPOCH_BYTES = 6_500
"""metrics.json, timing.json and their commits, of any run."""
EVENTS_BYTES = 5_000
"""Scalars of an epoch in TensorBoard's event file."""
RUN_BYTES = 3_000
"""spec.json, and what the report says of a run."""
BLOCK_BYTES = 2_200
"""Two confusion matrices of a block of test scans."""
PICTURE_BYTES_PER_PIXEL = 2.2
"""A scan as range, prediction and truth, in a PNG; once in the store, once in TensorBoard's events."""
PICTURES_EVERY_EPOCHS = 4
TEST_SCANS = 4_000
"""Where no scan is there to be counted: sequence 08 of SemanticKITTI has 4,071."""


def study_bytes(plan: Plan, in_store: Callable[[str, int], bool], data: StudyData | None) -> int:
    """Bytes of all that the plan's runs will still write: states that are kept, scores, pictures and events."""
    scoring = plan.config.scoring
    tested = sum(len(data.domains[d].test) if data else scoring.test_scans or TEST_SCANS for d in DOMAINS)
    blocks = ceil(tested / scoring.block)
    total = 0.0
    for run, work in plan.works.items():
        missing = [epoch for epoch in work.epochs if not in_store(run, epoch)]
        if not missing:
            continue
        epochs = epochs_to_train(work.epochs, partial(in_store, run)) + 1
        pictures = len(DOMAINS) * 2 * PICTURE_BYTES_PER_PIXEL * work.spec.canvas.height * work.spec.canvas.width
        total += RUN_BYTES + epochs * (EPOCH_BYTES + EVENTS_BYTES)
        total += pictures * (len(missing) + epochs / PICTURES_EVERY_EPOCHS) + blocks * BLOCK_BYTES * len(missing)
        total += state_bytes(work.spec) * sum(epoch > 0 or work.spec.adaptation is not None for epoch in missing)
    return int(total)


def state_bytes(spec: RunSpec) -> float:
    """Weights, what the optimiser remembers, and averages, in float32; less where a part is frozen."""
    return 4 * parameters(spec.backbone, spec.channels) * (1 + optimizer_memories(spec) + averages(spec))

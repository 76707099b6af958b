"""How many bytes a study will leave in its results folder, estimated from what its files hold."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from lidartune.backbones.cost import parameters
from lidartune.config import StudyConfig
from lidartune.runs.spec import DOMAINS, RunSpec
from lidartune.transfer.data import StudyData
from lidartune.transfer.plan import Plan
from lidartune.tuning.footprint import averages, optimizer_memories
from lidartune.tuning.left import Left, RunCost, left_of

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
    cost = bytes_of(plan.config, data)
    left = (left_of(run, work, in_store) for run, work in plan.works.items())
    return int(sum(cost(entry) for entry in left if entry))


def bytes_of(config: StudyConfig, data: StudyData | None) -> RunCost:
    """The function that says how many bytes a run will still write."""
    scoring = config.scoring
    tested = sum(len(data.domains[d].test) if data else scoring.test_scans or TEST_SCANS for d in DOMAINS)
    blocks = ceil(tested / scoring.block)

    def cost(left: Left) -> float:
        spec, epochs = left.spec, left.epochs + 1
        pictures = len(DOMAINS) * 2 * PICTURE_BYTES_PER_PIXEL * spec.canvas.height * spec.canvas.width
        total: float = RUN_BYTES + epochs * (EPOCH_BYTES + EVENTS_BYTES)
        total += pictures * (left.tested + epochs / PICTURES_EVERY_EPOCHS) + blocks * BLOCK_BYTES * left.tested
        return total + state_bytes(spec) * sum(epoch > 0 or spec.adaptation is not None for epoch in left.kept)

    return cost


def state_bytes(spec: RunSpec) -> float:
    """Weights, what the optimiser remembers, and averages, in float32; less where a part is frozen."""
    return 4 * parameters(spec.backbone, spec.channels) * (1 + optimizer_memories(spec) + averages(spec))

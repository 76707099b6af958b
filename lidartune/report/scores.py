"""The test scores of one epoch of a run, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidartune.report.committed import as_matrix, committed_json
from lidartune.transfer import gap
from lidartune.transfer.blocks import block_counts

DOMAINS = ("synthetic", "real")
LEVELS = ("points", "pixels", "no_vote", "ceiling")


@dataclass(frozen=True, kw_only=True)
class Score:
    """The test scores of one (run, epoch): `matrices[domain][level]` is (C, C), rows = truth, columns = predicted."""

    epoch: int
    updates: int
    matrices: dict[str, dict[str, NDArray[np.int64]]]
    block_names: dict[str, tuple[str, ...]]  # domain -> names of its blocks of consecutive scans
    blocks: dict[str, gap.Floats]  # domain -> (B, 3, C-1), see blocks.block_counts


def read_score(run_folder: Path, epoch: int, num_classes: int) -> tuple[Score | None, str]:
    """The test scores of one epoch of a run, or None and why not."""
    data, problem = committed_json(run_folder, epoch, "test", "scores.json")
    if data is None:
        return None, problem
    try:
        matrices, names, blocks = {}, {}, {}
        for domain in (d for d in DOMAINS if d in data):
            matrices[domain] = {
                level: as_matrix(data[domain][level], num_classes) for level in LEVELS if level in data[domain]
            }
            parts = data[domain].get("blocks") or []
            names[domain] = tuple(f"{b['sequence']}/{b['first']}-{b['last']}" for b in parts)
            if parts:
                blocks[domain] = block_counts(np.stack([as_matrix(b["points"], num_classes) for b in parts]))
        score = Score(
            epoch=int(data["epoch"]), updates=int(data["updates"]), matrices=matrices, block_names=names, blocks=blocks
        )
    except (KeyError, TypeError, ValueError) as error:
        return None, f"test of epoch {epoch} is damaged: {error}"
    return score, ""

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
    block_names: tuple[str, ...]  # of the blocks of consecutive real scans; none where they were not asked for
    blocks: gap.Floats | None  # (B, 3, C-1), see blocks.block_counts


def read_score(
    run_folder: Path, epoch: int, num_classes: int, *, with_blocks: bool = True
) -> tuple[Score | None, str]:
    """The test scores of one epoch of a run, or None and why not; where `with_blocks`, those of blocks of scans too."""
    data, problem = committed_json(run_folder, epoch, "test", "scores.json", matrices_as_text=True)
    if data is None:
        return None, problem
    try:
        matrices = {
            domain: {level: as_matrix(data[domain][level], num_classes) for level in LEVELS if level in data[domain]}
            for domain in DOMAINS
            if domain in data
        }
        parts = (data.get("real", {}).get("blocks") or []) if with_blocks else []
        counts = [as_matrix(part["points"], num_classes) for part in parts]
        score = Score(
            epoch=int(data["epoch"]),
            updates=int(data["updates"]),
            matrices=matrices,
            block_names=tuple(f"{part['sequence']}/{part['first']}-{part['last']}" for part in parts),
            blocks=block_counts(np.stack(counts)) if parts else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return None, f"test of epoch {epoch} is damaged: {error}"
    return score, ""

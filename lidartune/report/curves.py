"""Learning curves from the committed metrics of each epoch, and what they are compared by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidartune.report.committed import as_matrix, committed_json
from lidartune.report.results import CellResult, StudyResults
from lidartune.report.scores import DOMAINS
from lidartune.transfer import gap


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run's validation mIoU on points: (E,) epochs and updates, `miou[domain]` (E,) with nan = not there."""

    epochs: np.ndarray
    updates: np.ndarray
    miou: dict[str, gap.Floats]

    def until(self, epoch: int) -> Curve:
        """The same curve, cut after `epoch`."""
        keep = self.epochs <= epoch
        return Curve(
            epochs=self.epochs[keep], updates=self.updates[keep], miou={d: v[keep] for d, v in self.miou.items()}
        )


def read_curve(run_folder: Path, last_epoch: int, num_classes: int) -> Curve:
    """Epochs 0..last_epoch of a run as far as they are committed."""
    epochs, updates, matrices = [], [], []
    for epoch in range(last_epoch + 1):
        data, _ = committed_json(run_folder, epoch, "metrics", "metrics.json", matrices_as_text=True)
        if data is None:
            continue
        validation = data.get("validation") or {}
        try:
            row = {d: as_matrix(validation[d]["points"], num_classes) for d in DOMAINS if d in validation}
            updates.append(int(data["updates"]))
        except (KeyError, TypeError, ValueError):
            continue
        epochs.append(epoch)
        matrices.append(row)
    return Curve(
        epochs=np.array(epochs, dtype=np.int64),
        updates=np.array(updates, dtype=np.int64),
        miou={domain: _mean_ious([row.get(domain) for row in matrices]) for domain in DOMAINS},
    )


def _mean_ious(matrices: list[NDArray[np.int64] | None]) -> gap.Floats:
    """(E,) mIoU over the classes of each matrix; nan where there is none."""
    result = np.full(len(matrices), np.nan)
    there = [index for index, matrix in enumerate(matrices) if matrix is not None]
    if there:
        result[there] = gap.mean_iou(np.stack([matrix for matrix in matrices if matrix is not None]))
    return result


def learning_curve(results: StudyResults, cell: CellResult, role: str, *longer: str) -> Curve | None:
    """The curve of a cell's role, each run read once a study; None where the cell has no such role.

    Args:
        longer: roles of the same run at a later epoch, for example `scratch_longer`: the curve goes on to the last.
    """
    found = cell.roles.get(role)
    if found is None:
        return None
    later = [cell.roles[name] for name in longer if name in cell.roles]
    last = max(r.epoch for r in [found, *later] if r.run == found.run)
    known = results.curves.get(found.run)
    if known is None or known[0] < last:
        known = last, read_curve(results.runs_root / found.run, last, len(results.classes))
        results.curves[found.run] = known
    return known[1].until(last)

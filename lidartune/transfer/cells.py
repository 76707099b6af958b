"""The points of a study: which combinations of the grid's axes are cells, and why others are not."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from lidartune.config import Grid, Pretraining
from lidartune.training.policies import FreezePolicy, why_impossible
from lidartune.transfer.variant import Variant

Labelled = int | Literal["all"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One point of the study. `pretrain_epochs` 0 is the reference from scratch, with nothing frozen.

    A search may draw recipes too: `variant` is what this cell's differ in.

    `labelled_scans` is a share only in a plan that is made without the scans, and so without runs to carry out.
    """

    backbone: str
    width: int
    pretrain_epochs: Pretraining
    freeze: FreezePolicy
    labelled_scans: Labelled
    seed: int
    variant: Variant | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plan.json holds it: a cell of a grid has no variant."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "variant"}
        return values | ({"variant": self.variant.as_dict()} if self.variant else {})


@dataclass(frozen=True, kw_only=True)
class Excluded:
    cell: Cell
    reason: str


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """A (run, epoch): what a role of a cell is read from."""

    run: str
    epoch: int


def grid_cells(grid: Grid, checkpoints: Collection[str] = ()) -> tuple[list[Cell], list[Excluded]]:
    """Every combination of the grid's axes, and those left out with the reason.

    Args:
        checkpoints: the backbones that have one.
    """
    axes = asdict(grid)
    cells, excluded = [], []
    for values in itertools.product(*axes.values()):
        cell = Cell(**dict(zip(axes, values, strict=True)))
        reason = why_excluded(cell, checkpoints)
        if reason is None:
            cells.append(cell)
        else:
            excluded.append(Excluded(cell=cell, reason=reason))
    return cells, excluded


def why_excluded(cell: Cell, checkpoints: Collection[str] = ()) -> str | None:
    """The reason why this combination is no cell, or None; `checkpoints` are the backbones that have one."""
    if cell.pretrain_epochs == "checkpoint" and cell.backbone not in checkpoints:
        return f"no checkpoint of {cell.backbone} is named"
    return why_impossible(cell.backbone, cell.pretrain_epochs, cell.freeze)

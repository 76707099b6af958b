"""From cells to runs: which runs a cell needs, how far each must go, and what can be shared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from lidartune.config import Pretraining, StudyConfig
from lidartune.runs.spec import RunSpec
from lidartune.scans import CLASS_NAMES
from lidartune.training.adapt.ladder import LADDER, Rung
from lidartune.transfer.cell_runs import CellRuns, updates_per_epoch
from lidartune.transfer.cells import Cell, Excluded, Milestone, grid_cells, why_excluded
from lidartune.transfer.checkpoints import read_checkpoints
from lidartune.transfer.data import StudyData
from lidartune.transfer.ladder import planned_rungs, rung_recipe, why_no_rung
from lidartune.transfer.plan_checks import check_probe, check_run
from lidartune.transfer.roles import LADDER_ROLE

__all__ = ["Cell", "Excluded", "Milestone", "Plan", "Work", "grid_cells", "why_excluded"]


@dataclass(kw_only=True)
class Work:
    """A run and the epochs of it that some cell needs; `tested` are those to be scored on the test scans."""

    spec: RunSpec
    epochs: set[int] = field(default_factory=set)
    tested: set[int] = field(default_factory=set)


class Plan:
    """The runs of a study, gathered cell by cell; cells that need the same run share it.

    Args:
        data: the study's scans; None plans from the YAML alone, with runs that will have other names.
    """

    def __init__(self, config: StudyConfig, data: StudyData | None):
        self.config = config
        self.data = data
        self.works: dict[str, Work] = {}
        self.roles: dict[Cell, dict[str, Milestone]] = {}
        self.searched: dict[Cell, dict[str, Milestone]] = {}
        self.checkpoints = read_checkpoints(config)
        self.rungs = planned_rungs(config.ladder)
        self.rungs_excluded: dict[tuple[str, str], str] = {}
        self.updates_per_epoch = updates_per_epoch(config, data)
        self._runs = CellRuns(
            config=config, data=data, checkpoints=self.checkpoints, updates_per_epoch=self.updates_per_epoch
        )
        check_probe(config, self.updates_per_epoch)

    def add(self, cell: Cell) -> dict[str, Milestone]:
        """Adds the runs that the cell needs; returns where each of its roles is read."""
        if cell in self.roles:
            return self.roles[cell]
        if cell.pretrain_epochs == "checkpoint":
            self.roles[cell] = self._from_checkpoint(cell)
            return self.roles[cell]
        pretrained_for, finetuned_for = cell.pretrain_epochs, self.config.finetune_epochs
        both = pretrained_for + finetuned_for
        scratch = self._runs.run(cell, "real", cell.labelled_scans)
        full = self._runs.run(cell, "real", "all")
        for epochs in () if self.config.search.judged else self._milestones_below(pretrained_for):
            self._need(self._runs.run(cell, "synthetic", "all"), epochs)
            for run in (scratch, full):
                self._need(run, epochs)
                self._need(run, epochs + finetuned_for)
        if pretrained_for == 0:
            roles = {
                "scratch_start": self._need(scratch, 0),
                "scratch": self._need(scratch, finetuned_for),
                "full": self._need(full, finetuned_for),
            }
        else:
            pretraining = self._runs.run(cell, "synthetic", "all")
            before = self._need(pretraining, pretrained_for)
            before_real = self._need(scratch, pretrained_for)
            finetuning = self._runs.run(cell, "real", cell.labelled_scans, before, cell.freeze)
            roles = {
                "pretrained": before,
                "start": self._need(finetuning, 0),
                "finetuned": self._need(finetuning, finetuned_for),
                "scratch_start": self._need(scratch, 0),
                "scratch": self._need(scratch, finetuned_for),
                "scratch_longer": self._need(scratch, both),
                "pretrained_longer": self._need(pretraining, both),
                "full_equal": self._need(full, pretrained_for),
                "full_longer": self._need(full, both),
                "synthetic_synthetic": self._need(self._runs.run(cell, "synthetic", "all", before), finetuned_for),
                "real_real": self._need(self._runs.run(cell, "real", cell.labelled_scans, before_real), finetuned_for),
                "real_synthetic": self._need(self._runs.run(cell, "synthetic", "all", before_real), finetuned_for),
            }
            roles |= self._ladder(cell, pretrained_for)
        self.roles[cell] = roles
        return roles

    def search(self, cell: Cell) -> dict[str, Milestone]:
        """Adds only the runs that lead to the cell's own end, scored on no test scan; returns where these are read."""
        if cell not in self.searched:
            before, end = self._runs.before(cell), self.own_end(cell)
            roles = {}
            if before is not None:
                run, epoch = before
                for epochs in (*self._milestones_below(cell.pretrain_epochs), epoch):
                    roles["pretrained"] = self._need(run, epochs, tested=False)
            name = "scratch" if before is None else "finetuned"
            self.searched[cell] = roles | {name: self._need(end, self.config.finetune_epochs, tested=False)}
        return self.searched[cell]

    def own_end(self, cell: Cell) -> RunSpec:
        """The run that a cell is about: its fine-tuning, or its training from scratch. It adds nothing to the plan.

        Raises:
            UserError: the plan would refuse the run.
        """
        before = self._runs.before(cell)
        start = Milestone(run=before[0].folder, epoch=before[1]) if before else None
        end = self._runs.run(cell, "real", cell.labelled_scans, start, cell.freeze)
        check_run(end, self.config.finetune_epochs, before[0] if before else None)
        return end

    def _ladder(self, cell: Cell, pretrained_for: int) -> dict[str, Milestone]:
        """Where each rung is read: the same for all cells of a backbone, width, pretraining and seed."""
        roles = {}
        for name in self.rungs:
            rung = LADDER[name]
            pretraining = self._runs.run(cell, "synthetic", "all", rung=rung)
            second_stage = rung_recipe(self._runs.recipe(cell, "synthetic", second_stage=True), rung)
            reason = why_no_rung(rung, pretraining, second_stage)
            if reason is None:
                roles[LADDER_ROLE + name] = self._rung(cell, rung, self._need(pretraining, pretrained_for))
            else:
                self.rungs_excluded[cell.backbone, name] = reason
        return roles

    def _rung(self, cell: Cell, rung: Rung, before: Milestone) -> Milestone:
        if rung.joint is not None:
            return self._need(self._runs.joint(cell, rung, before), self.config.finetune_epochs)
        if rung.adaptation.off:
            return before
        return self._need(self._runs.adapted(cell, rung, before), 0)

    def _from_checkpoint(self, cell: Cell) -> dict[str, Milestone]:
        """A cell that starts from an imported network. Nobody knows its updates: no role has as many as it in total."""
        before = self._need(self.adopted(cell.backbone, cell.width), 0)
        scratch = self._runs.run(cell, "real", cell.labelled_scans)
        finetuning = self._runs.run(cell, "real", cell.labelled_scans, before, cell.freeze)
        return {
            "pretrained": before,
            "start": self._need(finetuning, 0),
            "finetuned": self._need(finetuning, self.config.finetune_epochs),
            "scratch_start": self._need(scratch, 0),
            "scratch": self._need(scratch, self.config.finetune_epochs),
        }

    def adopted(self, backbone: str, width: int) -> RunSpec:
        """A checkpoint as the study scores it and starts from it: on one of its canvases, the same for all seeds."""
        return self._runs.adopted(backbone, width)

    def updates(self) -> int:
        """Updates that all runs take together, each epoch counted once."""
        return sum(max(work.epochs) for work in self.works.values()) * self.updates_per_epoch

    def pretraining_epochs(self) -> tuple[int, int]:
        """Pretraining epochs that are trained, and those that cells would train if each pretrained by itself."""
        trained: dict[str, int] = {}
        for cell, roles in self.roles.items():
            if isinstance(cell.pretrain_epochs, int) and cell.pretrain_epochs:
                run = roles["pretrained"].run
                trained[run] = max(trained.get(run, 0), cell.pretrain_epochs)
        alone = [cell.pretrain_epochs for cell in self.roles if isinstance(cell.pretrain_epochs, int)]
        return sum(trained.values()), sum(alone)

    def ladder_runs(self) -> set[str]:
        """The runs that only rungs of the ladder need, with what those start from."""
        needed: tuple[set[str], set[str]] = set(), set()
        for roles in self.roles.values():
            for role, milestone in roles.items():
                spec: RunSpec | None = self.works[milestone.run].spec
                while spec is not None:
                    needed[role.startswith(LADDER_ROLE)].add(spec.folder)
                    spec = self.works[spec.start.run].spec if spec.start else None
        return needed[True] - needed[False]

    def as_dict(self, excluded: Iterable[Excluded]) -> dict[str, Any]:
        """The plan as `plan.json` holds it, for the report."""
        def entries(planned: dict[Cell, dict[str, Milestone]]) -> list[dict[str, Any]]:
            return [
                cell.as_dict() | {"roles": {role: asdict(milestone) for role, milestone in roles.items()}}
                for cell, roles in planned.items()
            ]

        searched = {"searched": entries(self.searched)} if self.searched else {}
        ladder = {
            "ladder": list(self.rungs),
            "ladder_excluded": [
                {"backbone": backbone, "rung": rung, "reason": reason}
                for (backbone, rung), reason in self.rungs_excluded.items()
            ],
        }
        return (ladder if self.rungs else {}) | {
            "schema": 1,
            "study": self.config.name,
            "classes": list(CLASS_NAMES),
            "updates_per_epoch": self.updates_per_epoch,
            "finetune_epochs": self.config.finetune_epochs,
            "cells": entries(self.roles),
            "excluded": [{"cell": entry.cell.as_dict(), "reason": entry.reason} for entry in excluded],
        } | searched

    def _milestones_below(self, pretrained_for: Pretraining) -> list[int]:
        """Shorter pretrainings that a search may draw later: kept on the way, they are not trained a second time."""
        if self.config.search.sampler == "grid" or not isinstance(pretrained_for, int):
            return []
        shorter = (epochs for epochs in self.config.grid.pretrain_epochs if isinstance(epochs, int))
        return [epochs for epochs in shorter if 0 < epochs < pretrained_for]

    def _need(self, run: RunSpec, epoch: int, *, tested: bool = True) -> Milestone:
        check_run(run, epoch, self.works[run.start.run].spec if run.start else None)
        work = self.works.setdefault(run.folder, Work(spec=run))
        work.epochs.add(epoch)
        if tested:
            work.tested.add(epoch)
        return Milestone(run=run.folder, epoch=epoch)

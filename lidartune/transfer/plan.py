"""From cells to runs: which runs a cell needs, how far each must go, and what can be shared."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from lidartune.canvas import Sensor
from lidartune.config import Grid, Pretraining, StudyConfig
from lidartune.errors import UserError
from lidartune.runs.imported import scored_in
from lidartune.runs.spec import Domain, RunSpec, Start, other_domain
from lidartune.scans import CLASS_NAMES
from lidartune.training.adapt.ladder import LADDER, Rung
from lidartune.training.learning_rate import why_no_milestone
from lidartune.training.policies import FreezePolicy, why_impossible
from lidartune.training.presets import expanded
from lidartune.training.recipe import Recipe
from lidartune.transfer.checkpoints import read_checkpoints
from lidartune.transfer.data import StudyData
from lidartune.transfer.ladder import ROLE, planned_rungs, reads_real_labels, rung_network, rung_recipe, why_no_rung

Labelled = int | Literal["all"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One point of the study. `pretrain_epochs` 0 is the reference from scratch, with nothing frozen.

    `labelled_scans` is a share only in a plan that is made without the scans, and so without runs to carry out.
    """

    backbone: str
    width: int
    pretrain_epochs: Pretraining
    freeze: FreezePolicy
    labelled_scans: Labelled
    seed: int


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """A (run, epoch): what a role of a cell is read from."""

    run: str
    epoch: int


@dataclass(kw_only=True)
class Work:
    """A run and the epochs of it that some cell needs."""

    spec: RunSpec
    epochs: set[int] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Excluded:
    cell: Cell
    reason: str


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
        self.checkpoints = read_checkpoints(config)
        self.rungs = planned_rungs(config.ladder)
        self.rungs_excluded: dict[tuple[str, str], str] = {}
        recipe = Recipe(**expanded(config.recipe, 1))
        stated = recipe.updates_per_epoch if "updates_per_epoch" in config.recipe else None
        if stated is None and data is None:
            raise UserError(
                "how long an epoch is depends on the real dataset, which is not there",
                where="recipe",
                do="give the dataset folders, or state recipe.updates_per_epoch",
            )
        self.updates_per_epoch: int = stated or self._one_pass()
        if "probe_then_full" in config.grid.freeze:
            self._check_probe()

    def add(self, cell: Cell) -> dict[str, Milestone]:
        """Adds the runs that the cell needs; returns where each of its roles is read."""
        if cell in self.roles:
            return self.roles[cell]
        if cell.pretrain_epochs == "checkpoint":
            self.roles[cell] = self._from_checkpoint(cell)
            return self.roles[cell]
        pretrained_for, finetuned_for = cell.pretrain_epochs, self.config.finetune_epochs
        both = pretrained_for + finetuned_for
        scratch = self._run(cell, "real", cell.labelled_scans)
        full = self._run(cell, "real", "all")
        for epochs in self._milestones_below(pretrained_for):
            self._need(self._run(cell, "synthetic", "all"), epochs)
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
            pretraining = self._run(cell, "synthetic", "all")
            before = self._need(pretraining, pretrained_for)
            before_real = self._need(scratch, pretrained_for)
            finetuning = self._run(cell, "real", cell.labelled_scans, before, cell.freeze)
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
                "synthetic_synthetic": self._need(self._run(cell, "synthetic", "all", before), finetuned_for),
                "real_real": self._need(self._run(cell, "real", cell.labelled_scans, before_real), finetuned_for),
                "real_synthetic": self._need(self._run(cell, "synthetic", "all", before_real), finetuned_for),
            }
            roles |= self._ladder(cell, pretrained_for)
        self.roles[cell] = roles
        return roles

    def _ladder(self, cell: Cell, pretrained_for: int) -> dict[str, Milestone]:
        """Where each rung is read: the same for all cells of a backbone, width, pretraining and seed."""
        roles = {}
        for name in self.rungs:
            rung = LADDER[name]
            pretraining = self._run(cell, "synthetic", "all", rung=rung)
            second_stage = rung_recipe(self._recipe(cell.backbone, "synthetic", second_stage=True), rung)
            reason = why_no_rung(rung, pretraining, second_stage)
            if reason is None:
                roles[ROLE + name] = self._rung(cell, rung, self._need(pretraining, pretrained_for))
            else:
                self.rungs_excluded[cell.backbone, name] = reason
        return roles

    def _rung(self, cell: Cell, rung: Rung, before: Milestone) -> Milestone:
        labelled = reads_real_labels(rung)
        if rung.joint is not None:  # the second stage on synthetic scans, with real ones among them
            run = self._run(cell, "synthetic", "all", before, rung=rung)
            other = self._other_fingerprint("real", labelled or run.recipe.reads_labels_of("real"))
            return self._need(replace(run, joint=rung.joint, other=other), self.config.finetune_epochs)
        if rung.adaptation.off:
            return before
        adapted = replace(
            self._run(cell, "synthetic", "all", rung=rung),
            start=Start(run=before.run, epoch=before.epoch),
            adaptation=rung.adaptation,
            other=self._other_fingerprint("real", labelled),
        )
        return self._need(adapted, 0)

    def _from_checkpoint(self, cell: Cell) -> dict[str, Milestone]:
        """A cell that starts from an imported network. Nobody knows its updates: no role has as many as it in total."""
        before = self._need(self.adopted(cell.backbone, cell.width), 0)
        scratch = self._run(cell, "real", cell.labelled_scans)
        finetuning = self._run(cell, "real", cell.labelled_scans, before, cell.freeze)
        return {
            "pretrained": before,
            "start": self._need(finetuning, 0),
            "finetuned": self._need(finetuning, self.config.finetune_epochs),
            "scratch_start": self._need(scratch, 0),
            "scratch": self._need(scratch, self.config.finetune_epochs),
        }

    def adopted(self, backbone: str, width: int) -> RunSpec:
        """A checkpoint as the study scores it and starts from it: on one of its canvases, the same for all seeds."""
        cell = Cell(
            backbone=backbone, width=width, pretrain_epochs="checkpoint", freeze="none", labelled_scans="all", seed=0
        )
        return scored_in(self.checkpoints[backbone].spec, self._run(cell, "synthetic", "all"))

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
                    needed[role.startswith(ROLE)].add(spec.folder)
                    spec = self.works[spec.start.run].spec if spec.start else None
        return needed[True] - needed[False]

    def as_dict(self, excluded: Iterable[Excluded]) -> dict[str, Any]:
        """The plan as `plan.json` holds it, for the report."""
        cells = [
            asdict(cell) | {"roles": {role: asdict(milestone) for role, milestone in roles.items()}}
            for cell, roles in self.roles.items()
        ]
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
            "cells": cells,
            "excluded": [{"cell": asdict(entry.cell), "reason": entry.reason} for entry in excluded],
        }

    def _one_pass(self) -> int:
        """Updates of one pass over the real training scans."""
        assert self.data is not None
        config = self.config
        batches = {
            config.recipe_for(backbone, "real", second_stage=second, updates_per_epoch=1).batch_size
            for backbone in config.grid.backbone
            for second in (False, True)
        }
        if len(batches) > 1:
            raise UserError(
                "one pass over the real scans is another number of updates for each batch size",
                where="recipe",
                found=f"batches of {', '.join(map(str, sorted(batches)))} scans",
                wanted="recipe.updates_per_epoch, the same for all runs",
                do="state it, or one recipe.batch_size for all",
            )
        return max(1, len(self.data.domains["real"].train) // batches.pop())

    def _check_schedule(self, run: RunSpec, reason: str | None) -> None:
        if reason is not None:
            stage = "recipe_second_stage" if run.start else "recipe"
            raise UserError(
                "the study keeps a run where its learning rate has not ended",
                where=f"{stage}.schedule, run {run.name}",
                found=reason,
                do="cosine is for runs that end where they are reported: put it into recipe_second_stage, "
                "with cosine_updates, or leave schedule: decay",
            )

    def _check_probe(self) -> None:
        """Refuses a probe that is as long as the whole fine-tuning, or whose length is not stated."""
        updates = self.config.finetune_epochs * self.updates_per_epoch
        for backbone in self.config.grid.backbone:
            probe = self._recipe(backbone, "real", second_stage=True).probe_updates
            if probe is None or probe >= updates:
                raise UserError(
                    "freeze policy probe_then_full needs a probe that ends before fine-tuning does",
                    where=f"probe_updates in {backbone}'s recipe of fine-tuning",
                    found="nothing" if probe is None else probe,
                    wanted=f"a number of updates, fewer than the {updates:,} of fine-tuning",
                    do=f"for example --set recipe_second_stage.probe_updates={max(1, updates // 2)}",
                )

    def _recipe(self, backbone: str, domain: Domain, *, second_stage: bool) -> Recipe:
        return self.config.recipe_for(
            backbone, domain, second_stage=second_stage, updates_per_epoch=self.updates_per_epoch
        )

    def _milestones_below(self, pretrained_for: int) -> list[int]:
        """Shorter pretrainings that a search may draw later: kept on the way, they are not trained a second time."""
        if self.config.search.sampler == "grid":
            return []
        shorter = (epochs for epochs in self.config.grid.pretrain_epochs if isinstance(epochs, int))
        return [epochs for epochs in shorter if 0 < epochs < pretrained_for]

    def _need(self, run: RunSpec, epoch: int) -> Milestone:
        goes_on = run.start is not None and run.recipe.start.learning_rate == "continued"
        behind = run.start.epoch * self.updates_per_epoch if run.start and goes_on else 0
        self._check_schedule(run, why_no_milestone(run.recipe, epoch, behind=behind))
        if run.start and run.start.run in self.works:
            parent = self.works[run.start.run].spec
            self._check_schedule(parent, why_no_milestone(parent.recipe, run.start.epoch, starts=True))
        self.works.setdefault(run.folder, Work(spec=run)).epochs.add(epoch)
        return Milestone(run=run.folder, epoch=epoch)

    def _run(
        self,
        cell: Cell,
        domain: Domain,
        labelled_scans: Labelled,
        start: Milestone | None = None,
        freeze: FreezePolicy = "none",
        rung: Rung = LADDER["none"],
    ) -> RunSpec:
        config, canvas = self.config, self.config.canvas
        checkpoint = self.checkpoints.get(cell.backbone)
        data = self.data
        recipe = self._recipe(cell.backbone, domain, second_stage=start is not None)
        recipe = rung_recipe(recipe, rung).for_run(freeze, domain, starts=start is not None)
        network = checkpoint.spec.network if checkpoint else config.network_for(cell.backbone)
        return RunSpec(
            domain=domain,
            start=Start(run=start.run, epoch=start.epoch) if start else None,
            backbone=cell.backbone,
            channels=config.channels_by_backbone.get(cell.backbone, config.channels),
            canvas=Sensor(canvas.height, cell.width, canvas.fov_up_deg, canvas.fov_down_deg, canvas.rows),
            recipe=recipe,
            freeze=freeze,
            labelled_scans=labelled_scans,
            seed=cell.seed,
            train=data.train_fingerprint(domain, labelled_scans, cell.seed) if data else "unknown",
            validation=dict(data.validation) if data else {},
            test=dict(data.test) if data else {},
            block=config.scoring.block,
            other=self._other(domain, recipe),
            taxonomies=dict(data.taxonomies) if data else {},
            network=rung_network(network, rung),
        )

    def _other(self, domain: Domain, recipe: Recipe) -> str:
        """Fingerprint of the other domain's training scans where a run of this recipe sees those too, else ""."""
        there = other_domain(domain)
        if recipe.reads_labels_of(there):
            return self._other_fingerprint(there, labelled=True)
        return self._other_fingerprint(there, labelled=False) if recipe.raydrop != "off" else ""

    def _other_fingerprint(self, domain: Domain, labelled: bool) -> str:
        return self.data.other_fingerprint(domain, labelled=labelled) if self.data else "unknown"

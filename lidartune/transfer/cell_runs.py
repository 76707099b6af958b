"""What the runs of a cell are: their specs, out of the study's YAML and its scans."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lidartune.canvas import Sensor
from lidartune.config import StudyConfig
from lidartune.errors import UserError
from lidartune.runs.imported import scored_in
from lidartune.runs.spec import Domain, RunSpec, Start, other_domain
from lidartune.training.adapt.ladder import LADDER, Rung
from lidartune.training.policies import FreezePolicy
from lidartune.training.presets import expanded
from lidartune.training.recipe import Recipe
from lidartune.transfer.cells import Cell, Labelled, Milestone
from lidartune.transfer.checkpoints import Checkpoint
from lidartune.transfer.data import StudyData
from lidartune.transfer.ladder import reads_real_labels, rung_network, rung_recipe


@dataclass(frozen=True, kw_only=True)
class CellRuns:
    """Makes the specs of runs. Without `data` they have other names than the runs that will be carried out."""

    config: StudyConfig
    data: StudyData | None
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    updates_per_epoch: int

    def run(
        self,
        cell: Cell,
        domain: Domain,
        labelled_scans: Labelled,
        start: Milestone | None = None,
        freeze: FreezePolicy = "none",
        rung: Rung = LADDER["none"],
    ) -> RunSpec:
        """A run of the cell's backbone, width and seed, from nothing or from a milestone."""
        config, canvas, data = self.config, self.config.canvas, self.data
        checkpoint = self.checkpoints.get(cell.backbone)
        recipe = rung_recipe(self.recipe(cell, domain, second_stage=start is not None), rung)
        recipe = recipe.for_run(freeze, domain, backbone=cell.backbone, starts=start is not None)
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

    def joint(self, cell: Cell, rung: Rung, before: Milestone) -> RunSpec:
        """The second stage on synthetic scans of a rung that trains on, with real scans among them."""
        other = self._other_fingerprint("real", labelled=reads_real_labels(rung))
        return replace(self.run(cell, "synthetic", "all", before, rung=rung), joint=rung.joint, other=other)

    def adapted(self, cell: Cell, rung: Rung, before: Milestone) -> RunSpec:
        """A rung's pretraining after its adaptation: a run of epoch 0 alone."""
        return replace(
            self.run(cell, "synthetic", "all", rung=rung),
            start=Start(run=before.run, epoch=before.epoch),
            adaptation=rung.adaptation,
            other=self._other_fingerprint("real", labelled=reads_real_labels(rung)),
        )

    def adopted(self, backbone: str, width: int) -> RunSpec:
        """A checkpoint as the study scores it and starts from it: on one of its canvases, the same for all seeds."""
        cell = Cell(
            backbone=backbone, width=width, pretrain_epochs="checkpoint", freeze="none", labelled_scans="all", seed=0
        )
        return scored_in(self.checkpoints[backbone].spec, self.run(cell, "synthetic", "all"))

    def before(self, cell: Cell) -> tuple[RunSpec, int] | None:
        """The run and the epoch that the cell's fine-tuning starts from; None where it is trained from scratch."""
        if cell.pretrain_epochs == "checkpoint":
            return self.adopted(cell.backbone, cell.width), 0
        return (self.run(cell, "synthetic", "all"), cell.pretrain_epochs) if cell.pretrain_epochs else None

    def recipe(self, cell: Cell, domain: Domain, *, second_stage: bool) -> Recipe:
        """The recipe of a run of the cell; `second_stage` says whether it starts from a milestone."""
        return self.config.recipe_for(
            cell.backbone,
            domain,
            second_stage=second_stage,
            updates_per_epoch=self.updates_per_epoch,
            changes=cell.variant.changes(domain, second_stage=second_stage) if cell.variant else {},
        )

    def _other(self, domain: Domain, recipe: Recipe) -> str:
        """Fingerprint of the other domain's training scans where a run of this recipe sees those too, else ""."""
        there = other_domain(domain)
        if recipe.reads_labels_of(there):
            return self._other_fingerprint(there, labelled=True)
        return self._other_fingerprint(there, labelled=False) if recipe.raydrop != "off" else ""

    def _other_fingerprint(self, domain: Domain, *, labelled: bool) -> str:
        return self.data.other_fingerprint(domain, labelled=labelled) if self.data else "unknown"


def updates_per_epoch(config: StudyConfig, data: StudyData | None) -> int:
    """The length of every epoch of the study: as stated, or one pass over the real training scans.

    Raises:
        UserError: it is not stated, and there are no scans to count, or more than one batch size to count them by.
    """
    recipe = Recipe(**expanded(config.recipe, 1))
    if "updates_per_epoch" in config.recipe:
        return recipe.updates_per_epoch
    if data is None:
        raise UserError(
            "how long an epoch is depends on the real dataset, which is not there",
            where="recipe",
            do="give the dataset folders, or state recipe.updates_per_epoch",
        )
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
    return max(1, len(data.domains["real"].train) // batches.pop())

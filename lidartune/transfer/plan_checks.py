"""What a plan refuses before anything is trained: runs that could not be carried out, or that would say nothing."""

from __future__ import annotations

from lidartune.config import StudyConfig
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.training.learning_rate import why_no_milestone
from lidartune.training.policies import idle_groups


def check_probe(config: StudyConfig, updates_per_epoch: int) -> None:
    """Refuses a probe that is as long as the whole fine-tuning, or whose length is not stated."""
    updates = config.finetune_epochs * updates_per_epoch
    for backbone in config.grid.backbone if "probe_then_full" in config.grid.freeze else ():
        recipe = config.recipe_for(backbone, "real", second_stage=True, updates_per_epoch=updates_per_epoch)
        probe = recipe.probe_updates
        if probe is None or probe >= updates:
            raise UserError(
                "freeze policy probe_then_full needs a probe that ends before fine-tuning does",
                where=f"probe_updates in {backbone}'s recipe of fine-tuning",
                found="nothing" if probe is None else probe,
                wanted=f"a number of updates, fewer than the {updates:,} of fine-tuning",
                do=f"for example --set recipe_second_stage.probe_updates={max(1, updates // 2)}",
            )


def check_run(run: RunSpec, epoch: int, parent: RunSpec | None) -> None:
    """Refuses a run that takes over what its milestone does not have, freezes what it has drawn anew, or is kept before
    its learning rate ends.

    Args:
        epoch: which of the run's epochs is to be kept.
        parent: the run that it starts from, which must not end with a learning rate of 0.
    """
    goes_on = run.start is not None and run.recipe.start.learning_rate == "continued"
    behind = run.start.epoch * run.recipe.updates_per_epoch if run.start and goes_on else 0
    _check_schedule(run, why_no_milestone(run.recipe, epoch, behind=behind))
    if parent is not None and run.start is not None:
        _check_schedule(parent, why_no_milestone(parent.recipe, run.start.epoch, starts=True))
        _check_start(run, parent)


def _check_start(run: RunSpec, parent: RunSpec) -> None:
    start = run.recipe.start
    if start.optimizer == "kept" and (parent.imported or parent.recipe.optimizer != run.recipe.optimizer):
        raise UserError(
            "a run is to keep the optimiser of its milestone, which has no such one",
            where=f"recipe_second_stage.start.optimizer, run {run.name}",
            found="an imported network, which brings no optimiser"
            if parent.imported
            else f"{parent.recipe.optimizer} in {parent.name}",
            wanted=run.recipe.optimizer,
            do="leave checkpoint out of grid.pretrain_epochs, or set recipe_second_stage.start.optimizer=fresh"
            if parent.imported
            else f"set recipe_second_stage.start.optimizer=fresh, or optimizer: {run.recipe.optimizer} for both runs",
        )
    if start.head == "new" and "head" in idle_groups(run.freeze):
        raise UserError(
            "a new head would stay frozen at random weights",
            where=f"recipe_second_stage.start.head, run {run.name}",
            found=f"new, with freeze: {run.freeze}",
            do=f"set recipe_second_stage.start.head=kept, or leave {run.freeze} out of grid.freeze",
        )
    if start.learning_rate == "continued" and parent.imported:
        raise UserError(
            "a learning rate is to go on from an imported network, and nobody knows where its training stood",
            where=f"recipe_second_stage.start.learning_rate, run {run.name}",
            found="continued",
            wanted="restarted or scaled",
            do="set recipe_second_stage.start.learning_rate=restarted, or leave checkpoint out of grid.pretrain_epochs",
        )


def _check_schedule(run: RunSpec, reason: str | None) -> None:
    if reason is not None:
        stage = "recipe_second_stage" if run.start else "recipe"
        raise UserError(
            "the study keeps a run where its learning rate has not ended",
            where=f"{stage}.schedule, run {run.name}",
            found=reason,
            do="cosine is for runs that end where they are reported: put it into recipe_second_stage, "
            "with cosine_updates, or leave schedule: decay",
        )

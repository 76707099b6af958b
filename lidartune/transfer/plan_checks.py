"""What a plan refuses before anything is trained: runs that could not be carried out, or that would say nothing."""

from __future__ import annotations

from lidartune.config import StudyConfig
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.training.learning_rate import why_no_milestone


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
    """Refuses to keep the run at an epoch where its learning rate has not ended.

    Args:
        parent: the run that it starts from, which must not end with a learning rate of 0.
    """
    goes_on = run.start is not None and run.recipe.start.learning_rate == "continued"
    behind = run.start.epoch * run.recipe.updates_per_epoch if run.start and goes_on else 0
    _check_schedule(run, why_no_milestone(run.recipe, epoch, behind=behind))
    if parent is not None and run.start is not None:
        _check_schedule(parent, why_no_milestone(parent.recipe, run.start.epoch, starts=True))


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

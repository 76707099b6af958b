"""The ladder's rungs as a plan sees them: what a rung changes of a run, and why a run cannot have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lidartune.backbones.names import CANVAS_CHANNELS
from lidartune.runs.spec import NetworkForm, RunSpec
from lidartune.training.adapt.ladder import LADDER, Rung, RungName
from lidartune.training.adapt.model import why_unadaptable
from lidartune.training.joint import why_not_joint
from lidartune.training.recipe import Recipe


def planned_rungs(named: Sequence[str]) -> tuple[RungName, ...]:
    """The rungs in the ladder's order, with `none`, which the others are compared with; none where none is named."""
    return tuple(rung for rung in LADDER if rung in named or rung == "none") if named else ()


def rung_recipe(recipe: Recipe, rung: Rung) -> Recipe:
    return replace(recipe, **rung.recipe)


def rung_network(network: NetworkForm, rung: Rung) -> NetworkForm:
    """The study's network with what the rung changes; of its inputs, those stay that the rung does not take away."""
    changes = dict(rung.network)
    if "inputs" in changes:
        without = set(CANVAS_CHANNELS) - set(changes["inputs"])
        changes["inputs"] = tuple(channel for channel in network.inputs if channel not in without)
    return replace(network, **changes)


def reads_real_labels(rung: Rung) -> bool:
    """Whether it is an upper bound that no study without real labels could have."""
    return rung.adaptation.prior == "oracle" or (rung.joint is not None and rung.joint.labels == "real")


def why_no_rung(rung: Rung, pretraining: RunSpec, second_stage: Recipe) -> str | None:
    """The reason why a study cannot have the rung for networks that are pretrained like this, or None.

    Args:
        second_stage: the recipe with which a rung that trains on does so.
    """
    if not pretraining.network.inputs:
        return "the networks take in nothing that would be left"
    if rung.joint is not None and (reason := why_not_joint(rung.joint, pretraining.canvas, second_stage)) is not None:
        return reason
    return why_unadaptable(pretraining.backbone, rung.adaptation, crf=pretraining.network.crf)


def ladder_lines(rungs: Sequence[str], excluded: Mapping[tuple[str, str], str], runs: Collection[str]) -> list[str]:
    """What a plan says of its ladder; `runs` are those that nothing but the ladder needs."""
    if not rungs:
        return []
    lines = [f"  ladder: {len(rungs)} rungs, {len(runs)} runs of their own"]
    reasons: dict[str, list[str]] = {}
    for (backbone, rung), reason in excluded.items():
        reasons.setdefault(reason, []).append(f"{rung} of {backbone}")
    return lines + [f"  left out: {', '.join(names)}: {reason}" for reason, names in reasons.items()]

"""What a run begins with: random weights, another run's milestone, or a network that was trained elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile, class_counts, spread
from lidartune.training.adapt.start import adapt_to_scans
from lidartune.training.class_weights import never_seen, weights_of
from lidartune.training.handed_on import HandedOn, give_memories, milestone_memories
from lidartune.training.load_report import LoadReport, parts_of
from lidartune.training.loader import ScanReader
from lidartune.training.seeding import derived_seed
from lidartune.training.state import (
    Normalization,
    TrainingState,
    new_model,
    new_state,
    place_weights,
)


@dataclass(frozen=True, kw_only=True)
class Scans:
    """Scans of one domain and who reads them."""

    files: Sequence[ScanFile]
    reader: ScanReader


# -- what is counted on the scans -----------------------------------------------------------------------------------


def counted_weights(spec: RunSpec, own: Scans, other: Scans | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class weights `(20,)`, and a note where the run's own training scans lack a class.

    Args:
        other: labelled training scans of the other domain, where the recipe counts the weights on those.
    """
    recipe = spec.recipe
    counts, counted = _counts(spec, own)
    notes = never_seen(counts, counted, len(own.files))
    if recipe.class_weights_counted_on not in ("own", spec.domain) and recipe.class_weights != "none":
        assert other is not None and other.files, "the plan names the scans that class weights are counted on"
        counts, _ = _counts(spec, other)
    return weights_of(recipe, counts), notes


def _counts(spec: RunSpec, scans: Scans) -> tuple[np.ndarray, int]:
    chosen = spread(scans.files, spec.recipe.statistics_scans)
    return class_counts(scan.truth for scan in scans.reader.training_stream(chosen, spec.canvas)), len(chosen)


def measured_normalization(spec: RunSpec, own: Scans) -> Normalization:
    """Channel means and deviations of (a spread of) the run's training scans, read as training reads them."""
    chosen = spread(own.files, spec.recipe.statistics_scans)
    return Normalization.measured(own.reader.training_stream(chosen, spec.canvas))


# -- epoch 0 --------------------------------------------------------------------------------------------------------


def fresh_state(
    spec: RunSpec, scans: Sequence[ScanFile], reader: ScanReader, device: torch.device, other: Scans | None = None
) -> TrainingState:
    """Epoch 0 of a run from nothing: random weights of its seed, normalisation measured on its training scans."""
    own = Scans(files=scans, reader=reader)
    normalization = measured_normalization(spec, own)
    model = _drawn_model(spec, device)
    weights, notes = counted_weights(spec, own, other)
    state = new_state(spec, model, normalization, weights)
    state.notes = notes
    return state


def state_from_milestone(
    spec: RunSpec,
    milestone: HandedOn,
    scans: Sequence[ScanFile],
    reader: ScanReader,
    device: torch.device,
    other: Scans | None = None,
) -> TrainingState:
    """Epoch 0 of a run that starts from another's, as the recipe's `start` says.

    Raises:
        UserError: a tensor has no place; an optimiser is to be kept, or its schedule continued, where there is none.
    """
    start, own = spec.recipe.start, Scans(files=scans, reader=reader)
    drawn = ("head.", "CRF.") if start.head == "new" else ()
    model = _drawn_model(spec, device)
    place_weights(model, milestone.weights, milestone.where, but=drawn)
    memories = milestone_memories(milestone, model, spec.recipe.optimizer) if start.optimizer == "kept" else {}
    weights, notes = counted_weights(spec, own, other)
    normalization = measured_normalization(spec, own) if start.normalization == "own" else milestone.normalization
    state = new_state(spec, model, normalization, weights)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    kept = {name: memories[name] for name in trained if name in memories and not (drawn and name.startswith(drawn))}
    give_memories(state.optimizer, trained, kept)
    state.behind = _updates_behind(milestone) if start.learning_rate == "continued" else 0
    anew = {name for name in model.state_dict() if drawn and name.startswith(drawn)}
    state.notes = notes
    state.load = replace(
        _came_over(milestone, model, normalization=start.normalization, anew=anew),
        optimizer=start.optimizer,
        optimizer_kept=len(kept),
        optimizer_fresh=tuple(n for n in trained if n not in kept) if start.optimizer == "kept" else (),
        behind=state.behind,
    )
    return state


def adapted_state(
    spec: RunSpec, milestone: HandedOn, own: Scans, target: Scans, device: torch.device
) -> TrainingState:
    """The only epoch, 0, of an adapted run: the milestone's network after the adaptation, with its class weights.

    Args:
        own: training scans of the domain that the milestone was trained on.
        target: those of the one that it is adapted to.

    Raises:
        UserError: a tensor has no place; this network cannot be adapted like this.
    """
    assert spec.adaptation is not None
    model = _drawn_model(spec, device)
    place_weights(model, milestone.weights, milestone.where)
    weights = milestone.class_weights
    if weights is None:
        weights = np.zeros(spec.network.num_classes, dtype=np.float32)
    found = adapt_to_scans(
        model,
        milestone.normalization,
        weights,
        spec.adaptation,
        source=own.files,
        source_reader=own.reader,
        target=target.files,
        target_reader=target.reader,
        sensor=spec.canvas,
        statistics_scans=spec.recipe.statistics_scans,
        device=device,
    )
    state = new_state(spec, model, found.normalization, weights)
    state.adaptation = found.report
    state.behind = milestone.updates or 0
    normalization = "carried" if spec.adaptation.statistics == "carried" else "target"
    state.load = _came_over(milestone, model, normalization=normalization)
    return state


def _came_over(
    milestone: HandedOn, model: Network, *, normalization: str, anew: Collection[str] = ()
) -> LoadReport:
    """What a network has from a milestone, with a fresh optimiser; `anew` names the tensors that it has not."""
    return LoadReport(
        run=milestone.spec.folder,
        epoch=milestone.epoch,
        file=milestone.file,
        sha256=hashlib.sha256(milestone.weights).hexdigest(),
        placed=parts_of(model.state_dict().keys() - set(anew)),
        reinitialized=parts_of(anew),
        why={part: "recipe.start.head is new" for part, count in parts_of(anew).items() if count},
        optimizer="fresh",
        optimizer_kept=0,
        optimizer_fresh=(),
        normalization=normalization,
        behind=0,
    )


def imported_state(
    spec: RunSpec, weights: bytes, normalization: Normalization, device: torch.device
) -> TrainingState:
    """A network that was trained elsewhere, to be scored: its class weights, which training alone needs, are 0."""
    model = new_model(spec, device)
    place_weights(model, weights, spec.folder)
    return new_state(spec, model, normalization, np.zeros(spec.network.num_classes, dtype=np.float32))


def _drawn_model(spec: RunSpec, device: torch.device) -> Network:
    torch.manual_seed(derived_seed(spec.seed, "weights"))
    return new_model(spec, device)


def _updates_behind(milestone: HandedOn) -> int:
    if milestone.updates is None:
        raise UserError(
            "the learning rate is to go on from an imported network, and nobody knows where its training stood",
            where=milestone.where,
            do="set recipe_second_stage.start.learning_rate to restarted or scaled",
        )
    return milestone.updates

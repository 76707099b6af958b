"""How a run is trained: everything about it that can change the result."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from lidartune.training.at_start import AtStart
from lidartune.training.augment import Augmentation
from lidartune.training.learning_rate import cosine, decayed
from lidartune.training.loss_terms import Loss
from lidartune.training.policies import WITHOUT_BATCHNORM, FreezePolicy, idle_groups

Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Off = BeforeValidator(lambda value: "off" if value is False else value)
"""YAML 1.1 reads the word off as false."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class GroupLearningRates:
    """Factors by which the learning rate is multiplied in each part of the network; a CRF has the head's.

    The scale and shift of a batch normalisation have the factor of the part that it is in.
    """

    encoder: Factor = 1.0
    decoder: Factor = 1.0
    head: Factor = 1.0


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Ema:
    """An exponential moving average of the network beside the one that trains (lidartune/training/ema.py).

    `use: scores`: the average is scored, but a run that starts from here is handed the trained weights, so that its
    epoch 0 is not the milestone's score. `use: milestones`: the average is scored and handed on.
    """

    decay: float = Field(default=0.999, ge=0, lt=1)
    use: Literal["scores", "milestones"] = "scores"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """One training recipe. The defaults follow the published range-image baselines (SGD, warm-up, decay per epoch).

    An epoch is `updates_per_epoch` updates of `batch_size` scans, whatever the size of the training split.

    `sampling` says which: `uniform` sees no scan again before all have been, also across epochs; `sequences` draws
    every sequence equally often, and no scan again before all others of its sequence. It holds for the run's own scans:
    those of the other domain in a joint run are drawn uniformly. Class weights and channel statistics are counted on
    the training scans as they are, whatever `sampling` and `augmentation` say.

    `probe_updates` says how many updates freeze policy `probe_then_full` trains the head alone, counted from the run's
    first one. Nothing starts again when the others join: the learning rate goes on as `learning_rate_at` says, so
    that `warmup_updates` up to `probe_updates` warm up the probe only; the optimiser keeps the head's momentum and
    begins without any for the others, or with the milestone's where `start.optimizer` is `kept`.

    `dropout` and `batchnorm_momentum` None are the published network's own.

    `class_weights`: lidartune/training/class_weights.py; `class_weights_counted_on` the other domain counts
    them on all its training scans, else they are counted on the run's own.

    `accumulation` takes an update's batch in so many parts, one after the other, to need less memory. Each part's loss
    counts as the class weights of its labelled pixels do among the whole batch's, so that without batch normalisation
    the gradient is that of the whole batch; batch normalisation sees one part at a time, and so does the Lovasz term.
    `clip_gradient_norm` is the largest Euclidean norm of the whole gradient. `amp: bf16` computes the forward pass in
    bfloat16 where torch's autocast does; weights, loss and scores stay float32.

    `schedule: cosine` ends after `cosine_updates`: only runs that end just there, and that nothing starts from, may
    have it (`learning_rate.why_no_milestone`); `decay_per_epoch` then says nothing.

    `precise_batchnorm`: before an epoch is scored, running statistics that follow the batches are measured anew on so
    many of the run's own training scans as they are (lidartune/training/precise.py), for the network that is scored:
    the average where there is one. A run that starts there is handed the network that was scored, statistics too, but
    with `ema.use: scores`: then it is handed the trained weights with the statistics that training has left. Training
    itself goes on with its own, whenever and whether anything is scored.

    `raydrop`: a run on synthetic scans loses pixels after each projection, until its canvases are on average as full as
    those of real training scans, everywhere alike or pixel by pixel (lidartune/training/raydrop.py); no label of those
    is read. Whatever is counted or scored is the canvases as they are.

    `start` says what a run takes over from the milestone that it starts from.

    A new field takes a default that trains as before, so that stored runs keep their ids (lidartune/runs/spec.py).
    """

    updates_per_epoch: int = Field(default=1, ge=1)
    batch_size: int = Field(default=8, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0, allow_inf_nan=False)
    warmup_updates: int = Field(default=0, ge=0)
    decay_per_epoch: float = Field(default=0.99, gt=0, le=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0, allow_inf_nan=False)
    class_weights: Literal["inverse", "sqrt", "effective_number", "none"] = "inverse"
    class_weight_epsilon: float = Field(default=0.001, gt=0, allow_inf_nan=False)
    batchnorm_momentum: float | None = Field(default=None, gt=0, le=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    skip_gradient: bool = True
    statistics_scans: int = Field(default=500, ge=1)
    sampling: Literal["uniform", "sequences"] = "uniform"
    augmentation: Augmentation = Augmentation()
    probe_updates: int | None = Field(default=None, ge=1)
    group_learning_rates: GroupLearningRates = GroupLearningRates()
    loss: Loss = Loss()
    effective_number_beta: float = Field(default=0.999999, gt=0, lt=1)
    class_weights_counted_on: Literal["own", "synthetic", "real"] = "own"
    schedule: Literal["decay", "cosine"] = "decay"
    cosine_updates: int | None = Field(default=None, ge=1)
    accumulation: int = Field(default=1, ge=1)
    clip_gradient_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    ema: Ema | None = None
    precise_batchnorm: int | None = Field(default=None, ge=1)
    amp: Annotated[Literal["off", "bf16"], Off] = "off"
    raydrop: Annotated[Literal["off", "global", "per_pixel"], Off] = "off"
    start: AtStart = AtStart()

    def learning_rate_at(self, update: int, *, behind: int | None = None) -> float:
        """Learning rate of the update with this index (0 is the first): linear warm-up times decay or half a cosine.

        It depends on the index alone, not on where training will end, so that the first epochs of a long run are
        exactly those of a short one.

        Args:
            behind: in a run that starts from a milestone, how many updates the schedule has behind it at update 0 (0
                but where `start.learning_rate` is `continued`); None in a run from nothing.
        """
        warmup = min(1.0, (update + 1) / self.warmup_updates) if self.warmup_updates else 1.0
        peak = self.learning_rate
        if behind is not None:
            warmup = warmup if self.start.warmup else 1.0
            peak *= self.start.learning_rate_factor if self.start.learning_rate == "scaled" else 1.0
        index = update + (behind or 0)
        if self.schedule == "cosine":
            assert self.cosine_updates is not None, "Plan refuses a study that does not state them"
            return peak * warmup * cosine(index, self.cosine_updates)
        return peak * warmup * decayed(index, self.decay_per_epoch, self.updates_per_epoch)

    def for_policy(self, policy: FreezePolicy) -> Recipe:
        """The recipe without what changes nothing under this freeze policy: equal runs then have one id."""
        idle = idle_groups(policy)
        rates = replace(self.group_learning_rates, **dict.fromkeys(idle, 1.0))
        probe = self.probe_updates if policy == "probe_then_full" else None
        skip_gradient = self.skip_gradient or "encoder" in idle
        recipe = replace(self, group_learning_rates=rates, probe_updates=probe, skip_gradient=skip_gradient)
        return recipe._without_statistics() if policy == "head_only" else recipe

    def for_run(self, policy: FreezePolicy, domain: str, *, backbone: str, starts: bool) -> Recipe:
        """The recipe without what changes nothing in such a run: equal runs then have one id.

        What is not used goes back to its default, whatever a study states: settings of a rule of class weights or of a
        schedule that is not the run's, of batch normalisation where nothing follows the batches, of a start where there
        is none, warm-up where `start.warmup` is off. `loss` refuses such settings by itself.

        Args:
            starts: whether the run starts from a milestone.
        """
        counted_on = self.class_weights_counted_on if self.class_weights != "none" else "own"
        unused = set() if self.schedule == "decay" else {"decay_per_epoch"}
        unused |= set() if self.schedule == "cosine" else {"cosine_updates"}
        unused |= set() if self.class_weights in ("inverse", "sqrt") else {"class_weight_epsilon"}
        unused |= set() if self.class_weights == "effective_number" else {"effective_number_beta"}
        unused |= set() if domain == "synthetic" else {"raydrop"}
        warmup_updates = self.warmup_updates if self.start.warmup or not starts else 0
        recipe = replace(
            self.for_policy(policy),
            class_weights_counted_on="own" if counted_on == domain else counted_on,
            accumulation=min(self.accumulation, self.batch_size),
            warmup_updates=warmup_updates,
            start=self.start.for_warmup(warmup_updates) if starts else AtStart(),
            **{name: _default(name) for name in unused},
        )
        return recipe._without_statistics() if backbone in WITHOUT_BATCHNORM else recipe

    def _without_statistics(self) -> Recipe:
        """For a run in which no running statistics follow the batches."""
        return replace(self, batchnorm_momentum=None, precise_batchnorm=None)

    def reads_labels_of(self, domain: str) -> bool:
        """Whether a run counts its class weights on this domain though it need not be its own."""
        return self.class_weights != "none" and self.class_weights_counted_on == domain

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


RECIPE_FIELDS = tuple(field.name for field in fields(Recipe))


def _default(name: str) -> Any:
    return getattr(Recipe(), name)

"""How a run is trained: everything about it that can change the result."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from lidartune.training.augment import Augmentation
from lidartune.training.policies import FreezePolicy, idle_groups

Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class GroupLearningRates:
    """Factors by which the learning rate is multiplied in each part of the network; a CRF has the head's.

    The scale and shift of a batch normalisation have the factor of the part that it is in.
    """

    encoder: Factor = 1.0
    decoder: Factor = 1.0
    head: Factor = 1.0


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """One training recipe. The defaults follow the published range-image baselines (SGD, warm-up, decay per epoch).

    An epoch is `updates_per_epoch` updates of `batch_size` scans, whatever the size of the training split.

    `sampling` says which: `uniform` sees no scan again before all have been, also across epochs; `sequences` draws
    every sequence equally often, and no scan again before all others of its sequence. Class weights and channel
    statistics are counted on the training scans as they are, whatever `sampling` and `augmentation` say.

    `probe_updates` says how many updates freeze policy `probe_then_full` trains the head alone, counted from the run's
    first one. Nothing starts again when the others join: the learning rate goes on as `learning_rate_at` says, so
    that `warmup_updates` up to `probe_updates` warm up the probe only; the optimiser keeps the head's momentum and
    begins without any for the others.

    `dropout` and `batchnorm_momentum` None are the published network's own.

    A new field takes a default that trains as before, so that stored runs keep their ids (lidartune/runs/spec.py).
    """

    updates_per_epoch: int = Field(default=1, ge=1)
    batch_size: int = Field(default=8, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0)
    warmup_updates: int = Field(default=0, ge=0)
    decay_per_epoch: float = Field(default=0.99, gt=0, le=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    class_weights: Literal["inverse", "sqrt", "none"] = "inverse"
    class_weight_epsilon: float = Field(default=0.001, gt=0)
    batchnorm_momentum: float | None = Field(default=None, gt=0, le=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    skip_gradient: bool = True
    statistics_scans: int = Field(default=500, ge=1)
    sampling: Literal["uniform", "sequences"] = "uniform"
    augmentation: Augmentation = Augmentation()
    probe_updates: int | None = Field(default=None, ge=1)
    group_learning_rates: GroupLearningRates = GroupLearningRates()

    def learning_rate_at(self, update: int) -> float:
        """Learning rate of the update with this index (0 is the first): linear warm-up times decay.

        It depends on the index alone, not on where training will end, so that the first epochs of a long run are
        exactly those of a short one. The decay is lidar-bonnetal's `d^step` with `d = decay^(1/updates per epoch)`.
        """
        warmup = min(1.0, (update + 1) / self.warmup_updates) if self.warmup_updates else 1.0
        return self.learning_rate * warmup * self.decay_per_epoch ** (update / self.updates_per_epoch)

    def for_policy(self, policy: FreezePolicy) -> Recipe:
        """The recipe without what changes nothing under this freeze policy: equal runs then have one id."""
        rates = replace(self.group_learning_rates, **dict.fromkeys(idle_groups(policy), 1.0))
        probe = self.probe_updates if policy == "probe_then_full" else None
        return replace(self, group_learning_rates=rates, probe_updates=probe)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


RECIPE_FIELDS = tuple(field.name for field in fields(Recipe))

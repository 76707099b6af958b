"""How a run is trained: everything about it that can change the result."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

FreezePolicy = Literal["none", "encoder", "encoder_weights", "head_only"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """One training recipe. The defaults follow the published range-image baselines (SGD, warm-up, decay per epoch).

    An epoch is `updates_per_epoch` updates of `batch_size` scans, whatever the size of the training split; no scan is
    seen again before all have been, also across epochs.
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
    batchnorm_momentum: float = Field(default=0.01, gt=0, le=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    skip_gradient: bool = True
    statistics_scans: int = Field(default=500, ge=1)

    def learning_rate_at(self, update: int) -> float:
        """Learning rate of the update with this index (0 is the first): linear warm-up times decay.

        It depends on the index alone, not on where training will end, so that the first epochs of a long run are
        exactly those of a short one. The decay is lidar-bonnetal's `d^step` with `d = decay^(1/updates per epoch)`.
        """
        warmup = min(1.0, (update + 1) / self.warmup_updates) if self.warmup_updates else 1.0
        return self.learning_rate * warmup * self.decay_per_epoch ** (update / self.updates_per_epoch)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


RECIPE_FIELDS = tuple(field.name for field in fields(Recipe))

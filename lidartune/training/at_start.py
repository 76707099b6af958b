"""What happens where a run starts from a milestone of another one; imports no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class AtStart:
    """What a run takes over from its milestone beside the weights. It says nothing in a run from nothing.

    Attributes:
        optimizer: `fresh`, or `kept`: momentum and the like of every parameter that the milestone's run has trained
            and this one trains too; the others begin without, as with `fresh`. Both runs must have the same kind of
            optimiser. Weight decay, momentum and learning rate are always those of this run's recipe.
        learning_rate: `restarted` as in a run from nothing; `continued`: the schedule's index goes on from the
            milestone's, so that this recipe's decay (or cosine) is where it would be had it trained the milestone too;
            `scaled`: restarted, times `learning_rate_factor`.
        learning_rate_factor: for `scaled` alone.
        warmup: whether `warmup_updates` apply, counted from this run's first update, whatever `learning_rate` says.
        head: `kept`, or `new`: drawn from this run's seed as in a run from nothing, and a CRF with it.
        normalization: `carried` with the weights, or this run's `own`: measured on its training scans.
    """

    optimizer: Literal["fresh", "kept"] = "fresh"
    learning_rate: Literal["restarted", "continued", "scaled"] = "restarted"
    learning_rate_factor: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    warmup: bool = True
    head: Literal["kept", "new"] = "kept"
    normalization: Literal["carried", "own"] = "carried"

    def for_warmup(self, warmup_updates: int) -> AtStart:
        """The same without what changes nothing: equal runs then have one id."""
        scaled = self.learning_rate == "scaled" and self.learning_rate_factor != 1.0
        learning_rate = "restarted" if self.learning_rate == "scaled" and not scaled else self.learning_rate
        return replace(
            self,
            learning_rate=learning_rate,
            learning_rate_factor=self.learning_rate_factor if scaled else 1.0,
            warmup=self.warmup or not warmup_updates,
        )

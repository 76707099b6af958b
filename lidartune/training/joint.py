"""Training on both domains at once: how much of each, what labels the other one, what is mixed. Imports no torch.

A run on one domain, its own, also draws scans of the other. These take some of a batch's places, so that a joint run
draws as many scans as one on its own domain alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from lidartune.canvas import Sensor
from lidartune.training.mixing import LaserMix, PolarMix
from lidartune.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Teacher:
    """A mean teacher that labels the other domain's scans (lidartune/training/teacher.py).

    Attributes:
        decay: after each update the teacher's weights are `decay * its own + (1 - decay) * the student's`. It begins as
            the run does, with the milestone, and so needs no smaller decay at first.
        threshold: the least probability of a class that it labels a pixel with.
        weight: the update's loss is that of the own scans plus so much of that of the others.
    """

    decay: float = Field(default=0.99, ge=0, le=1)
    threshold: float = Field(default=0.9, ge=0, le=1)
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Joint:
    """What a run takes from the domain that it is not on.

    Attributes:
        labels: `none`: the other scans' label files are never opened, and a teacher says what it is sure of; `real`:
            they are trained on with the labels of their files.
        share: of all scans that are drawn, those of the other domain; see `places`.
        mixing: whether such a scan is mixed with one of the batch's own, which also stays in the batch as it is.
        lasermix, polarmix: the settings of the mixing that is chosen.
        teacher: who labels the scans where `labels` is none.
    """

    labels: Literal["none", "real"] = "none"
    share: float = Field(default=0.5, gt=0, lt=1)
    mixing: Literal["none", "lasermix", "polarmix"] = "none"
    lasermix: LaserMix = LaserMix()
    polarmix: PolarMix = PolarMix()
    teacher: Teacher | None = None

    @model_validator(mode="after")
    def _teaches_something(self) -> Joint:
        if self.labels == "none" and self.teacher is None:
            raise ValueError("labels none needs a teacher: without it the other domain's scans would teach nothing")
        if self.labels == "real" and self.teacher is not None:
            raise ValueError("labels real needs no teacher: the other domain's scans are labelled")
        if (self.mixing != "lasermix" and self.lasermix != LaserMix()) or (
            self.mixing != "polarmix" and self.polarmix != PolarMix()
        ):
            raise ValueError(f"settings of a mixing that is not chosen say nothing: mixing is {self.mixing}")
        return self

    @property
    def word(self) -> str:
        """What a run's name says of it."""
        if self.labels == "none":
            return "selftraining" if self.mixing == "none" else self.mixing
        return "joint" if self.mixing == "none" else f"joint-{self.mixing}"


def why_not_joint(joint: Joint, canvas: Sensor, recipe: Recipe) -> str | None:
    """The reason why a run that starts from a milestone cannot be trained like this, or None."""
    if recipe.batch_size < 2:
        return "a batch of one scan has no place for both domains"
    if joint.mixing != "none" and canvas.rows == "ring":
        return "a mixed scan is no whole turn of a sensor: its points have no rings that rows could be"
    if joint.mixing != "none" and recipe.raydrop != "off":
        return "raydrop takes pixels from canvases, and mixed scans are put together before there is a canvas"
    if joint.teacher is not None and recipe.start.head == "new":
        return "with a new head (recipe_second_stage.start.head) its teacher would label by random weights"
    return None


def places(share: float, updates: int, batch_size: int) -> np.ndarray:
    """How many scans `(updates,)` of each of an epoch's batches are of the other domain.

    An epoch's number of them is `share` of its draws, rounded, but at least one and at most `batch_size - 1` a batch.
    Batches have equally many or differ by one, spread evenly; every epoch is cut alike.
    """
    if batch_size < 2:
        raise ValueError("a batch of one scan has no place for both domains")
    total = min(max(round(share * updates * batch_size), updates), updates * (batch_size - 1))
    return np.diff(np.arange(updates + 1) * total // updates)

"""What is done to a pretrained network before it is scored on the target domain; imports no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from lidartune.training.policies import WITHOUT_BATCHNORM


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Adaptation:
    """Changes of a trained network that need scans of the target, but no labels and no updates.

    All are estimated on `scans` of the target's training scans, spread evenly over them, never on one that scores.
    They are made in the order of the fields, each on the network that the ones before have left.

    Attributes:
        statistics: the channel means and deviations that the canvas is normalised with: those stored with the weights,
            or those of the target's canvases, measured as a run from nothing measures its own.
        batchnorm: the running means and variances of batch normalisation: those of the weights, or those of the
            target's canvases in one pass or layer by layer (lidartune/training/adapt/batchnorm.py).
        prior: whether the logits are moved from the class shares that the network was taught to those of the target
            (lidartune/training/adapt/prior.py), which are estimated without labels (`em`) or counted (`oracle`: the
            one place where labels of the target are read, to see what a perfect estimate would bring).
        scans: how many of the target's training scans are used.
    """

    statistics: Literal["carried", "target"] = "carried"
    batchnorm: Literal["carried", "target", "target_layerwise"] = "carried"
    prior: Literal["none", "em", "oracle"] = "none"
    scans: Annotated[int, Field(ge=1)] = 500

    @property
    def off(self) -> bool:
        """Nothing is done: the adapted network would be the pretrained one."""
        return replace(self, scans=1) == Adaptation(scans=1)

    @property
    def word(self) -> str:
        """What a run's name says of it."""
        norms = {"carried": "", "target": "adabn", "target_layerwise": "adabn_layerwise"}[self.batchnorm]
        prior = "" if self.prior == "none" else f"prior_{self.prior}"
        parts = ("statistics" if self.statistics == "target" else "", norms, prior)
        return "-".join(part for part in parts if part) or "as_it_is"


def why_unadaptable(backbone: str, adaptation: Adaptation, *, crf: bool = False, imported: bool = False) -> str | None:
    """The reason why a network cannot be adapted like this, or None."""
    if adaptation.batchnorm != "carried" and backbone in WITHOUT_BATCHNORM:
        return f"{backbone} has no batch normalisation whose statistics could be the target's"
    if adaptation.prior != "none" and crf:
        return "the probabilities of a CRF are no posteriors that a change of the class shares would move"
    if adaptation.prior != "none" and imported:
        return "nobody knows which class shares and weights an imported network was taught with"
    return None

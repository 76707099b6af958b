"""Which losses a network is trained with, and how much each counts. The arithmetic is in `training.losses`."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

TermWeight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Loss:
    """The loss is the sum of its terms, each times the weight given here; a term of weight 0 is not computed.

    The default is the weighted negative log-likelihood alone, as the published range-image networks are trained.

    Attributes:
        nll: weight of the negative log-likelihood of the true class, with class weights.
        focal: weight of the focal loss, with class weights: Lin, Goyal, Girshick, He and Dollar, "Focal loss for dense
            object detection", ICCV 2017.
        focal_gamma: the exponent of `1 - p` in the focal loss; 0 makes it the negative log-likelihood.
        lovasz: weight of the Lovasz-softmax loss: Berman, Rannen Triki and Blaschko, "The Lovasz-softmax loss", CVPR
            2018. Class weights have no part in it: every class that a batch holds counts alike.
        label_smoothing: the share of the true class's mass that `nll` spreads evenly over all real classes, the true
            one included: Szegedy and others, "Rethinking the Inception architecture", CVPR 2016, section 7. The
            ignored class 0 gets none. The other terms know no smoothing.

    Raises:
        ValueError: no term is on, or a setting belongs to a term that is off, where it would change nothing but the
            run's id.
    """

    nll: TermWeight = 1.0
    focal: TermWeight = 0.0
    focal_gamma: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    lovasz: TermWeight = 0.0
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_terms(self) -> Loss:
        if not self.nll and not self.focal and not self.lovasz:
            raise ValueError("no term is on: give nll, focal or lovasz a weight above 0")
        if self.label_smoothing and not self.nll:
            raise ValueError("label_smoothing changes the term nll alone, which is off: leave it out, or turn nll on")
        if self.focal_gamma != 2.0 and not self.focal:
            raise ValueError("focal_gamma belongs to the term focal, which is off: leave it out, or turn focal on")
        return self

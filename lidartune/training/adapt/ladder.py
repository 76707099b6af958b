"""The ladder: which part of the way from synthetic to real each step takes that needs no real label; imports no torch.

Every rung is scored as it is, without an update on real scans, beside the plain pretraining of the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lidartune.backbones.names import CANVAS_CHANNELS
from lidartune.training.adapt.model import Adaptation
from lidartune.training.joint import Joint, Teacher

RungName = Literal[
    "none",
    "statistics",
    "adabn",
    "adabn_layerwise",
    "statistics_adabn",
    "prior_em",
    "prior_oracle",
    "raydrop_global",
    "raydrop_per_pixel",
    "without_remission",
    "combined",
    "combined_prior_em",
    "self_training",
    "lasermix",
    "polarmix",
    "joint_labelled",
]

WITHOUT_REMISSION = {"inputs": tuple(channel for channel in CANVAS_CHANNELS if channel != "remission")}


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One step of the ladder.

    Attributes:
        sentence: what is done, for tables and docs.
        adaptation: what is done to the pretrained network.
        recipe, network: fields of `Recipe` and of `NetworkForm` that its pretraining has instead of the study's. A
            rung without either shares the study's pretraining.
        joint: the pretrained network is trained on synthetic and real scans together, instead of adapted.
    """

    sentence: str
    adaptation: Adaptation = Adaptation()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    joint: Joint | None = None


LADDER: dict[RungName, Rung] = {
    "none": Rung(sentence="The pretrained network as it is."),
    "statistics": Rung(
        sentence="Canvases are normalised with the channel means and deviations of real training scans.",
        adaptation=Adaptation(statistics="target"),
    ),
    "adabn": Rung(
        sentence="Batch normalisation has the statistics of real training scans, estimated in one pass.",
        adaptation=Adaptation(batchnorm="target"),
    ),
    "adabn_layerwise": Rung(
        sentence="Batch normalisation has the statistics of real training scans, each layer behind adapted ones.",
        adaptation=Adaptation(batchnorm="target_layerwise"),
    ),
    "statistics_adabn": Rung(
        sentence="statistics, then adabn on canvases so normalised.",
        adaptation=Adaptation(statistics="target", batchnorm="target"),
    ),
    "prior_em": Rung(
        sentence="Logits are moved from the class shares that were taught to the real ones, estimated without labels.",
        adaptation=Adaptation(prior="em"),
    ),
    "prior_oracle": Rung(
        sentence="As prior_em, with the real shares counted on the labels of real training scans: an upper bound.",
        adaptation=Adaptation(prior="oracle"),
    ),
    "raydrop_global": Rung(
        sentence="Pretrained on canvases that lose pixels anywhere, until as many are filled as on real ones.",
        recipe={"raydrop": "global"},
    ),
    "raydrop_per_pixel": Rung(
        sentence="Pretrained on canvases of which each pixel is filled as often as on real ones.",
        recipe={"raydrop": "per_pixel"},
    ),
    "without_remission": Rung(
        sentence="Pretrained without remission, which the two sensors measure differently.",
        network=WITHOUT_REMISSION,
    ),
    "combined": Rung(
        sentence="Pretrained with raydrop_per_pixel and without_remission, then statistics_adabn.",
        adaptation=Adaptation(statistics="target", batchnorm="target"),
        recipe={"raydrop": "per_pixel"},
        network=WITHOUT_REMISSION,
    ),
    "combined_prior_em": Rung(
        sentence="As combined, then prior_em on what that gives.",
        adaptation=Adaptation(statistics="target", batchnorm="target", prior="em"),
        recipe={"raydrop": "per_pixel"},
        network=WITHOUT_REMISSION,
    ),
    "self_training": Rung(
        sentence="Trained on with real scans in half of each batch, which a mean teacher labels where it is sure.",
        joint=Joint(teacher=Teacher()),
    ),
    "lasermix": Rung(
        sentence="As self_training, each real scan interleaved by elevation with a synthetic one of its batch.",
        joint=Joint(mixing="lasermix", teacher=Teacher()),
    ),
    "polarmix": Rung(
        sentence="As self_training, a sector and objects of a synthetic scan of its batch put into each real one.",
        joint=Joint(mixing="polarmix", teacher=Teacher()),
    ),
    "joint_labelled": Rung(
        sentence="Trained on with labelled real scans in half of each batch: an upper bound, it reads real labels.",
        joint=Joint(labels="real"),
    ),
}
assert tuple(LADDER) == get_args(RungName)

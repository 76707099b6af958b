"""The values of `grid.freeze`: what fine-tuning changes of a pretrained network, and what it leaves as it was.

| policy | parameters that train | batch normalisation and dropout |
|---|---|---|
| `none` | all | statistics follow everywhere, dropout on |
| `encoder` | decoder and head | in the encoder statistics fixed and dropout off |
| `encoder_weights` | decoder and head | statistics follow everywhere, dropout on |
| `head_only` | the head: a linear probe | before the head statistics fixed and dropout off |
| `probe_then_full` | the head for `recipe.probe_updates` updates, then all | as `head_only`, then as `none` |
| `first_block` | the encoder's stem and first stage | elsewhere statistics fixed and dropout off |
| `batchnorm` | the scale and shift of every batch normalisation | statistics follow everywhere, dropout on |

Where statistics are fixed, batch normalisation normalises by them (evaluation mode); where they follow, by the batch.

The encoder holds all skips that have parameters, so also `conv1b`, the full-resolution skip of squeezeseg and
squeezesegv2. With a CRF, that counts as part of the head. The first block is: squeezeseg, squeezesegv2 conv1a, conv1b
and fire23; darknet21, darknet53 conv1, bn1 and enc1; cenet conv1 to conv3 and layer1.

`probe_then_full`: Kumar et al., ICLR 2022. `first_block`: surgical fine-tuning for shifts of the input, Lee et al.,
ICLR 2023. Imports no torch: plans are made of this.
"""

from __future__ import annotations

from typing import Literal

FreezePolicy = Literal[
    "none", "encoder", "encoder_weights", "head_only", "probe_then_full", "first_block", "batchnorm"
]
Group = Literal["encoder", "decoder", "head"]

WITHOUT_BATCHNORM = ("squeezeseg",)


def idle_groups(policy: FreezePolicy) -> tuple[Group, ...]:
    """The groups of which a policy never trains a parameter: their learning rates change nothing."""
    idle: dict[FreezePolicy, tuple[Group, ...]] = {
        "encoder": ("encoder",),
        "encoder_weights": ("encoder",),
        "head_only": ("encoder", "decoder"),
        "first_block": ("decoder", "head"),
        "batchnorm": ("head",),
    }
    return idle.get(policy, ())


def why_impossible(backbone: str, pretrain_epochs: int | str, policy: FreezePolicy) -> str | None:
    """The reason why a network cannot be fine-tuned like this, or None."""
    if pretrain_epochs == 0 and policy != "none":
        return "a network without pretraining would be frozen at random weights"
    if policy == "batchnorm" and backbone in WITHOUT_BATCHNORM:
        return f"{backbone} has no batch normalisation that could train"
    return None

"""Which parts of a network stay as they were while it is fine-tuned."""

from __future__ import annotations

from torch import nn

from lidartune.backbones.network import Network
from lidartune.training.recipe import FreezePolicy


def frozen_parts(model: Network, policy: FreezePolicy) -> list[nn.Module]:
    """The modules a policy fixes. `backbone` holds the encoder with its full-resolution skip (`conv1b`)."""
    parts: dict[FreezePolicy, list[nn.Module]] = {
        "none": [],
        "encoder": [model.backbone],
        "encoder_weights": [model.backbone],
        "head_only": [model.backbone, model.decoder],
    }
    return parts[policy]


def apply_freeze(model: Network, policy: FreezePolicy) -> None:
    """Stops the gradient of the frozen parts' parameters."""
    for part in frozen_parts(model, policy):
        part.requires_grad_(False)


def training_mode(model: Network, policy: FreezePolicy) -> None:
    """Puts the model into training mode, the frozen parts into evaluation mode.

    In evaluation mode BatchNorm uses and keeps its running statistics and dropout is off. `encoder_weights` fixes the
    parameters only: its BatchNorm statistics follow the new data.
    """
    model.train()
    if policy != "encoder_weights":
        for part in frozen_parts(model, policy):
            part.eval()

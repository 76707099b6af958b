"""What a run carries from one epoch to the next, and how it becomes bytes and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lidartune.backbones import build
from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.training.freeze import apply_freeze, trained_groups
from lidartune.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """Channel means and standard deviations `(5,)` that belong to the weights: a score uses those, nobody else's."""

    means: tuple[float, ...]
    stds: tuple[float, ...]

    def apply(self, images_nchw: Tensor, masks_nhw: Tensor) -> Tensor:
        """Normalised images; empty pixels become exactly 0."""
        means = torch.tensor(self.means, device=images_nchw.device).view(1, -1, 1, 1)
        stds = torch.tensor(self.stds, device=images_nchw.device).view(1, -1, 1, 1)
        return (images_nchw - means) / stds * masks_nhw.unsqueeze(1)


@dataclass(kw_only=True)
class TrainingState:
    """A network in training. Random streams are derived from (seed, epoch), so they need no place here."""

    model: Network
    optimizer: torch.optim.Optimizer
    normalization: Normalization
    class_weights: np.ndarray
    epoch: int = 0


def new_model(spec: RunSpec, device: torch.device) -> Network:
    """The run's network, with weights drawn from torch's current random state.

    Weights stay contiguous in memory: fused optimisers walk through memory, so a weight and its restored momentum must
    be laid out alike. The network lays out its activations itself.
    """
    recipe, form = spec.recipe, spec.network
    model = build(
        spec.backbone,
        num_classes=form.num_classes,
        channels=spec.channels,
        dropout=recipe.dropout,
        bn_momentum=recipe.batchnorm_momentum,
        skip_gradient=recipe.skip_gradient,
        inputs=form.inputs,
        output_stride=form.output_stride,
        circular=form.circular,
        crf=form.crf,
    )
    return model.to(device)


def new_optimizer(model: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that are not frozen; fused, since there are many small ones.

    Encoder, decoder and head are groups of their own, each with its `factor` of the learning rate. The parameters of a
    group must begin to train at the same update: torch's fused SGD takes momentum for all of them or for none.
    """
    factors = asdict(recipe.group_learning_rates)
    parameters: list[dict[str, Any]] = [
        {"params": group, "factor": factors[name]} for name, group in trained_groups(model).items() if group
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters,
            lr=recipe.learning_rate,
            betas=(recipe.momentum, 0.999),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def new_state(
    spec: RunSpec, model: Network, normalization: Normalization, class_weights: np.ndarray
) -> TrainingState:
    """A state at epoch 0 with a fresh optimiser, over all parameters that the freeze policy ever trains."""
    apply_freeze(model, spec.freeze)
    return TrainingState(
        model=model,
        optimizer=new_optimizer(model, spec.recipe),
        normalization=normalization,
        class_weights=class_weights,
    )


def pack(state: TrainingState) -> dict[str, bytes]:
    """The state as files: `weights.safetensors`, `optimizer.safetensors`, `state.json`."""
    weights = {name: tensor.contiguous().cpu() for name, tensor in state.model.state_dict().items()}
    optimizer = {
        f"{index}.{key}": torch.as_tensor(value).contiguous().cpu()
        for index, entry in state.optimizer.state_dict()["state"].items()
        for key, value in entry.items()
        if value is not None
    }
    facts = {
        "epoch": state.epoch,
        "means": state.normalization.means,
        "stds": state.normalization.stds,
        "class_weights": [float(w) for w in state.class_weights],
    }
    return {
        "weights.safetensors": save_tensors(weights),
        "optimizer.safetensors": save_tensors(optimizer),
        "state.json": json.dumps(facts, indent=1).encode(),
    }


def unpack(files: dict[str, bytes], spec: RunSpec, device: torch.device, where: str) -> TrainingState:
    """The state that `pack` wrote, of this very run, to go on with."""
    facts = json.loads(files["state.json"])
    model = new_model(spec, device)
    place_weights(model, files["weights.safetensors"], where)
    state = new_state(
        spec,
        model,
        Normalization(means=tuple(facts["means"]), stds=tuple(facts["stds"])),
        np.array(facts["class_weights"], dtype=np.float32),
    )
    state.epoch = facts["epoch"]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in load_tensors(files["optimizer.safetensors"]).items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = tensor
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": entries, "param_groups": groups})
    return state


def place_weights(model: Network, content: bytes, where: str) -> None:
    """Puts every tensor in its place, or says which has none."""
    tensors = load_tensors(content)
    wanted = model.state_dict()
    wrong = sorted(
        name
        for name in wanted.keys() | tensors.keys()
        if name not in wanted or name not in tensors or wanted[name].shape != tensors[name].shape
    )
    if wrong:
        raise UserError(
            f"{len(wrong)} tensors of the weights do not fit the network",
            where=where,
            found=", ".join(wrong[:4]) + (" ..." if len(wrong) > 4 else ""),
            wanted="exactly the names and shapes of the network that the run trains",
            do="start from a milestone of the same backbone and channels",
        )
    model.load_state_dict(tensors)

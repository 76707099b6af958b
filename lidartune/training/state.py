"""What a run carries from one epoch to the next, and how it becomes bytes and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from safetensors.torch import save as save_tensors
from torch import Tensor

from lidartune.backbones import build
from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.scans import canvas_statistics
from lidartune.scans.statistics import HasImage
from lidartune.training.ema import begun_average
from lidartune.training.freeze import apply_freeze, trained_groups
from lidartune.training.recipe import Recipe
from lidartune.training.teacher import new_teacher

if TYPE_CHECKING:
    from lidartune.training.load_report import LoadReport

WEIGHTS, OPTIMIZER, FACTS = "weights.safetensors", "optimizer.safetensors", "state.json"
AVERAGE, SCORED, TEACHER = "ema.safetensors", "scored.safetensors", "teacher.safetensors"


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """Channel means and standard deviations `(5,)` that belong to the weights: a score uses those, nobody else's."""

    means: tuple[float, ...]
    stds: tuple[float, ...]

    @classmethod
    def measured(cls, scans: Iterable[HasImage]) -> Normalization:
        """Those of the scans' filled pixels; 1 stands for the deviation of a channel that never varies, as remission
        where a sensor reports none."""
        means, stds = canvas_statistics(scans)
        stds = np.where(stds > 0, stds, 1.0)
        return cls(means=tuple(map(float, means)), stds=tuple(map(float, stds)))

    def apply(self, images_nchw: Tensor, masks_nhw: Tensor) -> Tensor:
        """Normalised images; empty pixels become exactly 0."""
        means = torch.tensor(self.means, device=images_nchw.device).view(1, -1, 1, 1)
        stds = torch.tensor(self.stds, device=images_nchw.device).view(1, -1, 1, 1)
        return (images_nchw - means) / stds * masks_nhw.unsqueeze(1)


@dataclass(kw_only=True)
class EpochSoFar:
    """An epoch in progress: how many of its updates are done, and the numbers that each has given, by name.

    Numbers may be tensors `()` on the device until they are read (lidartune/training/watch.py).
    `generators` holds the state of torch's random generators, by device type, where the epoch was begun elsewhere.
    """

    updates: int = 0
    numbers: dict[str, list[float | Tensor]] = field(default_factory=dict)
    generators: dict[str, Tensor] = field(default_factory=dict)

    def read(self) -> dict[str, list[float]]:
        """The numbers as floats, to every bit; waits for the device once."""
        there = [value for values in self.numbers.values() for value in values if isinstance(value, Tensor)]
        found = iter(torch.stack(there).tolist() if there else [])
        return {
            name: [next(found) if isinstance(value, Tensor) else value for value in values]
            for name, values in self.numbers.items()
        }


@dataclass(kw_only=True)
class TrainingState:
    """A network in training. Random streams are derived from (seed, epoch), so they need no place between epochs.

    Attributes:
        average: the moving average of the network's tensors, by name, where the recipe has one.
        teacher: the student's mean teacher, where a joint run has one.
        behind: in a run that starts from a milestone, how many updates its schedule has behind it at update 0.
        so_far: inside an epoch, what is done of it; `epoch` is then the last one that is whole.
        raydrop: with what probability a filled pixel is lost in training, one for all or `(H, W)`; None: not counted
            in this process yet.
        notes, load, adaptation: at epoch 0 alone: what a person should know once, what was taken over from a milestone,
            and what its adaptation has found.
    """

    model: Network
    optimizer: torch.optim.Optimizer
    normalization: Normalization
    class_weights: np.ndarray
    epoch: int = 0
    average: dict[str, Tensor] | None = None
    teacher: Network | None = None
    behind: int | None = None
    so_far: EpochSoFar | None = None
    raydrop: float | np.ndarray | None = None
    notes: tuple[str, ...] = ()
    load: LoadReport | None = None
    adaptation: dict[str, Any] | None = None


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
        average=begun_average(model) if spec.recipe.ema else None,
        teacher=new_teacher(model) if spec.joint and spec.joint.teacher else None,
        behind=0 if spec.start else None,
    )


def pack(state: TrainingState) -> dict[str, bytes]:
    """The state to go on with, as files: `weights.safetensors`, `optimizer.safetensors`, `state.json`,
    `ema.safetensors` where there is an average, and `teacher.safetensors` where there is a teacher."""
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
    if state.behind:
        facts["behind"] = state.behind
    averages = {AVERAGE: packed_tensors(state.average)} if state.average is not None else {}
    averages |= {TEACHER: packed_tensors(state.teacher.state_dict())} if state.teacher is not None else {}
    return {
        WEIGHTS: packed_tensors(state.model.state_dict()),
        OPTIMIZER: save_tensors(optimizer),
        FACTS: json.dumps(facts, indent=1).encode(),
        **averages,
    }


def packed_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as a safetensors file."""
    return save_tensors({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})


def unpacked_tensors(content: bytes, where: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which holds nothing else. Raises UserError for any other file."""
    try:
        return load(content)
    except SafetensorError as error:
        raise UserError(
            "what should be weights or an optimiser's memories is no safetensors file",
            where=where,
            found=" ".join(str(error).split()),
            do="do not trust this folder; or remove the run's folder and train it again",
        ) from None


def scored_file(recipe: Recipe) -> str:
    """Which file of a kept state holds the tensors that were scored."""
    if recipe.precise_batchnorm is not None:
        return SCORED
    return AVERAGE if recipe.ema else WEIGHTS


def handed_on_file(recipe: Recipe) -> str:
    """Which file of a kept state a run that starts there is handed: what was scored, unless the recipe's average is
    for scores alone."""
    return WEIGHTS if recipe.ema and recipe.ema.use == "scores" else scored_file(recipe)


def unpack(files: dict[str, bytes], spec: RunSpec, device: torch.device, where: str) -> TrainingState:
    """The state that `pack` wrote, of this very run, to go on with."""
    facts = json.loads(files["state.json"])
    model = new_model(spec, device)
    place_weights(model, files[WEIGHTS], where)
    state = new_state(
        spec,
        model,
        Normalization(means=tuple(facts["means"]), stds=tuple(facts["stds"])),
        np.array(facts["class_weights"], dtype=np.float32),
    )
    state.epoch = facts["epoch"]
    if spec.start:
        state.behind = facts.get("behind", 0)
    if state.average is not None:
        average = unpacked_tensors(files[AVERAGE], where)
        state.average = {name: average[name].to(device) for name in state.average}
    if state.teacher is not None:
        place_weights(state.teacher, files[TEACHER], where)
    place_optimizer(state.optimizer, optimizer_entries(files[OPTIMIZER], where))
    return state


def optimizer_entries(content: bytes, where: str) -> dict[int, dict[str, Tensor]]:
    """What an optimiser remembers of each parameter, by the parameter's number."""
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in unpacked_tensors(content, where).items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = tensor
    return entries


def place_optimizer(optimizer: torch.optim.Optimizer, entries: dict[int, dict[str, Tensor]]) -> None:
    """Gives an optimiser these memories; its settings stay."""
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def place_weights(model: Network, content: bytes, where: str, *, but: tuple[str, ...] = ()) -> None:
    """Puts every tensor in its place, or says which has none.

    Args:
        but: beginnings of names whose tensors the network keeps as they are.
    """
    own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(but)} if but else {}
    given = unpacked_tensors(content, where).items()
    tensors = {name: tensor for name, tensor in given if not (but and name.startswith(but))} | own
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

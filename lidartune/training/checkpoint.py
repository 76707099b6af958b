"""A run inside an epoch as bytes: everything that the rest of the epoch depends on."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from lidartune.runs.spec import RunSpec
from lidartune.training.state import EpochSoFar, TrainingState, pack, unpack, unpacked_tensors

SO_FAR, GENERATORS = "so-far.json", "generators.safetensors"


def generators(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's random generators, which dropout draws from, by device type."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Puts the generators where they were.

    One that was not kept, because the epoch was begun on another kind of device, stays where the epoch's seed has put
    it: dropout then draws other numbers than an uninterrupted run.
    """
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def pack_inside(state: TrainingState, device: torch.device) -> dict[str, bytes]:
    """The state inside an epoch as files: those of `pack`, and what is done of the epoch."""
    assert state.so_far is not None
    so_far = {"updates": state.so_far.updates, "numbers": state.so_far.read()}  # JSON keeps every bit of a float
    return pack(state) | {
        SO_FAR: json.dumps(so_far).encode(),
        GENERATORS: save_tensors(generators(device)),
    }


def unpack_inside(files: dict[str, bytes], spec: RunSpec, device: torch.device, where: str) -> TrainingState:
    """The state that `pack_inside` wrote, of this very run, to go on with."""
    state = unpack(files, spec, device, where)
    so_far = json.loads(files[SO_FAR])
    state.so_far = EpochSoFar(
        updates=so_far["updates"], numbers=so_far["numbers"], generators=unpacked_tensors(files[GENERATORS], where)
    )
    return state

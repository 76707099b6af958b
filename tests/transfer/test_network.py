"""A study that states what its networks take and have: all its runs are such networks, and go on from one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.numpy import load as load_tensors

from lidartune.runs.spec import NetworkForm
from lidartune.runs.store import Store
from lidartune.streetworld import WorldFolder
from tests.runs.conftest import CELL, open_tiny, tiny_config

FORM = NetworkForm(inputs=("range", "x", "y", "z"), crf=True, circular=True, output_stride=8)
STATED = {"inputs": list(FORM.inputs), "crf": True, "circular": True, "output_stride": 8}


def runs(world: WorldFolder, **changes: Any) -> set[str]:
    return set(open_tiny(tiny_config(world, **changes)).plan.works)


def test_every_run_of_the_study_is_such_a_network(tiny_world: WorldFolder) -> None:
    plan = open_tiny(tiny_config(tiny_world, network=STATED)).plan
    assert {work.spec.network for work in plan.works.values()} == {FORM}
    usual = runs(tiny_world)
    for key, value in STATED.items():
        assert not runs(tiny_world, network={key: value}) & usual, f"{key} changes every result"


def test_stating_the_published_network_leaves_the_ids(tiny_world: WorldFolder) -> None:
    published = {"inputs": ["range", "x", "y", "z", "remission"], "crf": False, "circular": False, "output_stride": 16}
    assert runs(tiny_world, network=published) == runs(tiny_world, network={}) == runs(tiny_world)


def test_it_is_trained_and_fine_tuned(tiny_world: WorldFolder, tmp_path: Path) -> None:
    study = open_tiny(tiny_config(tiny_world, network=STATED))
    roles, store = study.plan.roles[CELL], Store(tmp_path)
    study.carry_out(roles["pretrained"], tmp_path, [2])
    study.carry_out(roles["finetuned"], tmp_path, [0, 1])
    weights = load_tensors(store.read(roles["pretrained"].run, 2, "state", "weights.safetensors"))
    assert weights["backbone.conv1a.0.weight"].shape[1] == 4, "remission is not taken"
    assert "CRF.compat_conv.weight" in weights
    assert "decoder.firedec10.upconv.weight" not in weights, "the last halving is left out"
    zero_shot = [roles["pretrained"], roles["start"]]
    before, start = (store.read_json(m.run, m.epoch, "test", "scores.json") for m in zero_shot)
    assert before["real"] == start["real"]

"""A run's id is a hash of its canonical JSON: the same everywhere, another for another run."""

from __future__ import annotations

import dataclasses
import json

from lidartune.canvas import Sensor
from lidartune.runs.spec import RunSpec, Start
from lidartune.training.recipe import Recipe

SPEC = RunSpec(
    domain="real",
    start=Start(run="squeezesegv2-512-synthetic-seed3-0123456789ab", epoch=10),
    backbone="squeezesegv2",
    channels=0.25,
    canvas=Sensor(32, 512, 3.0, -25.0),
    recipe=Recipe(updates_per_epoch=16),
    freeze="encoder",
    labelled_scans=8,
    seed=3,
    train="a",
    validation={"synthetic": "b", "real": "c"},
    test={"synthetic": "d", "real": "e"},
    block=4,
    taxonomies={"synthetic": "f", "real": "g"},
    semantics=1,
)


def test_the_id_is_the_same_on_every_machine() -> None:
    assert SPEC.folder == "squeezesegv2-512-synthetic-10ep-real-8scans-encoder-seed3-14e9d98acc01"


def test_a_spec_survives_json() -> None:
    again = RunSpec.from_dict(json.loads(json.dumps(SPEC.as_dict())))
    assert again == SPEC and again.id == SPEC.id


def test_another_value_anywhere_is_another_run() -> None:
    others = [
        {"seed": 4},
        {"start": None},
        {"start": Start(run=SPEC.start.run if SPEC.start else "", epoch=3)},
        {"canvas": Sensor(32, 512, 3.0, -24.0)},
        {"recipe": Recipe(updates_per_epoch=17)},
        {"freeze": "none"},
        {"block": 8},
        {"taxonomies": {"synthetic": "f", "real": "h"}},
        {"semantics": 2},
    ]
    ids = {dataclasses.replace(SPEC, **change).id for change in others}  # type: ignore[arg-type]
    assert len(ids | {SPEC.id}) == len(others) + 1

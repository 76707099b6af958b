"""The ladder's rungs: each is something that a study can carry out."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pydantic
import pytest

from lidartune.runs.spec import NetworkForm
from lidartune.training.adapt.ladder import LADDER, Rung
from lidartune.training.adapt.model import Adaptation, why_unadaptable
from lidartune.training.recipe import RECIPE_FIELDS, Recipe


def test_a_plan_can_read_the_ladder_without_torch() -> None:
    ask = (
        "import sys, lidartune.training.adapt.ladder, lidartune.training.adapt.raydrop, lidartune.training.adapt.prior;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", LADDER)
def test_every_rung_says_what_it_is_and_can_be_built(name: str) -> None:
    rung = LADDER[name]  # type: ignore[index]
    assert rung.sentence.endswith(".") and len(rung.sentence) < 120
    assert (NetworkForm(**rung.network) != NetworkForm()) == bool(rung.network)
    assert rung.recipe.keys() <= {"raydrop"}
    if "raydrop" in RECIPE_FIELDS:
        assert (Recipe(**rung.recipe) != Recipe()) == bool(rung.recipe)
    assert why_unadaptable("darknet21", rung.adaptation) is None


def test_rungs_differ() -> None:
    contents = [
        (rung.adaptation, tuple(rung.recipe.items()), tuple(rung.network.items()), rung.joint)
        for rung in LADDER.values()
    ]
    assert len(set(contents)) == len(contents) and len({rung.sentence for rung in LADDER.values()}) == len(contents)


def test_only_the_oracle_reads_labels_of_the_target() -> None:
    assert [name for name, rung in LADDER.items() if rung.adaptation.prior == "oracle"] == ["prior_oracle"]


def test_what_a_rung_does_afterwards_leaves_the_study_s_pretraining_alone() -> None:
    own = [name for name, rung in LADDER.items() if rung.recipe or rung.network]
    assert own == ["raydrop_global", "raydrop_per_pixel", "without_remission", "combined", "combined_prior_em"]
    assert LADDER["none"] == Rung(sentence=LADDER["none"].sentence)
    assert LADDER["without_remission"].network["inputs"] == ("range", "x", "y", "z")
    assert LADDER["combined"].recipe == LADDER["raydrop_per_pixel"].recipe
    assert LADDER["combined"].network == LADDER["without_remission"].network


def test_an_adaptation_is_checked_and_comes_back_from_its_values() -> None:
    for adaptation in (rung.adaptation for rung in LADDER.values()):
        assert Adaptation(**dataclasses.asdict(adaptation)) == adaptation
    for wrong in ({"batchnorm": "own"}, {"scans": 0}, {"prior": "true"}, {"layers": 3}):
        with pytest.raises(pydantic.ValidationError):
            Adaptation(**wrong)

"""What a search may draw: refused in the YAML with one message each, and drawn only where it changes something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lidartune.config import load_config
from lidartune.errors import UserError
from lidartune.tuning.space import Drawn, StageSpace, stage_spaces

SEARCH: dict[str, Any] = {"sampler": "tpe", "trials": 4}
RANGE = {"low": 0.001, "high": 0.1, "log": True}


def config_with(folder: Path, **values: Any) -> Any:
    path = folder / "study.yaml"
    grid = {"pretrain_epochs": [0, 2, 5], "freeze": ["none", "encoder", "probe_then_full"], "seed": [0, 1]}
    study = {"name": "s", "grid": grid, "recipe": {"updates_per_epoch": 2, "probe_updates": 2}, "finetune_epochs": 9}
    path.write_text(yaml.safe_dump(study | {"search": SEARCH} | values))
    return load_config(path)


def finetuning(**fields: Any) -> dict[str, Any]:
    return {"search": SEARCH | {"space": {"finetuning": fields}}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (finetuning(learning_rat=[0.1]), ("search.space.finetuning", "learning_rat", "learning_rate")),
        (finetuning(**{"start.normalisation": ["own"]}), ("start.normalisation", "normalization")),
        (finetuning(learning_rate={"low": 0.1, "high": 0.01}), ("ends before it begins", "low below high")),
        (finetuning(learning_rate={"low": 0.1, "high": 0.1}), ("ends before it begins",)),
        (finetuning(weight_decay={"low": 0, "high": 0.1, "log": True}), ("no logarithm", "low above 0")),
        (finetuning(learning_rate={"low": 0, "high": 0.1}), ("learning_rate", "greater than 0")),
        (finetuning(learning_rate={"low": 0.1}), ("this is no range", "low")),
        (finetuning(learning_rate={"low": "1e-4", "high": 0.1}), ("ends of a range are numbers",)),
        (finetuning(learning_rate={"low": 0.1, "high": 0.2, "log": 1}), ("true or false",)),
        (finetuning(learning_rate=0.1), ("cannot be drawn from", "a list of values, or a range")),
        (finetuning(learning_rate=[]), ("cannot be drawn from",)),
        (finetuning(class_weights=["sqrt", "sqrt"]), ("named twice",)),
        (finetuning(class_weights=["sqr"]), ("class_weights", "sqr", "effective_number")),
        (finetuning(batch_size={"low": 1.5, "high": 4}), ("whole numbers",)),
        (finetuning(width=[256]), ("axis of the grid", "grid.width")),
        (finetuning(updates_per_epoch=[4, 8]), ("same number of updates in all runs",)),
        (finetuning(schedule=["decay", "cosine"]), ("only the decaying schedule",)),
        (finetuning(raydrop=["global"]), ("synthetic runs only",)),
        (
            {"search": SEARCH | {"space": {"pretraining": {"learning_rate": RANGE}}}},
            ("search.space.pretraining.learning_rate", "shared by the points", "a list of a few values"),
        ),
        ({"search": SEARCH | {"space": {"pretraining": {"start.head": ["new"]}}}}, ("starts from nothing",)),
        ({"search": SEARCH | {"space": {"tuning": {}}}}, ("search.space.tuning", "finetuning")),
        ({"search": {"sampler": "tpe"}}, ("search.trials is missing",)),
        ({"search": {"space": {"finetuning": {"learning_rate": RANGE}}}}, ("a grid runs every cell", "sampler=tpe")),
        ({"search": SEARCH | {"judged": {"seeds": [1, 7, 8]}}}, ("nothing was chosen by", "1 in grid.seed")),
        ({"search": SEARCH | {"judged": {"seeds": [7, 8]}}}, ("search.judged.seeds", "a list of at least 3 values")),
        ({"search": SEARCH | {"judged": {"seeds": 7}}}, ("search.judged.seeds", "wanted: a list, [...]")),
        ({"search": SEARCH | {"space": ["learning_rate"]}}, ("search.space", "wanted: a mapping, {key: value}")),
        ({"search": SEARCH | {"space": {"learning_rate": [0.1]}}}, ("unknown key", "under finetuning: or under pretr")),
        (finetuning(learning_rate=["fast", "slow"]), ("'fast'", "wanted: a number")),
        (finetuning(channels=[0.25, 0.5]), ("no field of a recipe", "class_weights")),
        (finetuning(start={"head": ["new"]}), ("this is no range", "fields inside it by themselves: start.head: ...")),
        ({"search": SEARCH | {"judged": {"seeds": [7, 7, 8]}}}, ("a seed is named twice",)),
        (
            {"search": SEARCH | {"judged": {"seeds": [7, 8, 9]}}, "grid": {"labelled_scans": [4, "all"]}},
            ("judged at one number of labelled scans", "give one"),
        ),
        ({"search": SEARCH | {"scheduler": "asha"}}, ("search.scheduler", "search.judged")),
        (
            {"search": SEARCH | {"scheduler": "asha", "grace_epochs": 9, "judged": {"seeds": [7, 8, 9]}}},
            ("nothing to stop", "fewer than finetune_epochs (9)"),
        ),
        (
            {"grid": {"pretrain_epochs": [0]}, **finetuning(**{"start.head": ["new"]})},
            ("nothing starts from a milestone", "[0]"),
        ),
        ({"ladder": ["adabn"], **finetuning(learning_rate=RANGE)}, ("the ladder stands on", "leave it out")),
    ],
)
def test_a_bad_search_is_one_message(tmp_path: Path, values: dict[str, Any], said: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        config_with(tmp_path, **values)
    text = " ".join(str(caught.value).split())
    assert all(part in text for part in said), text


@pytest.fixture
def spaces(tmp_path: Path) -> dict[Any, StageSpace]:
    space = {
        "finetuning": {
            "start.learning_rate_factor": {"low": 0.1, "high": 1.0},
            "start.learning_rate": ["restarted", "scaled"],
            "probe_updates": {"low": 1, "high": 5},
            "learning_rate": RANGE,
            "augmentation": [{}, {"flip": 0.5}],
        },
        "pretraining": {"class_weights": ["sqrt", "inverse"]},
    }
    return stage_spaces(config_with(tmp_path, search=SEARCH | {"space": space}))


def some(space: StageSpace, count: int = 200) -> list[Drawn]:
    rng = np.random.default_rng(0)
    return [space.by_chance(rng) for _ in range(count)]


def test_what_says_something_of_a_milestone_is_drawn_only_where_there_is_one(spaces: dict[Any, StageSpace]) -> None:
    for drawn in some(spaces["scratch"]):
        assert drawn.axes["pretrain_epochs"] == 0 and drawn.axes["freeze"] == "none"
        assert set(drawn.finetuning) == {"learning_rate", "augmentation"} and drawn.pretraining == {}
    tuned = some(spaces["finetuned"])
    assert {drawn.axes["pretrain_epochs"] for drawn in tuned} == {2, 5}
    for drawn in tuned:
        assert ("probe_updates" in drawn.finetuning) == (drawn.axes["freeze"] == "probe_then_full")
        scaled = drawn.finetuning["start.learning_rate"] == "scaled"
        assert ("start.learning_rate_factor" in drawn.finetuning) == scaled
        assert set(drawn.pretraining) == {"class_weights"}
    assert {type(drawn.finetuning.get("probe_updates", 1)) for drawn in tuned} == {int}


def test_ranges_are_drawn_whole_and_lists_evenly(spaces: dict[Any, StageSpace]) -> None:
    drawn = some(spaces["finetuned"], 2000)
    rates = [point.finetuning["learning_rate"] for point in drawn]
    assert 0.001 <= min(rates) < 0.0011 and 0.09 < max(rates) <= 0.1
    assert abs(np.median(rates) - 0.01) < 0.002, "evenly by the logarithm"
    assert abs(sum(point.finetuning["augmentation"] == {} for point in drawn) - 1000) < 100
    assert {p.finetuning["probe_updates"] for p in drawn if "probe_updates" in p.finetuning} == {1, 2, 3, 4, 5}


def test_a_space_knows_its_points(spaces: dict[Any, StageSpace]) -> None:
    point = some(spaces["finetuned"], 1)[0]
    assert spaces["finetuned"].holds(point) and not spaces["scratch"].holds(point)
    for other in (
        Drawn(axes=point.axes | {"width": 64}, finetuning=point.finetuning, pretraining=point.pretraining),
        Drawn(axes=point.axes, finetuning=point.finetuning | {"learning_rate": 0.2}, pretraining=point.pretraining),
        Drawn(axes=point.axes, finetuning=point.finetuning | {"momentum": 0.9}, pretraining=point.pretraining),
        Drawn(axes=point.axes, finetuning=point.finetuning),
    ):
        assert not spaces["finetuned"].holds(other)
    assert spaces["finetuned"].size() is None


def test_everything_that_may_be_drawn_is_counted_and_named(tmp_path: Path) -> None:
    space = {
        "finetuning": {
            "start.learning_rate": ["scaled", "restarted"],
            "start.learning_rate_factor": [0.1, 0.3],
            "probe_updates": [1, 2, 3],
            "class_weights": ["none", "sqrt"],
        },
        "pretraining": {"raydrop": ["off", "global"]},
    }
    grid = {"pretrain_epochs": [0, 2, 5], "freeze": ["probe_then_full", "none"], "seed": [0]}
    spaces = stage_spaces(config_with(tmp_path, grid=grid, search=SEARCH | {"space": space}))
    for stage, size in (("finetuned", 2 * (3 + 1) * (2 + 1) * 2 * 2), ("scratch", 2)):
        points = some(spaces[stage], 3000)
        assert len({repr(point) for point in points}) == size == spaces[stage].size()
        assert {name for point in points for name in point.values} - spaces[stage].choices().keys() <= {
            "pretrain_epochs", "freeze"
        }  # fmt: skip
    names = list(spaces["finetuned"].choices())
    assert names[-1] == "pretraining.raydrop" and {"probe_updates", "start.learning_rate_factor"} < set(names)
    assert set(spaces["scratch"].choices()) == {"backbone", "width", "labelled_scans", "class_weights"}

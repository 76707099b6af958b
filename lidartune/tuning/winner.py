"""The best point of a search as a study of its own, which run_transfer_grid.py carries out: of the same runs.

Only controls that end on synthetic scans may be others, where the study has more to say of these in `recipe_by_domain`:
YAML has no section for the second stages of one domain.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from lidartune.config import StudyConfig, as_dict
from lidartune.runs.spec import Domain
from lidartune.training.recipe import Recipe
from lidartune.tuning.points import Point
from lidartune.tuning.study import Study, plain
from lidartune.whole_file import write_whole

FILE = "best.yaml"
LONGEST_NAME = 59


def write_winner(study: Study, point: Point) -> None:
    """Writes best.yaml: the point's setting and recipe, on the judged seeds where there are any."""
    about = f"# {point.name} of the search {study.config.name}, as a grid of its own.\n"
    text = yaml.safe_dump(plain(winner(study.stated, point, study.plan.updates_per_epoch)), sort_keys=False)
    write_whole(study.folder / FILE, about + text)


def winner(config: StudyConfig, point: Point, updates: int) -> dict[str, Any]:
    """The study's values with the point in the place of its search, and as many updates an epoch as that had."""
    judged, drawn = config.search.judged, point.drawn
    values = as_dict(config)
    del values["search"]
    values["name"] = f"{config.name[:LONGEST_NAME]}-best"
    values["recipe"] |= {"updates_per_epoch": updates}
    values["grid"] = {axis: [value] for axis, value in drawn.axes.items()}
    values["grid"]["seed"] = list(judged.seeds if judged else config.grid.seed)

    def recipe(domain: Domain, second_stage: bool, changes: dict[str, Any]) -> Recipe:
        return config.recipe_for(
            drawn.axes["backbone"], domain, second_stage=second_stage, updates_per_epoch=updates, changes=changes
        )

    by_domain: dict[Domain, dict[str, Any]] = values["recipe_by_domain"]
    drawn_for: dict[Domain, dict[str, Any]] = {"real": drawn.finetuning, "synthetic": drawn.pretraining}
    for domain, changes in drawn_for.items():
        by_domain[domain] = by_domain.get(domain, {}) | _fields(recipe(domain, False, changes), changes)
    both = drawn.finetuning | drawn.pretraining  # what is pretraining's alone is the study's again in second stages
    values["recipe_second_stage"] |= _fields(recipe("real", True, drawn.finetuning), both)
    return values


def _fields(recipe: Recipe, names: Iterable[str]) -> dict[str, Any]:
    """These fields of a recipe; of one inside a field, `start.head`, that field with all that it holds."""
    return {name: recipe.as_dict()[name] for name in dict.fromkeys(name.split(".")[0] for name in names)}

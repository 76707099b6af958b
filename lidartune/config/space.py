"""`search`: what a search draws from, and what of it cannot be carried out."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from pydantic import ValidationError

from lidartune.config.messages import explained
from lidartune.errors import UserError, nearest
from lidartune.scans.document import shown
from lidartune.training.recipe import RECIPE_FIELDS, Recipe

if TYPE_CHECKING:
    from lidartune.config.model import StudyConfig

Section = Literal["finetuning", "pretraining"]
SECTIONS: tuple[Section, ...] = get_args(Section)
AXES = ("backbone", "width", "pretrain_epochs", "freeze", "labelled_scans", "seed")
RANGE_KEYS = ("low", "high", "log")
NOT_DRAWN = {
    "updates_per_epoch": "an epoch has the same number of updates in all runs of a study, so that budgets compare",
    "preset": "a preset is many values at once: draw the fields by themselves",
    "schedule": "runs are kept and compared at epochs before their last, which only the decaying schedule allows",
    "cosine_updates": "runs are kept and compared at epochs before their last, which only the decaying schedule allows",
}
IDLE = {
    "finetuning": {"raydrop": "it changes synthetic runs only: draw it under pretraining, from a list"},
    "pretraining": {"start": "a pretraining starts from nothing", "probe_updates": "only fine-tuning has a probe"},
}


@dataclass(frozen=True, kw_only=True)
class Range:
    """All numbers from `low` to `high`, both included; `log`: drawn evenly by their logarithm; `whole`: integers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


Values = Range | tuple[Any, ...]


def read_space(config: StudyConfig, section: Section) -> dict[str, Values]:
    """The fields that a checked study draws in this section, and from what."""
    return {field: _values(field, stated) for field, stated in getattr(config.search.space, section).items()}


def laid_over(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's values with single fields replaced; `start.head` replaces `head` inside `start` and nothing else."""
    result = dict(values)
    for name, value in changes.items():
        *parents, last = name.split(".")
        place = result
        for parent in parents:
            place[parent] = dict(place.get(parent) or {})
            place = place[parent]
        place[last] = value
    return result


def check_search(config: StudyConfig, path: str) -> None:
    """Raises UserError where a search cannot be carried out as it is stated."""
    search = config.search
    stated = [name for name in SECTIONS if getattr(search.space, name)]
    if search.sampler == "grid":
        for key, there in (("space", stated), ("judged", search.judged), ("scheduler", search.scheduler != "none")):
            if there:
                raise UserError(
                    "a grid runs every cell: it draws nothing, stops nothing and chooses nothing",
                    where=f"{path}: search.{key}",
                    do="set search.sampler=tpe, or leave this out",
                )
        return
    if search.trials is None:
        raise UserError("search.trials is missing", where=f"{path}: search", do="add how many points are drawn")
    for section in SECTIONS:
        for field, values in getattr(search.space, section).items():
            _check_field(config, section, field, values, f"{path}: search.space.{section}")
    if config.ladder and (stated or search.judged):
        raise UserError(
            "the ladder stands on the networks of a grid",
            where=f"{path}: ladder",
            found="a search with search.space or search.judged",
            do="leave it out here, and give it a study of its own",
        )
    _check_asha(config, path)
    _check_fresh(config, path)


def _check_field(config: StudyConfig, section: Section, field: str, stated: Any, where: str) -> None:
    first = field.split(".")[0]
    if field in AXES:
        raise UserError(
            f"{field} is an axis of the grid, and drawn from its list there",
            where=f"{where}.{field}",
            do=f"put the values into grid.{field}",
        )
    for reason in (NOT_DRAWN.get(first), IDLE[section].get(first)):
        if reason:
            raise UserError("this is not drawn", where=f"{where}.{field}", found=reason, do="leave it out")
    if first in vars(config) and first not in RECIPE_FIELDS:
        fields = sorted(set(RECIPE_FIELDS) - NOT_DRAWN.keys())
        raise UserError(
            "this is not drawn",
            where=f"{where}.{field}",
            found="it is one for the whole study, no field of a recipe",
            do=f"leave it out; drawn are axes of the grid and {', '.join(fields)}",
        )
    if first not in RECIPE_FIELDS:
        raise UserError("unknown key", where=where, found=field, do=nearest(field, RECIPE_FIELDS))
    if first == "start" and not any(config.grid.pretrain_epochs):
        raise UserError(
            "nothing starts from a milestone: no cell is pretrained",
            where=f"{where}.{field}",
            found=f"grid.pretrain_epochs: {list(config.grid.pretrain_epochs)}",
            do="leave it out, or add pretraining epochs",
        )
    if section == "pretraining" and isinstance(stated, dict):
        raise UserError(
            "a pretraining is shared by the points that start from it, and with a range hardly two would draw the same",
            where=f"{where}.{field}",
            found=shown(stated),
            wanted="a list of a few values",
            do=f"for example {field}: [{', '.join(str(stated[k]) for k in ('low', 'high') if k in stated)}]",
        )
    for value in _ends(field, stated, where) if isinstance(stated, dict) else _listed(field, stated, where):
        try:
            Recipe(**laid_over({}, {field: value}))
        except ValidationError as error:
            raise explained(error.errors()[0], where, Recipe) from None


def _listed(field: str, stated: Any, where: str) -> list[Any]:
    if not isinstance(stated, list | tuple) or not stated:
        raise UserError(
            "this cannot be drawn from",
            where=f"{where}.{field}",
            found=shown(stated),
            wanted="a list of values, or a range: {low: 0.001, high: 0.1, log: true}",
            do="write it as one of these",
        )
    texts = [json.dumps(value, sort_keys=True) for value in stated]
    if len(set(texts)) != len(texts):
        raise UserError(
            "a value is named twice", where=f"{where}.{field}", found=shown(list(stated)), do="name each value once"
        )
    return list(stated)


def _ends(field: str, stated: dict[str, Any], where: str) -> list[Any]:
    """Both ends of a range, which are values of the field as well."""

    def refuse(what: str, wanted: str) -> UserError:
        return UserError(what, where=f"{where}.{field}", found=shown(stated), wanted=wanted, do="mend this range")

    unknown = [key for key in stated if key not in RANGE_KEYS]
    if unknown or not {"low", "high"} <= stated.keys():
        wanted = "{low: 0.001, high: 0.1, log: true}, or a list of such mappings where the values are mappings"
        inside = ", ".join(f"{field}.{key}: ..." for key in unknown)
        raise refuse("this is no range", f"{wanted}; fields inside it by themselves: {inside}" if inside else wanted)
    ends = [stated["low"], stated["high"]]
    if any(isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end) for end in ends):
        raise refuse("the ends of a range are numbers", "low and high as numbers (1.0e-4, with the point)")
    if not isinstance(stated.get("log", False), bool):
        raise refuse("log says whether a range is drawn by its logarithm", "true or false")
    if ends[0] >= ends[1]:
        raise refuse("a range ends before it begins", "low below high")
    if stated.get("log") and ends[0] <= 0:
        raise refuse("0 and what is below has no logarithm", "low above 0, or log: false")
    if _is_whole(field) and any(end != int(end) for end in ends):
        raise refuse("this field takes whole numbers", "whole numbers at both ends")
    return ends


def _check_asha(config: StudyConfig, path: str) -> None:
    search = config.search
    if search.scheduler == "none":
        return
    if search.judged is None:
        raise UserError(
            "asha stops runs that the tables would need: every drawn cell is in them",
            where=f"{path}: search.scheduler",
            do="add search.judged, so that only the best cells are, or set search.scheduler=none",
        )
    if search.grace_epochs >= config.finetune_epochs:
        raise UserError(
            "asha has nothing to stop: its first look comes with the last epoch, or after it",
            where=f"{path}: search.grace_epochs",
            found=search.grace_epochs,
            wanted=f"fewer than finetune_epochs ({config.finetune_epochs})",
            do="lower it, or set search.scheduler=none",
        )


def _check_fresh(config: StudyConfig, path: str) -> None:
    fresh = config.search.judged.seeds if config.search.judged else ()
    again = sorted(set(fresh) & set(config.grid.seed))
    if again:
        raise UserError(
            "the best cells are judged on seeds that nothing was chosen by",
            where=f"{path}: search.judged.seeds",
            found=f"{', '.join(map(str, again))} in grid.seed too",
            do="name other seeds",
        )
    if fresh and len(config.grid.labelled_scans) > 1:
        raise UserError(
            "the best are judged at one number of labelled scans: with more of them any network is better",
            where=f"{path}: grid.labelled_scans",
            found=shown(list(config.grid.labelled_scans)),
            do="give one, and each other a search of its own; or leave search.judged out",
        )
    if len(set(fresh)) != len(fresh):
        raise UserError(
            "a seed is named twice", where=f"{path}: search.judged.seeds", found=shown(list(fresh)), do="name each once"
        )


def _values(field: str, stated: Any) -> Values:
    if not isinstance(stated, dict):
        return tuple(stated)
    whole = _is_whole(field)
    return Range(low=stated["low"], high=stated["high"], log=stated.get("log", False), whole=whole)


def _is_whole(field: str) -> bool:
    """Whether a field of the recipe takes integers."""
    model: Any = Recipe
    for part in field.split("."):
        if not dataclasses.is_dataclass(model):
            return False
        hint = get_type_hints(model).get(part)
        model = next((kind for kind in (hint, *get_args(hint)) if dataclasses.is_dataclass(kind)), hint)
    return int in (model, *get_args(model))

"""What a search is and how far it has got, in a few lines. Knows neither Ray nor Optuna."""

from __future__ import annotations

import math
from typing import Any

from lidartune.config import Range, StudyConfig, Values
from lidartune.tuning.points import Points
from lidartune.tuning.space import Stage, StageSpace
from lidartune.tuning.study import Study, notes

WORDS: dict[Stage, str] = {"finetuned": "pretrained first", "scratch": "from scratch"}


def describe_search(study: Study) -> list[str]:
    """The points, the budget, how many are done and what is drawn, in a few lines."""
    points = Points(study)
    config, search, plan = study.config, study.config.search, study.plan
    over = [point for point in points.all if points.is_over(point)]
    kinds = ", half ".join(WORDS[stage] for stage in points.spaces)
    stopping = f", asha from epoch {search.grace_epochs} on by {search.reduction_factor}" * (search.scheduler == "asha")
    updates = config.finetune_epochs * plan.updates_per_epoch
    seeds = len(config.grid.seed)
    lines = [
        f"study {config.name}: a search of {search.trials} points ({search.sampler}{stopping}), "
        f"{'half of them ' * (len(points.spaces) > 1)}{kinds}; "
        f"{len(points.all)} are drawn, {len(over)} of them over",
        f"  budget: a point has {updates:,} updates on real scans"
        + (f" on each of {seeds} seeds" if seeds > 1 else "")
        + f", all points {(search.trials or 0) * seeds * updates:,} at most; pretraining is shared: "
        f"{_pretraining_updates(study):,} on top at most",
    ]
    for stage, space in points.spaces.items():
        size = space.size()
        of = "" if size is None else f" (at most {size:,} points)"
        lines.append(f"  drawn where {WORDS[stage]}{of}: {', '.join(_choices(space)) or 'nothing'}")
    lines += _own_recipe(config)
    return lines + notes(study)


def _pretraining_updates(study: Study) -> int:
    """Updates of all pretrainings that could be drawn; planning the whole grid refuses what that refuses."""
    recipes = math.prod(len(values) for values in study.config.search.space.pretraining.values())
    return study.whole.pretraining_epochs()[0] * recipes * study.whole.updates_per_epoch


def _own_recipe(config: StudyConfig) -> list[str]:
    judged = config.search.judged
    if judged is None:
        return ["  every point has its references, and is scored on the test scans"]
    return [
        f"  at the end: the best {judged.best} of each kind and the study's own recipe, with references, on seeds "
        f"{', '.join(map(str, judged.seeds))}; nothing before is scored on test scans"
    ]


def _choices(space: StageSpace) -> list[str]:
    """What is a choice: `width 256 | 512`, `learning_rate 0.001 to 0.1 (log)`."""
    found: list[str] = []

    def choose(name: str, values: Values) -> Any:
        found.append(_choice(name, values))
        return values.low if isinstance(values, Range) else values[-1]

    space.walk(choose)
    return [text for text in found if text]


def _choice(name: str, values: Values) -> str:
    if isinstance(values, Range):
        return f"{name} {values.low:g} to {values.high:g}{' (log)' if values.log else ''}"
    return f"{name} {' | '.join(map(str, values))}" if len(values) > 1 else ""

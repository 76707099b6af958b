"""What a search is and how far it has got, in a few lines. Knows neither Ray nor Optuna."""

from __future__ import annotations

import math

from lidartune.config import Range, StudyConfig, Values
from lidartune.tuning.points import Points
from lidartune.tuning.search_cost import points_to_come
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
    seeds, most = len(config.grid.seed), len(points.all) + points_to_come(study, points)
    lines = [
        f"study {config.name}: a search of {search.trials} points ({search.sampler}{stopping}), "
        f"{'half of them ' * (len(points.spaces) > 1)}{kinds}; "
        f"{len(points.all)} are drawn, {len(over)} of them over",
        f"  budget: a point has {updates:,} updates on real scans"
        + (f" on each of {seeds} seeds" if seeds > 1 else "")
        + f", all points {most * seeds * updates:,} at most; pretraining is shared: "
        f"{_pretraining_updates(study):,} on top at most",
    ]
    lines += [_drawn_from(stage, space) for stage, space in points.spaces.items()]
    lines += _end(config, points)
    return lines + notes(study)


def _pretraining_updates(study: Study) -> int:
    """Updates of all pretrainings that could be drawn; planning the whole grid refuses what that refuses."""
    recipes = math.prod(len(values) for values in study.config.search.space.pretraining.values())
    return study.whole.pretraining_epochs()[0] * recipes * study.whole.updates_per_epoch


def _end(config: StudyConfig, points: Points) -> list[str]:
    judged, several = config.search.judged, len(points.spaces) > 1
    if judged is None:
        return ["  every point has its references, and is scored on the test scans"]
    return [
        f"  at the end: the best {judged.best}{' of each kind' * several} and the study's own recipe there, with "
        f"references, on seeds {', '.join(map(str, judged.seeds))}; nothing before is scored on test scans"
    ]


def _drawn_from(stage: Stage, space: StageSpace) -> str:
    """What is drawn for a kind of points: `width 256 | 512, learning_rate 0.001 to 0.1 (log)`."""
    size = space.size()
    of = "" if size is None else " (1 point)" if size == 1 else f" (at most {size:,} points)"
    choices = [text for name, values in space.choices().items() if (text := _choice(name, values))]
    return f"  drawn where {WORDS[stage]}{of}: {', '.join(choices) or 'nothing'}"


def _choice(name: str, values: Values) -> str:
    if isinstance(values, Range):
        return f"{name} {values.low:g} to {values.high:g}{' (log)' if values.log else ''}"
    return f"{name} {' | '.join(map(str, values))}" if len(values) > 1 else ""

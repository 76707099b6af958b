"""What a search draws from: the grid's axes and recipe fields, each only where it changes something; no Optuna."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from lidartune.config import Range, StudyConfig, Values, read_space

Stage = Literal["finetuned", "scratch"]
Choose = Callable[[str, Values], Any]
PRETRAINING = "pretraining."
"""Before the names of pretraining's fields, which may be fine-tuning's too."""
FACTOR = "start.learning_rate_factor"
"""Drawn last: it says something for one value of `start.learning_rate` only."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a point is made of: a cell but for its seed, and the recipe fields that are not the study's."""

    axes: dict[str, Any]
    finetuning: dict[str, Any] = field(default_factory=dict)
    pretraining: dict[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return "finetuned" if self.axes["pretrain_epochs"] else "scratch"

    @property
    def values(self) -> dict[str, Any]:
        """Everything by the name it is drawn under."""
        pretraining = {PRETRAINING + name: value for name, value in self.pretraining.items()}
        return self.axes | self.finetuning | pretraining


@dataclass(frozen=True, kw_only=True)
class StageSpace:
    """The part of the space whose points are fine-tuned, or the part that is trained from scratch."""

    stage: Stage
    axes: dict[str, tuple[Any, ...]]
    finetuning: dict[str, Values]
    pretraining: dict[str, Values]

    def walk(self, choose: Choose) -> Drawn:
        """One point, asking for each value that makes a difference where those before are as they are."""
        idle = {"pretrain_epochs": 0, "freeze": "none"} if self.stage == "scratch" else {}
        axes = {name: idle[name] if name in idle else choose(name, values) for name, values in self.axes.items()}
        finetuning: dict[str, Any] = {}
        for name, values in self.finetuning.items():
            if self._matters(name, axes, finetuning):
                finetuning[name] = choose(name, values)
        pretrained_here = isinstance(axes["pretrain_epochs"], int) and axes["pretrain_epochs"] > 0
        pretraining = {
            name: choose(PRETRAINING + name, values) for name, values in self.pretraining.items() if pretrained_here
        }
        return Drawn(axes=axes, finetuning=finetuning, pretraining=pretraining)

    def _matters(self, name: str, axes: Mapping[str, Any], drawn: Mapping[str, Any]) -> bool:
        if name.startswith("start.") and self.stage == "scratch":
            return False
        if name == FACTOR:
            return drawn.get("start.learning_rate", "scaled") == "scaled"
        return name != "probe_updates" or axes["freeze"] == "probe_then_full"

    def by_chance(self, rng: np.random.Generator) -> Drawn:
        """Every value drawn evenly from its list or range."""
        return self.walk(lambda name, values: _by_chance(values, rng))

    def holds(self, drawn: Drawn) -> bool:
        """Whether a point, of an earlier start maybe, is one of these."""
        known = drawn.values
        try:
            return self.walk(lambda name, values: _one_of(values, known[name])).values == known
        except (KeyError, ValueError):
            return False

    def size(self) -> int | None:
        """At most so many points; None where there are ranges."""
        everything = [*self.axes.values(), *self.finetuning.values(), *self.pretraining.values()]
        lists = [values for values in everything if not isinstance(values, Range)]
        return math.prod(map(len, lists)) if len(lists) == len(everything) else None


def stage_spaces(config: StudyConfig) -> dict[Stage, StageSpace]:
    """The parts of a study's space that have points: what is pretrained first, and what is not."""
    axes = {f.name: tuple(getattr(config.grid, f.name)) for f in fields(config.grid) if f.name != "seed"}
    found: dict[Stage, StageSpace] = {}
    stages: dict[Stage, bool] = {"finetuned": True, "scratch": False}
    for stage, pretrained in stages.items():
        epochs = tuple(value for value in axes["pretrain_epochs"] if bool(value) is pretrained)
        if epochs and (pretrained or "none" in axes["freeze"]):  # as of a grid: nothing is frozen at random weights
            found[stage] = StageSpace(
                stage=stage,
                axes=axes | {"pretrain_epochs": epochs},
                finetuning=dict(sorted(read_space(config, "finetuning").items(), key=lambda item: item[0] == FACTOR)),
                pretraining=read_space(config, "pretraining"),
            )
    return found


def as_choice(value: Any) -> Any:
    """A listed value as Optuna takes it: mappings and lists as JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value, sort_keys=True)


def from_choice(values: Values, choice: Any) -> Any:
    """The value that `as_choice` stands for."""
    return choice if isinstance(values, Range) else next(v for v in values if _same(as_choice(v), choice))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _one_of(values: Values, value: Any) -> Any:
    """The value if it can be drawn from these, else ValueError."""
    if isinstance(values, Range):
        if isinstance(value, bool) or not isinstance(value, int | float) or not values.low <= value <= values.high:
            raise ValueError(value)
        return value
    if not any(_same(listed, value) for listed in values):
        raise ValueError(value)
    return value


def _by_chance(values: Values, rng: np.random.Generator) -> Any:
    if not isinstance(values, Range):
        return values[rng.integers(len(values))]
    if values.whole and not values.log:
        return int(rng.integers(int(values.low), int(values.high) + 1))
    low, high = (math.log(end) if values.log else end for end in (values.low, values.high))
    drawn = float(rng.uniform(low, high))
    number = min(max(math.exp(drawn) if values.log else drawn, values.low), values.high)
    return round(number) if values.whole else number

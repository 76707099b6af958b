"""What a search draws from: the grid's axes and recipe fields, each only where it changes something; no Optuna."""

from __future__ import annotations

import itertools
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
DECIDING = ("pretrain_epochs", "freeze", "start.learning_rate")
"""By their values it hangs what else is drawn."""


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

    def branches(self) -> list[dict[str, Values]]:
        """What is drawn, by name and in order: once for each way in which the deciding values can fall."""
        lists = {name: values for name, values in (self.axes | self.finetuning).items() if name in DECIDING}
        combinations = itertools.product(*(ends_of(values) for values in lists.values()))
        found = [self._asked(dict(zip(lists, values, strict=True))) for values in combinations]
        return list({repr(asked): asked for asked in found}.values())

    def _asked(self, decided: Mapping[str, Any]) -> dict[str, Values]:
        """What is drawn where these values are decided."""
        asked: dict[str, Values] = {}

        def choose(name: str, values: Values) -> Any:
            asked[name] = (decided[name],) if name in decided else values
            return ends_of(asked[name])[0]

        self.walk(choose)
        return asked

    def choices(self) -> dict[str, Values]:
        """Everything that is drawn for some point, by name, and from what."""
        asked = {name for branch in self.branches() for name in branch}
        pretraining = {PRETRAINING + name: values for name, values in self.pretraining.items()}
        everything = self.axes | self.finetuning | pretraining
        return {name: values for name, values in everything.items() if name in asked}

    def size(self) -> int | None:
        """At most so many points, counting only what is drawn; None where there are ranges."""
        total = 0
        for branch in self.branches():
            lists = [values for values in branch.values() if not isinstance(values, Range)]
            if len(lists) < len(branch):
                return None
            total += math.prod(map(len, lists))
        return total


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


def ends_of(values: Values) -> tuple[Any, ...]:
    """A list as it is, of a range both ends."""
    if not isinstance(values, Range):
        return values
    return (int(values.low), int(values.high)) if values.whole else (values.low, values.high)


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

"""Cells drawn by Optuna over the grid's axes, by the real domain's validation score."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from ray.tune.search.optuna import OptunaSearch

from lidartune.scoring.confusion import ConfusionMatrix
from lidartune.training.seeding import derived_seed
from lidartune.transfer.plan import Cell, Milestone, why_excluded
from lidartune.tuning.study import Study, save_plan, write_json

METRIC = "validation_miou"
SUGGESTIONS_BEFORE_CHANCE = 20


@dataclass(kw_only=True)
class Point:
    """What was drawn: a cell on every seed. `trial` is its name in Optuna, None for one of an earlier call."""

    axes: dict[str, Any]
    cells: list[Cell]
    trial: str | None = None
    settled: bool = False


class DrawnCells:
    """A source of cells that asks Optuna; each point is kept in `search.json` and drawn no second time.

    Optuna's study is rebuilt from the store at each start: the store is the one truth. Points of an earlier start that
    are not in the grid any more are left out, but stay in the file.

    Args:
        slots: how many points may be under way at once.
    """

    def __init__(self, study: Study, *, slots: int):
        self._study, self._plan, self._schedule, self._store = study, study.plan, study.schedule, study.store
        self._search = study.config.search
        self._file = study.folder / "search.json"
        self._slots = slots
        self._grid = study.config.grid
        self._axes = {f.name: list(getattr(self._grid, f.name)) for f in fields(self._grid) if f.name != "seed"}
        self._possible = {_key(axes): axes for axes in self._combinations()}
        self._points: dict[str, Point] = {}
        self._asked = 0
        earlier = json.loads(self._file.read_text()) if self._file.exists() else []
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)
        storage = optuna.storages.InMemoryStorage()
        self._optuna_study = optuna.create_study(
            storage=storage, study_name=study.config.name, direction="maximize"
        )
        sampler = optuna.samplers.TPESampler(
            seed=derived_seed(self._search.seed, "points", len(earlier)) % 2**32,
            multivariate=True,
            group=True,  # `freeze` is drawn only where there is a pretraining
            constant_liar=True,
        )
        self._optuna = OptunaSearch(
            space=self._space,
            metric=METRIC,
            mode="max",
            sampler=sampler,
            storage=storage,
            study_name=study.config.name,
        )
        self._left_out = [axes for axes in earlier if _key(axes) not in self._possible]
        for axes in earlier:
            if axes not in self._left_out:
                self._add(axes, trial=None)
        save_plan(study)
        self.settle()

    def draw(self) -> bool:
        """Adds the cells of one more point, unless enough are drawn or under way."""
        trials = min(self._search.trials or 0, len(self._possible))
        under_way = sum(not point.settled for point in self._points.values())
        if len(self._points) >= trials or under_way >= self._slots:
            return False
        for attempt in range(SUGGESTIONS_BEFORE_CHANCE + 1):
            if attempt == SUGGESTIONS_BEFORE_CHANCE:
                self._optuna_study.enqueue_trial(self._by_chance())
            self._asked += 1
            trial = f"point-{self._asked}"
            axes = self._complete(self._optuna.suggest(trial))
            if _key(axes) in self._possible and _key(axes) not in self._points:
                self._add(axes, trial)
                self._keep()
                return True
            self._optuna.on_trial_complete(trial, error=True)  # a failed trial teaches the sampler nothing
        raise AssertionError("an enqueued point is the one that is suggested next")

    def settle(self) -> None:
        """Tells Optuna the score of each point whose cells are all done or given up."""
        for point in self._points.values():
            if point.settled or not all(self._is_over(self._objective(cell)) for cell in point.cells):
                continue
            point.settled = True
            value = self._value(point)
            if point.trial is not None:
                self._optuna.on_trial_complete(point.trial, {METRIC: value}, error=value is None)
            elif value is not None:
                self._optuna_study.add_trial(
                    optuna.trial.create_trial(
                        params=self._drawn(point.axes), distributions=self._distributions(point.axes), value=value
                    )
                )

    # -- points -----------------------------------------------------------------------------------------------------

    def _add(self, axes: dict[str, Any], trial: str | None) -> None:
        cells = [Cell(**axes, seed=seed) for seed in self._grid.seed]
        for cell in cells:
            self._plan.add(cell)
        self._points[_key(axes)] = Point(axes=axes, cells=cells, trial=trial)

    def _keep(self) -> None:
        write_json(self._file, self._left_out + [point.axes for point in self._points.values()])
        save_plan(self._study)

    def _objective(self, cell: Cell) -> Milestone:
        roles = self._plan.roles[cell]
        return roles["finetuned" if cell.pretrain_epochs else "scratch"]

    def _is_over(self, milestone: Milestone) -> bool:
        return milestone.run in self._schedule.failures or self._schedule.is_there(milestone.run, milestone.epoch)

    def _value(self, point: Point) -> float | None:
        """Mean over the seeds of the real validation mIoU at the last epoch; None where a seed has none."""
        scores = []
        for cell in point.cells:
            milestone = self._objective(cell)
            if not self._schedule.is_there(milestone.run, milestone.epoch):
                return None
            row = self._store.read_json(milestone.run, milestone.epoch, "metrics", "metrics.json")
            scores.append(ConfusionMatrix.from_matrix(row["validation"]["real"]["points"]).miou())
        return float(np.mean(scores))

    # -- the space --------------------------------------------------------------------------------------------------

    def _space(self, trial: optuna.Trial) -> None:
        """Optuna's define-by-run space: the axes of the grid, `freeze` only where something was pretrained."""
        epochs = trial.suggest_categorical("pretrain_epochs", self._axes["pretrain_epochs"])
        for name, values in self._axes.items():
            if name != "pretrain_epochs" and (name != "freeze" or epochs):
                trial.suggest_categorical(name, values)

    def _complete(self, drawn: Any) -> dict[str, Any]:
        return {name: drawn.get(name, "none") for name in self._axes}

    def _drawn(self, axes: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in axes.items() if name != "freeze" or axes["pretrain_epochs"]}

    def _distributions(self, axes: dict[str, Any]) -> dict[str, Any]:
        return {name: CategoricalDistribution(self._axes[name]) for name in self._drawn(axes)}

    def _combinations(self) -> list[dict[str, Any]]:
        combinations: list[dict[str, Any]] = [{}]
        for name, values in self._axes.items():
            combinations = [{**axes, name: value} for axes in combinations for value in values]
        return [axes for axes in combinations if why_excluded(Cell(**axes, seed=0), self._plan.checkpoints) is None]

    def _by_chance(self) -> dict[str, Any]:
        left = [axes for key, axes in self._possible.items() if key not in self._points]
        rng = np.random.default_rng(derived_seed(self._search.seed, "chance", len(self._points)))
        return self._drawn(left[rng.integers(len(left))])


def _key(axes: dict[str, Any]) -> str:
    return json.dumps(axes, sort_keys=True)



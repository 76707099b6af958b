"""Points drawn by Optuna, one sampler for what is pretrained first and one for what is not, each for half of them."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import numpy as np
import optuna
from ray.tune.result import TRAINING_ITERATION
from ray.tune.search.optuna import OptunaSearch

from lidartune.config import Range, Values
from lidartune.training.seeding import derived_seed
from lidartune.tuning.ended import write_points
from lidartune.tuning.left import epochs
from lidartune.tuning.optuna_file import as_trial, open_stage, params_of, pruner, write_optuna_file
from lidartune.tuning.points import Judged, Point, Points, judged
from lidartune.tuning.search_cost import SearchCost
from lidartune.tuning.space import Drawn, StageSpace, as_choice, from_choice
from lidartune.tuning.study import Study, save_plan

METRIC = "validation_miou"
SUGGESTIONS_BEFORE_CHANCE = 20
CHANCES = 2000
STARTUP_POINTS = 6
"""Points of a stage that are drawn by chance before the sampler goes by what they were worth."""
SECONDS_BETWEEN_FILES = 20.0


class DrawnCells:
    """A source of cells that asks Optuna; each point is kept in `search.json` and drawn no second time.

    Optuna's studies are rebuilt from that file and the store at each start, and written out for `optuna-dashboard`:
    the store is the one truth. With `search.judged` the cells that the search ends with come last.

    Args:
        judges: whether the cells that `search.judged` asks for are added at the end.

    Attributes:
        slots: how many points may be under way at once; 0 until somebody says so.
        judged: what the search ends with, once all points are over.
    """

    def __init__(self, study: Study, *, judges: bool = True):
        self._study, self._search, self.slots = study, study.config.search, 0
        self.points = Points(study)
        self.judged: list[Judged] = []
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.InMemoryStorage()
        self._stages = {
            stage: _Sampler(study, self.points, space, storage) for stage, space in self.points.spaces.items()
        }
        self._settled: set[int] = set()
        self._judged = not judges or study.config.search.judged is None
        self._cost = SearchCost(study, epochs)
        self._written = -np.inf
        for point in self.points.all:
            self._stages[point.drawn.stage].goes_on(point)
        save_plan(study)
        self.draw()  # a point where none is under way; of a search that is over the cells that it ends with

    def draw(self) -> bool:
        """Adds the cells of one more point, unless enough are drawn or under way; once all are over the judged ones."""
        self.settle()  # a point that was drawn last may have failed with what it starts from, without a run of its own
        under_way = len(self.points.all) - len(self._settled)
        while self.wants_points():
            if under_way >= max(1, self.slots):
                return False
            open_stages = [stage for stage, sampler in self._stages.items() if not sampler.exhausted]
            stage = min(open_stages, key=lambda stage: len(self.points.of(stage)))
            if self._stages[stage].draw() is not None:
                return True
        if under_way or self._judged:
            return False
        return self._judge()

    def wants_points(self) -> bool:
        """Whether there are fewer points than asked for, and more could be drawn."""
        left = any(not stage.exhausted for stage in self._stages.values())
        return left and len(self.points.all) < (self._search.trials or 0)

    def epochs_to_come(self) -> int:
        """At most how many epochs the points, their pretrainings and the judged cells take that are not there yet."""
        return int(self._cost.to_come(self.points, draws=self.wants_points(), judges=not self._judged).work)

    def settle(self) -> None:
        """Tells Optuna of each point whose cells are all done, given up or stopped."""
        for point in self.points.all:
            if point.number in self._settled:
                continue
            self.points.give_up_others(point)
            if self.points.is_over(point):
                self._settled.add(point.number)
                self._stages[point.drawn.stage].tell(point)
        if time.monotonic() - self._written > SECONDS_BETWEEN_FILES:
            self.write_file()

    def stops(self, run: str, epoch: int) -> bool:
        """Whether a run ends here: asha ends its point, by its first seed and with all, or another seed has failed."""
        point = self.points.with_run(run)
        if point is None:
            return False
        if run in self._study.schedule.dropped:
            return True
        if self._search.scheduler == "none":
            return False
        if point.stopped is None and run == point.runs[0] and 0 < epoch < self._study.config.finetune_epochs:
            value = self.points.score(run, epoch)
            if self._stages[point.drawn.stage].would_stop(point, epoch, value):
                self.points.stop(point, epoch)
        return point.stopped is not None

    def write_file(self) -> None:
        """Writes `optuna.log`, which `optuna-dashboard` opens, and what the report tells of the points."""
        if self.points.all:
            write_optuna_file(self._study, self.points)
            write_points(self._study, self.points, self.judged)
        self._written = time.monotonic()

    def _judge(self) -> bool:
        self._judged = True
        assert self._search.judged is not None
        self.judged = judged(self.points, self._search.judged.seeds, self._search.judged.best)
        for cell in dict.fromkeys(cell for recipe in self.judged for cell in recipe.cells):
            self._study.plan.add(cell)
        save_plan(self._study)
        return bool(self.judged)


class _Sampler:
    """One stage of the space with Optuna's study of it, behind Tune's OptunaSearch."""

    def __init__(self, study: Study, points: Points, space: StageSpace, storage: optuna.storages.InMemoryStorage):
        self._study, self._points, self._space = study, points, space
        self._optuna_study = open_stage(study.config, space.stage, storage)
        self._pruner = pruner(study.config)
        self._search = OptunaSearch(
            space=self._suggest,
            metric=METRIC,
            mode="max",
            sampler=self._sampler(),
            storage=storage,
            study_name=self._optuna_study.study_name,
        )
        self.exhausted = False
        self._asked = 0
        self._trials: dict[int, tuple[str, int]] = {}  # a point's trial under way: its name in Tune, its number
        self._reported: set[tuple[int, int]] = set()

    def goes_on(self, point: Point) -> None:
        """Takes up a point of an earlier start: what is over as it ended, what is not as one that is under way."""
        if self._points.is_over(point):
            self._optuna_study.add_trial(as_trial(self._study.config, self._points, point))
            return
        self._ask_for(point.drawn)
        self._begins(point)
        for epoch, value in self._points.curve(point).items():
            self.would_stop(point, epoch, value)  # it was not stopped there, and is not judged a second time

    def draw(self) -> Point | None:
        """Draws a point that is not there yet; None where there seems to be none."""
        for _ in range(SUGGESTIONS_BEFORE_CHANCE):
            drawn = self._ask()
            if self._points.is_new(drawn):
                return self._add(drawn)
            self._search.on_trial_complete(self._name, error=True)  # a failed trial teaches the sampler nothing
        rng = np.random.default_rng(derived_seed(self._seed, "chance", self._space.stage, len(self._points.all)))
        size = self._space.size()
        seen: set[str] = set()
        for _ in range(CHANCES if size is None else 20 * size):
            drawn = self._space.by_chance(rng)
            if (text := repr(drawn)) not in seen and self._points.is_new(drawn):
                self._ask_for(drawn)
                return self._add(drawn)
            seen.add(text)
        if not self._points.all and self._points.refused is not None:
            raise self._points.refused
        self.exhausted = True
        return None

    def tell(self, point: Point) -> None:
        """Ends a point's trial: with its value, as pruned where asha stopped it, else as failed."""
        if point.number not in self._trials:
            return
        for epoch, score in self._points.curve(point).items():
            if epoch < self._study.config.finetune_epochs:
                self.would_stop(point, epoch, score)  # of runs that were there already: asha compares others with them
        name, _ = self._trials.pop(point.number)
        value = self._points.value(point)
        result = None if value is None else {METRIC: value}
        self._search.on_trial_complete(name, result, error=value is None and point.stopped is None)

    def would_stop(self, point: Point, epoch: int, value: float) -> bool:
        """What asha says of a point that has just got this far, among all points of the stage."""
        if self._pruner is None or (point.number, epoch) in self._reported:
            return False
        self._reported.add((point.number, epoch))
        name, number = self._trials[point.number]
        self._search.on_trial_result(name, {METRIC: value, TRAINING_ITERATION: epoch})
        return self._pruner.prune(self._optuna_study, self._optuna_study.get_trials(deepcopy=False)[number])

    # -- Optuna -----------------------------------------------------------------------------------------------------

    @property
    def _seed(self) -> int:
        return self._study.config.search.seed

    @property
    def _name(self) -> str:
        return f"{self._space.stage}-{self._asked}"

    def _sampler(self) -> optuna.samplers.BaseSampler:
        """Seeded by how many points there are, so that after a restart it does not draw the same ones again."""
        seed = derived_seed(self._seed, "points", self._space.stage, len(self._points.of(self._space.stage))) % 2**32
        if self._study.config.search.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=STARTUP_POINTS,
            multivariate=True,
            group=True,  # some values are drawn only where they change something
            constant_liar=True,
        )

    def _suggest(self, trial: optuna.Trial) -> None:
        """Optuna's define-by-run space."""

        def choose(name: str, values: Values) -> Any:
            if not isinstance(values, Range):
                return from_choice(values, trial.suggest_categorical(name, [as_choice(value) for value in values]))
            if values.whole:
                return trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
            return trial.suggest_float(name, values.low, values.high, log=values.log)

        self._space.walk(choose)

    def _ask(self) -> Drawn:
        self._asked += 1
        suggested: Any = self._search.suggest(self._name)
        return self._space.walk(lambda name, values: from_choice(values, suggested[name]))

    def _ask_for(self, drawn: Drawn) -> None:
        """Has Optuna suggest just this point."""
        params = params_of(self._space, drawn)
        self._optuna_study.enqueue_trial({name: as_choice(value) for name, value in params.items()})
        self._ask()

    def _add(self, drawn: Drawn) -> Point:
        point = self._points.add(drawn)
        self._begins(point)
        self._points.keep()
        return point

    def _begins(self, point: Point) -> None:
        """The trial that was suggested last is this point's."""
        self._trials[point.number] = self._name, len(self._optuna_study.get_trials(deepcopy=False)) - 1

"""What a search still costs at most. Nobody knows what it will draw, so the costliest counts. Knows no Ray or Optuna.

- A point to come is the costliest cell of its kind, with the recipe that takes most of all that may be drawn: its own
  run, or its references too where the search has no `judged`.
- Pretrainings are all that could be drawn, the costliest first, but no more than those points have seeds.
- At the end come the best cells of each kind, and the study's own recipe at each one's setting, with all their runs.
- What is in the plan already is what is left of its runs.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lidartune.runs.spec import RunSpec
from lidartune.transfer.plan import Cell, Work
from lidartune.tuning.left import Left, RunCost, left_of
from lidartune.tuning.points import Points, judged
from lidartune.tuning.space import Stage
from lidartune.tuning.study import Study

_Kind = tuple[str, int, int, bool]


@dataclass(frozen=True, kw_only=True)
class AtMost:
    """Upper bounds by a cost: of all `work`, and of the runs for which others may have to wait, one after the other."""

    work: float = 0.0
    waits: float = 0.0

    def makespan(self, slots: int) -> float:
        """On so many slots: all of them work, or at least one does while others wait for its run."""
        return self.work / slots + (1 - 1 / slots) * min(self.waits, self.work)

    def __add__(self, other: AtMost) -> AtMost:
        return AtMost(work=self.work + other.work, waits=self.waits + other.waits)


def search_left(study: Study, points: Points, cost: RunCost) -> AtMost:
    """All that is left of a search; where nothing is to be drawn any more, what it judges is put into its plan."""
    search = study.config.search
    over = not points_to_come(study, points) and all(points.is_over(point) for point in points.all)
    for recipe in judged(points, search.judged.seeds, search.judged.best) if over and search.judged else ():
        for cell in recipe.cells:
            study.plan.add(cell)
    found = _planned(study, cost) + SearchCost(study, cost).to_come(points, judges=not over)
    if search.judged or search.space.finetuning or search.space.pretraining:
        return found
    every_cell = (left_of(run, work, study.schedule.is_there) for run, work in study.whole.works.items())
    return replace(found, work=min(found.work, sum(cost(left) for left in every_cell if left)))


def points_to_come(study: Study, points: Points) -> int:
    """How many points will be drawn: up to `search.trials`, or as many as there can be."""
    sizes = [space.size() for space in points.spaces.values()]
    possible = math.inf if None in sizes else sum(size for size in sizes if size)
    return max(0, int(min(study.config.search.trials or 0, possible)) - len(points.all))


def _planned(study: Study, cost: RunCost) -> AtMost:
    """What is left of the runs in the plan."""
    works = study.plan.works
    parents = {work.spec.start.run for work in works.values() if work.spec.start}
    left = [(run, left_of(run, works[run], study.schedule.is_there)) for run in study.schedule.open_runs()]
    costs = {run: cost(entry) for run, entry in left if entry}
    longest = max(costs.values(), default=0.0)
    return AtMost(work=sum(costs.values()), waits=longest + sum(costs[run] for run in costs if run in parents))


class SearchCost:
    """What of a search is in no plan yet: points that are not drawn, their pretrainings, the judged cells."""

    def __init__(self, study: Study, cost: RunCost):
        self._study, self._cost = study, cost
        self._seeds = len(study.config.grid.seed)
        first = [cell for cell in study.whole.roles if cell.seed == study.config.grid.seed[0]]
        self._cells: dict[Stage, list[Cell]] = {
            "finetuned": [cell for cell in first if cell.pretrain_epochs],
            "scratch": [cell for cell in first if not cell.pretrain_epochs],
        }
        runs = {stage: [self._point_runs(cell) for cell in cells] for stage, cells in self._cells.items()}
        self._points = {stage: _costliest(map(self._point, each)) for stage, each in runs.items()}
        self._longest = max((cost(left) for each in runs.values() for some in each for left in some), default=0.0)
        self._pretrainings = self._all_pretrainings()
        self._judging = self._judged()

    def to_come(self, points: Points, *, draws: bool = True, judges: bool = True) -> AtMost:
        """What is to come beyond these points.

        Args:
            draws: whether more points are drawn.
            judges: whether the judged cells are still to be put into the plan.
        """
        found = self._judging if judges else AtMost()
        coming = points_to_come(self._study, points) if draws else 0
        if not coming:
            return found
        sure, of_any = self._sure(points, coming), _costliest(self._points.values())
        counts = [(self._points[stage], count) for stage, count in sure.items()]
        counts.append((of_any, coming - sum(sure.values())))
        for bound, count in counts:
            found += AtMost(work=self._seeds * count * bound.work, waits=self._seeds * count * bound.waits)
        pretraining = sum(self._pretrainings_for((coming - sure.get("scratch", 0)) * self._seeds))
        return found + AtMost(work=pretraining, waits=pretraining + self._longest)

    def _sure(self, points: Points, coming: int) -> dict[Stage, int]:
        """How many of the points to come are of a kind for sure: those that the kind with fewer points gets, as far as
        it has other cells; with recipes drawn it may have more points, but some may train the same network.
        """
        counts = {stage: len(points.of(stage)) for stage in points.spaces}
        before = dict(counts)
        for _ in range(coming):
            counts[min(counts, key=lambda stage: counts[stage])] += 1
        return {
            stage: max(0, min(counts[stage], len(self._cells[stage])) - before[stage]) for stage in points.spaces
        }

    # -- points -----------------------------------------------------------------------------------------------------

    def _point_runs(self, cell: Cell) -> list[Left]:
        """The runs of a point on one seed but for its pretraining."""
        config, roles, hungriest = self._study.config, self._study.whole.roles[cell], self._study.hungriest
        if config.search.judged is None:
            pretraining = {roles["pretrained"].run} if cell.pretrain_epochs else set()
            return [left for run, left in self._runs(cell, hungriest).items() if run not in pretraining]
        end, epochs = roles["finetuned" if cell.pretrain_epochs else "scratch"].run, config.finetune_epochs
        return [Left(spec=hungriest[end], epochs=epochs, kept=(epochs,), tested=0)]

    def _point(self, runs: list[Left]) -> AtMost:
        """A point's runs; what its references start from may be shared by points that then wait for it."""
        started_from = [left for left in runs if left.spec.start is None] if len(runs) > 1 else []
        return AtMost(work=sum(map(self._cost, runs)), waits=sum(map(self._cost, started_from)))

    def _runs(self, cell: Cell, specs: Mapping[str, RunSpec]) -> dict[str, Left]:
        """All runs of a cell with its references, each to the last epoch that the cell needs of it."""
        last: dict[str, int] = {}
        for milestone in self._study.whole.roles[cell].values():
            last[milestone.run] = max(milestone.epoch, last.get(milestone.run, 0))
        works = self._study.whole.works
        kept = {run: tuple(epoch for epoch in sorted(works[run].epochs) if epoch <= end) for run, end in last.items()}
        return {
            run: Left(spec=specs[run], epochs=end, kept=kept[run], tested=len(kept[run])) for run, end in last.items()
        }

    # -- pretraining ------------------------------------------------------------------------------------------------

    def _all_pretrainings(self) -> dict[_Kind, tuple[Left, int]]:
        """Every pretraining that could be drawn, as far as the longest goes, and with how many recipes."""
        config, whole = self._study.config, self._study.whole
        milestones: dict[str, set[int]] = {}
        for roles in whole.roles.values():
            if "pretrained" in roles:
                milestones.setdefault(roles["pretrained"].run, set()).add(roles["pretrained"].epoch)
        recipes = math.prod(len(values) for values in config.search.space.pretraining.values())
        found = {}
        for run, wanted in milestones.items():
            kept = wanted if config.search.judged else whole.works[run].epochs
            left = Left(
                spec=self._study.hungriest[run],
                epochs=max(kept),
                kept=tuple(sorted(kept)),
                tested=0 if config.search.judged else len(kept),
            )
            found[_kind(left.spec)] = left, 1 if left.spec.imported else recipes
        return found

    def _pretrainings_for(self, count: int) -> list[float]:
        """What so many cells' pretrainings cost: the costliest that are not in the plan to their end."""
        plan = self._study.plan
        cells = (*plan.roles.values(), *plan.searched.values())
        runs = {roles["pretrained"].run for roles in cells if "pretrained" in roles}
        there = Counter(_kind(plan.works[run].spec) for run in runs if self._is_whole(plan.works[run]))
        costs: list[float] = []
        for kind, (left, recipes) in self._pretrainings.items():
            costs += [self._cost(left)] * min(count, recipes - there[kind])
        return heapq.nlargest(count, costs)

    def _is_whole(self, work: Work) -> bool:
        """Whether a pretraining goes as far as any of its kind."""
        kind = _kind(work.spec)
        return kind in self._pretrainings and max(work.epochs) >= self._pretrainings[kind][0].epochs

    # -- the end ----------------------------------------------------------------------------------------------------

    def _judged(self) -> AtMost:
        """The best cells of each kind and the study's own recipe at each one's setting, on the judged seeds."""
        ends, whole = self._study.config.search.judged, self._study.whole
        if ends is None:
            return AtMost()
        own = {run: work.spec for run, work in whole.works.items()}
        found, chain = AtMost(), 0.0
        for cells in self._cells.values():
            for specs, count in ((self._study.hungriest, ends.best), (own, 1)):
                costliest = _costliest(self._judged_cell(list(self._runs(cell, specs).values())) for cell in cells)
                found += AtMost(work=count * len(ends.seeds) * costliest.work)
                chain = max(chain, costliest.waits)
        return found + AtMost(waits=chain)

    def _judged_cell(self, runs: list[Left]) -> AtMost:
        """All runs of a cell; of them the longest from nothing and the longest that starts from another wait."""
        alone = [self._cost(left) for left in runs if left.spec.start is None]
        started = [self._cost(left) for left in runs if left.spec.start]
        return AtMost(work=sum(alone) + sum(started), waits=max(alone, default=0.0) + max(started, default=0.0))


def _kind(spec: RunSpec) -> _Kind:
    """What a pretraining, or the imported network in its place, is but for its recipe."""
    return spec.backbone, spec.canvas.width, spec.seed, spec.imported is not None


def _costliest(bounds: Iterable[AtMost]) -> AtMost:
    """The largest of each."""
    found = list(bounds)
    return AtMost(
        work=max((bound.work for bound in found), default=0.0), waits=max((bound.waits for bound in found), default=0.0)
    )

"""The points that a search has drawn, and what each is worth: kept in `search.json`, scored from the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lidartune.errors import UserError
from lidartune.report.search_record import OWN_RECIPE
from lidartune.runs.files import is_uri
from lidartune.runs.store import QUESTIONS_AT_ONCE
from lidartune.transfer.gap import mean_iou
from lidartune.transfer.plan import Cell, why_excluded
from lidartune.transfer.variant import Variant
from lidartune.tuning.space import Drawn, Stage, stage_spaces
from lidartune.tuning.study import Study, save_plan, write_json


@dataclass(kw_only=True)
class Point:
    """A cell on every seed. `runs` are those that it is scored by, one a seed; `stopped` the epoch asha ended it at."""

    number: int
    drawn: Drawn
    cells: list[Cell]
    runs: list[str]
    stopped: int | None = None

    @property
    def name(self) -> str:
        return f"point-{self.number}"


class Points:
    """All points of a study, those of earlier starts first.

    Points that are not in the space any more are left out, but stay in the file.
    """

    def __init__(self, study: Study):
        self._study = study
        self._file = study.folder / "search.json"
        self._records: list[dict[str, Any]] = []
        self._runs: dict[str, Point] = {}
        self._scores: dict[tuple[str, int], float] = {}
        self.all: list[Point] = []
        self.refused: UserError | None = None
        self.spaces = stage_spaces(study.config)
        for record in _read(self._file):
            drawn = Drawn(**{key: record[key] for key in ("axes", "finetuning", "pretraining")})
            space = self.spaces.get(drawn.stage)
            if space is not None and space.holds(drawn) and self.is_new(drawn):
                self._add_again(drawn, record["stopped"])
            else:
                self._records.append(record)
        if is_uri(study.store.results):  # far away each answer takes a while, many at once do not
            with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
                list(pool.map(lambda point: (self.curve(point), self.value(point)), self.all))

    def _add_again(self, drawn: Drawn, stopped: int | None) -> None:
        """A point of an earlier start; what stopped it counts only while it is the same run, and so has that epoch."""
        point = self.add(drawn)
        if stopped is not None and self._study.store.has(point.runs[0], stopped, "metrics"):
            point.stopped = stopped
            self._study.schedule.drop(point.runs)

    def add(self, drawn: Drawn) -> Point:
        """Adds a point, and the runs that it needs to the plan."""
        number, plan = len(self._records) + 1, self._study.plan
        cells = [self._cell(drawn, seed, number) for seed in self._study.config.grid.seed]
        for cell in cells:
            (plan.search if self._study.config.search.judged else plan.add)(cell)
        runs = [plan.own_end(cell).folder for cell in cells]
        point = Point(number=number, drawn=drawn, cells=cells, runs=runs)
        self._records.append({})
        self._runs |= dict.fromkeys(runs, point)
        self.all.append(point)
        return point

    def stop(self, point: Point, epoch: int) -> None:
        """Gives a point up for good."""
        point.stopped = epoch
        self._study.schedule.drop(point.runs)
        self.keep()

    def keep(self) -> None:
        """Writes what was drawn and what was stopped, so that neither is decided a second time."""
        for point in self.all:
            self._records[point.number - 1] = _record(point)
        write_json(self._file, self._records)
        save_plan(self._study)

    def of(self, stage: Stage) -> list[Point]:
        return [point for point in self.all if point.drawn.stage == stage]

    def with_run(self, run: str) -> Point | None:
        """The point that is scored by this run."""
        return self._runs.get(run)

    def is_new(self, drawn: Drawn) -> bool:
        """Whether nothing rules a point out: no cell, refused by the plan, or the same training as one before."""
        cell = self._cell(drawn, self._study.config.grid.seed[0], 0)
        if why_excluded(cell, self._study.plan.checkpoints) is not None:
            return False
        try:
            return self._study.plan.own_end(cell).folder not in self._runs
        except UserError as error:
            self.refused = error
            return False

    # -- how far it is, and what it is worth ------------------------------------------------------------------------

    def is_over(self, point: Point) -> bool:
        """Whether there is nothing to wait for: every seed done, failed or given up."""
        given_up = self._study.schedule.dropped
        return all(run in given_up or self._is_done(run) or self._failed(run) for run in point.runs)

    def give_up_others(self, point: Point) -> None:
        """Where a seed has failed, the point has no score: no other seed is begun, unless the tables want it."""
        failed = [run for run in point.runs if self._failed(run)]
        if failed and self._study.config.search.judged:
            self._study.schedule.drop(run for run in point.runs if run not in failed)

    def value(self, point: Point) -> float | None:
        """Mean over the seeds of the real validation mIoU at the last epoch; None where a seed has none."""
        if point.stopped is not None or not all(self._is_done(run) for run in point.runs):
            return None
        last = self._study.config.finetune_epochs
        return float(np.mean([self.score(run, last) for run in point.runs]))

    def curve(self, point: Point) -> dict[int, float]:
        """Epoch -> real validation mIoU of the point's first seed, as far as it is committed; what asha looks at."""
        end = self._study.config.finetune_epochs if point.stopped is None else point.stopped
        curve = {}
        for epoch in range(1, end + 1):
            if (point.runs[0], epoch) not in self._scores and not self._study.store.has(
                point.runs[0], epoch, "metrics"
            ):
                break
            curve[epoch] = self.score(point.runs[0], epoch)
        return curve

    def score(self, run: str, epoch: int) -> float:
        """The real validation mIoU of a committed epoch."""
        if (run, epoch) not in self._scores:
            row = self._study.store.read_json(run, epoch, "metrics", "metrics.json")
            self._scores[run, epoch] = float(mean_iou(np.array(row["validation"]["real"]["points"])))
        return self._scores[run, epoch]

    def best(self, stage: Stage, count: int) -> list[Point]:
        """The points of a stage with the highest values, the best first, the earlier of equals."""
        values = [(value, point) for point in self.of(stage) if (value := self.value(point)) is not None]
        return [point for _, point in sorted(values, key=lambda pair: (-pair[0], pair[1].number))[:count]]

    def _is_done(self, run: str) -> bool:
        return self._study.schedule.is_there(run, self._study.config.finetune_epochs)

    def _failed(self, run: str) -> bool:
        return run in self._study.schedule.failures

    def _cell(self, drawn: Drawn, seed: int, number: int) -> Cell:
        variant = Variant.of(f"point-{number}", drawn.finetuning, drawn.pretraining)
        return Cell(**drawn.axes, seed=seed, variant=variant)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A recipe that a search ends with, at its setting; `seeds` are those that nothing was chosen by."""

    recipe: str
    stage: Stage
    cell: Cell
    seeds: tuple[int, ...]

    @property
    def cells(self) -> list[Cell]:
        return [replace(self.cell, seed=seed) for seed in self.seeds]


def judged(points: Points, seeds: Sequence[int], best: int) -> list[Judged]:
    """Of each stage the study's own recipe at the setting of the best point, and the best points, the best first.

    A point that has drawn no recipe field is the own recipe too: both are then the same cells.
    """
    found = []
    for stage in points.spaces:
        chosen = points.best(stage, best)
        cells = [(OWN_RECIPE, Cell(**point.drawn.axes, seed=seeds[0])) for point in chosen[:1]]
        cells += [(point.name, replace(point.cells[0], seed=seeds[0])) for point in chosen]
        found += [Judged(recipe=name, stage=stage, cell=cell, seeds=tuple(seeds)) for name, cell in cells]
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    """What an earlier start has drawn; points of the first version were nothing but axes."""
    bare: dict[str, Any] = {"finetuning": {}, "pretraining": {}, "stopped": None}
    try:
        records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        found = [record if "axes" in record else bare | {"axes": record} for record in records]
        if isinstance(records, list) and all(map(_is_record, found)):
            return found
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise UserError(
        "the record of what a search has drawn is damaged",
        where=path,
        wanted="a list of points, as the search wrote it",
        do="bring it back from a copy; or remove it: the search then draws anew, and trains nothing again that it "
        "happens to draw a second time",
    )


def _is_record(record: dict[str, Any]) -> bool:
    drawn = all(isinstance(record.get(key), dict) for key in ("axes", "finetuning", "pretraining"))
    return drawn and "pretrain_epochs" in record["axes"] and isinstance(record["stopped"], int | None)


def _record(point: Point) -> dict[str, Any]:
    return {
        "axes": point.drawn.axes,
        "finetuning": point.drawn.finetuning,
        "pretraining": point.drawn.pretraining,
        "stopped": point.stopped,
    }

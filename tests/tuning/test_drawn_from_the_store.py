"""A search whose points are all in the store already still draws as many as it was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from lidartune.transfer.plan import Cell, Plan
from lidartune.tuning.schedule import Schedule
from lidartune.tuning.search import RunSearch
from tests.runs.conftest import open_tiny, tiny_config

CELLS = [
    Cell(backbone="squeezesegv2", width=64, pretrain_epochs=epochs, freeze="none", labelled_scans=2, seed=0)
    for epochs in (0, 2, 5)
]


class OneAtATime:
    """Draws the next cell once the one before is settled, as a search with one slot does."""

    def __init__(self, plan: Plan):
        self.plan, self.drawn, self.settled = plan, 0, 0

    def draw(self) -> bool:
        if self.drawn == len(CELLS) or self.drawn > self.settled:
            return False
        self.plan.add(CELLS[self.drawn])
        self.drawn += 1
        return True

    def settle(self) -> None:
        self.settled = self.drawn


@pytest.mark.parametrize("there", [True, False])
def test_every_point_is_drawn_whether_or_not_its_runs_are_there(tiny_world: Any, there: bool) -> None:
    plan = open_tiny(tiny_config(tiny_world), CELLS[0]).plan
    plan = Plan(plan.config, plan.data)
    source = OneAtATime(plan)
    search = RunSearch(Schedule(plan, lambda run, epoch: there), source, lambda run, log: log)
    trial = 0
    while isinstance(suggestion := search.suggest(str(trial)), dict):
        for epoch in suggestion["epochs"]:
            search.on_trial_result(str(trial), {"epoch": epoch, "kept": True})
        search.on_trial_complete(str(trial), {"epoch": 0, "finished": True})
        trial += 1
    assert suggestion == RunSearch.FINISHED and source.drawn == len(CELLS) and (trial == 0) is there

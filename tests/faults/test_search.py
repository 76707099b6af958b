"""A search that is killed goes on to the same number of trials, and keeps what was finished."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from lidartune.streetworld import WorldFolder
from tests.study_process import Witness, finish, start, study_values, wait_for, write_study

pytestmark = pytest.mark.nightly

AXES = ["pretrain_epochs", "freeze"]
TRIALS = 4


def finished(results: Path) -> set[tuple[object, ...]]:
    """The cells of which every run is in the store as far as the cell needs it."""
    plan = results / "tiny" / "plan.json"
    cells = json.loads(plan.read_text())["cells"] if plan.exists() else []
    return {
        tuple(cell[axis] for axis in AXES)
        for cell in cells
        if all(
            (results / "runs" / role["run"] / f"epoch-{role['epoch']:06d}" / "test" / "commit.json").exists()
            for role in cell["roles"].values()
        )
    }


def test_a_killed_search_loses_no_finished_trial_and_reaches_the_same_total(
    tiny_world: WorldFolder, tmp_path: Path
) -> None:
    config = write_study(tmp_path, study_values(tiny_world, search={"sampler": "tpe", "trials": TRIALS}))
    results = tmp_path / "results"
    witness = Witness(results, tmp_path / "record")
    kept: set[tuple[object, ...]] = set()
    for count in (1, 2):
        process = start(config, results, faults=witness.faults)
        wait_for(lambda: len(finished(results)) >= count, process)  # noqa: B023
        process.kill()
        process.wait()
        assert not witness.lost()
        witness.look()
        assert kept <= finished(results)
        kept = finished(results)
    status, output = finish(start(config, results, faults=witness.faults))
    assert status == 0, output
    assert not witness.lost()
    gap = pd.read_csv(results / "tiny" / "report" / "gap.csv")
    found = list(zip(*(gap[axis] for axis in AXES), strict=True))
    assert len(found) == len(set(found)) == TRIALS and set(gap["status"]) == {"done"}
    assert kept <= set(found), "no finished trial is lost"

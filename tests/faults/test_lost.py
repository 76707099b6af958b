"""Workers and machines that are lost while a study runs: it ends with the same table, and says a line of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lidartune.streetworld import WorldFolder
from lidartune.tuning.lost import what_died
from tests.study_process import (
    Witness,
    commits,
    finish,
    hooked,
    lines_before_tables,
    same_tables,
    start,
    study_values,
    wait_for,
    write_study,
)

DEAD_ACTOR = "Failure # 1 (occurred at x)\nThe actor died unexpectedly.\n\tpid: 12\n\tip: 10.0.0.1\n"
WORDS = {
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR, (1) the OOM killer": (
        "its worker process 12 on 10.0.0.1 died"
    ),
    "The actor died because its node has died. Node Id: 61d8.": "the machine it ran on 10.0.0.1 was lost",
    "The actor f9 is unavailable: RpcError: Socket closed.": "its worker cannot be reached any more, or its machine",
    "The actor died because of an error raised in its creation task, ImportError": "its worker process could not start",
    "Task was killed due to the node running low on memory.": (
        "the memory of its machine was full, and Ray ended its worker process 12 on 10.0.0.1"
    ),
}


@pytest.mark.parametrize("reason", WORDS)
def test_what_died_is_said_in_a_few_words(reason: str) -> None:
    assert what_died(DEAD_ACTOR + reason) == WORDS[reason]


@pytest.mark.nightly
def test_workers_killed_inside_commits_are_tried_again(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    config, expected = undisturbed
    witness = Witness(tmp_path, tmp_path / "record")
    (tmp_path / "marks").mkdir()
    cuts = ["metrics/metrics", "test/scores", "state/optimizer", "state/commit", "timing/timing"]
    process = start(config, tmp_path, faults=witness.faults | {"cut": cuts, "cut_marks": str(tmp_path / "marks")})
    status, output = finish(process)
    assert status == 0, output
    assert len(list((tmp_path / "marks").iterdir())) == len(cuts)
    lines = lines_before_tables(output)
    assert sum(line.endswith(" died; it is tried again") for line in lines) == len(cuts), output
    assert len(lines) < 40 and "Traceback" not in output and "raylet" not in output
    assert not witness.lost() and commits(tmp_path).keys() == commits(expected).keys()
    same_tables(tmp_path, expected)


@pytest.mark.nightly
def test_a_worker_that_is_lost_again_and_again_is_a_failed_run_with_its_log(
    tiny_world: WorldFolder, tmp_path: Path
) -> None:
    config = write_study(tmp_path, study_values(tiny_world))
    witness = Witness(tmp_path, tmp_path / "record")
    status, output = finish(start(config, tmp_path, faults=witness.faults | {"lose": "64-synthetic-seed0"}))
    assert status == 2, output
    assert output.count("died; it is tried again") == 3 and "Traceback" not in output
    failures = json.loads((tmp_path / "tiny/failures.json").read_text())
    (failed,) = (run for run, failure in failures.items() if failure["kind"] == "failed")
    assert "64-synthetic-seed0" in failed and len(failures) > 3, "what needs it is blocked"
    reason = "its worker was lost more often than it is tried again; at last its worker process"
    assert f"failed  {failed}: {reason}" in output
    log = Path(failures[failed]["log"])
    assert f"log: {log}\n" in output and log.read_text().count("Failure # ") == 4
    cells = pd.read_csv(tmp_path / "tiny/report/cells.csv").set_index(["pretrain_epochs", "freeze"])
    assert cells.loc[(0, "none"), "status"] == "done" and cells.loc[(2, "none"), "status"] == "blocked"


@contextmanager
def two_machines() -> Iterator[Any]:
    """A Ray of two nodes on this machine; the second can be taken away."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        yield cluster, cluster.add_node(**small)
    finally:
        cluster.shutdown()


@pytest.mark.nightly
def test_a_machine_that_is_lost_leaves_its_runs_to_the_others(
    undisturbed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, expected = undisturbed
    witness = Witness(tmp_path, tmp_path / "record")
    for name, value in hooked(witness.faults).items():
        monkeypatch.setenv(name, value)
    with two_machines() as (cluster, second):
        process = start(config, tmp_path, "--address", cluster.address)
        wait_for(lambda: len(commits(tmp_path)) >= 8, process)
        witness.look()
        cluster.remove_node(second, allow_graceful=False)
        status, output = finish(process)
    assert status == 0, output
    assert len(lines_before_tables(output)) < 40 and "Traceback" not in output, output
    assert "machine" in output and "it is tried again" in output, output
    assert not witness.lost() and commits(tmp_path).keys() == commits(expected).keys()
    same_tables(tmp_path, expected)

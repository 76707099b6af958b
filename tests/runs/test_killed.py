"""Killed while it writes, or run beside another, a run ends with the same bits: in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lidartune.config.model import as_dict
from lidartune.runs.store import Store
from lidartune.runs.trajectory import missing_epochs
from lidartune.streetworld import WorldFolder

from .conftest import TinyStudy
from .killed import CELL
from .test_inside import EPOCHS, RECIPES, Straight, open_study
from .test_trajectory import results_of


def process(
    study: TinyStudy, results: Path, role: str, part: str = "-", event: str = "kill"
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.runs.killed", json.dumps(as_dict(study.config)), str(results), role]
    command += [str(EPOCHS), part, event]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture(scope="module")
def straight(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Straight:
    return Straight(open_study(tiny_world, RECIPES["all"]), tmp_path_factory.mktemp("straight"))


def test_killed_while_it_writes_it_goes_on_to_the_same_bits(straight: Straight, tmp_path: Path) -> None:
    """SIGKILL halfway through each of these files, one process after the other, in one results folder."""
    for cut in ("epoch-000001/inside-000002/weights", "epoch-000002/inside-000003/commit", "epoch-000002/state/commit"):
        ended = process(straight.study, tmp_path, "pretrained", cut)
        _, said = ended.communicate()
        assert ended.returncode == -9, said.decode()
    assert list(tmp_path.glob("runs/*/epoch-000002/inside-*"))
    assert straight.go_on(tmp_path) == straight.found
    assert not list(tmp_path.glob("runs/*/*/inside-*"))


def test_killed_right_after_its_last_state_it_is_carried_out_again_and_leaves_nothing_over(
    straight: Straight, tmp_path: Path
) -> None:
    """SIGKILL when the last epoch's state is committed, and what it stands in for still lies there."""
    ended = process(straight.study, tmp_path, "pretrained", "epoch-000002/state/commit", "kill-after")
    ended.communicate()
    store, run = Store(tmp_path), straight.milestone.run
    assert ended.returncode == -9 and store.epochs(run, "state") == [1, 2] and store.insides(run, 2) == [3]
    assert missing_epochs(store, run, [EPOCHS]) == [EPOCHS]
    assert straight.go_on(tmp_path) == straight.found
    assert store.epochs(run, "state") == [2] and not list(tmp_path.glob("runs/*/*/inside-*"))


@pytest.mark.parametrize(
    ("part", "before"), [("epoch-000002/state/commit", [1, 2]), ("epoch-000001/metrics/metrics", [1])]
)
def test_an_attempt_that_wakes_up_late_changes_nothing(
    straight: Straight, tmp_path: Path, part: str, before: list[int]
) -> None:
    """It stands still just before it writes that file, until another attempt has carried out the whole run."""
    late = process(straight.study, tmp_path, "pretrained", part, "wait")
    while not (tmp_path / "waits").exists():
        assert late.poll() is None, late.communicate()[1].decode()
        time.sleep(0.02)
    assert straight.go_on(tmp_path) == straight.found
    commits = {path: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.glob("runs/*/*/*/commit.json")}
    (tmp_path / "go-on").touch()
    epochs, said = late.communicate()
    assert late.returncode == 0, said.decode()
    for path, (content, number) in commits.items():
        assert (path.read_bytes(), path.stat().st_ino) == (content, number), "the first commit stays"
    trained = [int(line.split()[0]) for line in epochs.splitlines() if line.endswith(b" trained")]
    assert trained == before, "what the other has committed is not trained again"
    assert straight.go_on(tmp_path) == straight.found


def test_four_at_once_and_one_after_the_other_in_any_order_give_the_same_bits(
    straight: Straight, tmp_path: Path
) -> None:
    """In processes of their own, as trials are: threads of one process would share torch's random generator."""
    study, roles = straight.study, ("pretrained", "scratch")
    running = [process(study, tmp_path / f"at once {copy}", role) for copy in (0, 1) for role in roles]
    for ended in running:
        _, said = ended.communicate()
        assert ended.returncode == 0, said.decode()
    for order in (roles, roles[::-1]):
        for role in order:
            results = tmp_path / "-".join(order)
            study.trajectory(study.plan.roles[CELL][role], results).carry_out([EPOCHS], lambda done: None)
    for role in roles:
        run = study.plan.roles[CELL][role].run
        found = [results_of(results, run, EPOCHS) for results in tmp_path.iterdir()]
        assert len(found) == 4 and all(one == found[0] for one in found)

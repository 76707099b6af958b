"""Studies whose driver is killed at random moments, again and again: 20 times, or as often as KILLS says."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.study_process import Witness, commits, finish, kill, same_tables, start, stored_files

pytestmark = pytest.mark.nightly

FILES_BETWEEN = 60  # kills, at most


def test_every_table_is_that_of_a_study_nobody_disturbed(
    undisturbed: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints a line a kill; SEED draws the moments of an earlier run again."""
    seed, asked = int(os.environ.get("SEED", time.time())), int(os.environ.get("KILLS", 20))

    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    say(f"\n{asked} kills at moments drawn from SEED={seed}")
    moments, kills, study = random.Random(seed), 0, 0
    while kills < asked:
        study += 1
        kills = one_study(undisturbed, tmp_path / f"study-{study}", moments, kills, asked, say)
    say(f"{kills} kills in {study} studies: nothing lost, nothing twice, every table as it should be")


def one_study(
    undisturbed: tuple[Path, Path],
    results: Path,
    moments: random.Random,
    kills: int,
    asked: int,
    say: Callable[[str], None],
) -> int:
    """Runs a study to its end, killed on its way as long as kills are left; returns how many there were by then."""
    config, expected = undisturbed
    witness = Witness(results, results.with_suffix(".record"))
    while kills < asked and killed(start(config, results, faults=witness.faults), results, moments):
        kills += 1
        before, lost = len(witness.commits), witness.lost()
        witness.look()
        say(f"kill {kills}: {results.name} had {before} commits and has {len(witness.commits)}, lost: {lost or 'none'}")
        assert not lost
    status, output = finish(start(config, results, faults=witness.faults))
    assert status == 0, output
    assert not witness.lost()
    assert commits(results).keys() == commits(expected).keys()
    same_tables(results, expected)
    return kills


def killed(process: subprocess.Popen[str], results: Path, moments: random.Random) -> bool:
    """Kills the driver at a random moment: after some files more, or while it starts; False where it ended before."""
    files, seconds = stored_files(results) + moments.randrange(FILES_BETWEEN), moments.uniform(0, 0.5)
    if moments.random() < 0.1:
        files, seconds = 0, moments.uniform(0, 10)
    while stored_files(results) < files and process.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is not None:
        kill(process)
        return False
    process.kill()  # the driver alone: what it started may write on for a bit
    process.wait()
    return True

"""Studies whose driver is killed at random moments, again and again: `python -m tests.faults.killed_often --kills 20`.

Prints a line a kill, and fails where something committed was trained again or changed, or a table is another one.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lidartune.streetworld import write_world
from tests.conftest import TINY_WORLD
from tests.study_process import (
    Witness,
    commits,
    finish,
    kill,
    same_tables,
    start,
    stored_files,
    study_values,
    write_study,
)

CLOSE = 40  # files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="draws the moments; by default another each")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    moments = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="lidartune-kills-") as name:
        folder = Path(name)
        world = write_world(TINY_WORLD, folder / "world", processes=1, progress=False)
        config = write_study(folder, study_values(world))
        status, output = finish(start(config, folder / "expected"))
        assert status == 0, output
        kills = study = 0
        while kills < asked.kills:
            study += 1
            kills = _one_study(config, folder, f"study-{study}", moments, kills, asked.kills)
    print(f"{kills} kills of {study} studies: every table as that of a study nobody disturbed", flush=True)
    return 0


def _one_study(config: Path, folder: Path, name: str, moments: random.Random, kills: int, last: int) -> int:
    """Runs a study to its end, killed on its way as long as kills are left; returns how many there were by then."""
    results = folder / name
    witness = Witness(results, folder / f"{name}.record")
    while kills < last and _killed(start(config, results, faults=witness.faults), results, moments):
        kills += 1
        before, lost = len(witness.commits), witness.lost()
        witness.look()
        print(f"kill {kills}, {name}: {before} commits were there, now {len(witness.commits)}", flush=True)
        assert not lost, lost
    status, output = finish(start(config, results, faults=witness.faults))
    assert status == 0, output
    assert not witness.lost(), witness.lost()
    assert commits(results).keys() == commits(folder / "expected").keys()
    same_tables(results, folder / "expected")
    return kills


def _killed(process: subprocess.Popen[str], results: Path, moments: random.Random) -> bool:
    """Kills the driver at a random moment: after some files more, or while it starts; False where it ended before."""
    files, seconds = stored_files(results) + moments.randrange(CLOSE), moments.uniform(0, 0.5)
    if moments.random() < 0.1:
        files, seconds = 0, moments.uniform(0, 10)
    while stored_files(results) < files and process.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is not None:
        kill(process)
        return False
    process.kill()
    process.wait()
    return True


if __name__ == "__main__":
    sys.exit(main())

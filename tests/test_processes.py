"""Work in several processes: the order of the jobs, memory that stays, failures and interrupts that end it all."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lidartune.errors import UserError
from lidartune.processes import AHEAD, in_processes


def slow_when_even(number: int) -> int:
    time.sleep(0.02 * (number % 2 == 0))
    return number * number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise UserError("three", where="job", do="leave three out")
    return number


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_jobs(processes: int) -> None:
    seen: list[tuple[int, int]] = []
    results = in_processes(
        slow_when_even, range(9), processes=processes, progress=lambda done, total: seen.append((done, total))
    )
    assert list(results) == [(n, n * n) for n in range(9)]
    assert seen == [(n, 9) for n in range(1, 10)]


def test_jobs_are_taken_only_as_they_are_needed() -> None:
    taken = []

    def jobs() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    first = list(itertools.islice(in_processes(slow_when_even, jobs(), processes=2, progress=False), 3))
    assert first == [(0, 0), (1, 1), (2, 4)]
    assert len(taken) <= 2 * AHEAD + 3


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_job_raises_is_raised_here(processes: int) -> None:
    results = in_processes(fail_at_three, range(50), processes=processes, progress=False)
    with pytest.raises(UserError, match=r"three\n  where:  job\n  next:   leave three out") as error:
        list(results)
    assert error.value.what == "three"


def test_an_interrupt_ends_all_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, time
            from lidartune.processes import in_processes

            def work(number):
                open(f"{os.environ['PIDS']}/{os.getpid()}", "w").close()
                time.sleep(0.05)
                return number

            if __name__ == "__main__":
                for _ in in_processes(work, range(100_000), processes=2, progress=False):
                    print("one", flush=True)
            """
        )
    )
    folder = tmp_path / "pids"
    folder.mkdir()
    started = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PIDS": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert started.stdout is not None and started.stdout.readline() == b"one\n"
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: every process of the group gets it
    _, errors = started.communicate(timeout=60)
    assert started.returncode not in (0, None)
    assert errors.count(b"KeyboardInterrupt") <= 2 and b"Process SpawnProcess" not in errors
    for pid in folder.iterdir():
        assert not Path(f"/proc/{pid.name}").exists(), "a process stayed behind"

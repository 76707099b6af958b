"""Work in several processes: the order of the jobs, memory that stays, failures and interrupts that end it all."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lidartune import processes
from lidartune.errors import UserError
from lidartune.processes import AHEAD, beside, in_processes


def slow_when_even(number: int) -> int:
    time.sleep(0.02 * (number % 2 == 0))
    return number * number


def end_at_once(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


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


@pytest.mark.parametrize("processes", [1, 2])
def test_work_goes_on_beside_the_body(processes: int) -> None:
    with beside(slow_when_even, range(9), processes=processes) as results:
        assert list(results) == [n * n for n in range(9)]
    with pytest.raises(UserError, match="three"), beside(fail_at_three, range(9), processes=processes) as results:
        list(results)


def test_a_process_beside_that_is_killed_is_one_message() -> None:
    died = pytest.raises(UserError, match="a process that shared the work died")
    with died, beside(end_at_once, range(9), processes=2) as results:
        list(results)


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


SCRIPT = """
import os, sys, time
from lidartune.processes import in_processes

def work(number):
    open(f"{os.environ['PIDS']}/{os.getpid()}", "w").close()
    time.sleep(0.05)
    return number

if __name__ == "__main__":
    print("starting", flush=True)
    try:
        for _ in in_processes(work, range(100_000), processes=2, progress=False):
            print("one", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def script(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A script at work in two processes, in a group of its own as on a terminal; and the folder of their ids."""
    (tmp_path / "script.py").write_text(SCRIPT)
    folder = tmp_path / "pids"
    folder.mkdir()
    started = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        env=os.environ | {"PIDS": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert started.stdout is not None and started.stdout.readline() == b"starting\n"
    yield started, folder
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)


def alive(folder: Path) -> list[str]:
    """Workers that still run; one that has ended and waits for a parent to ask does not."""
    found = []
    for pid in (path.name for path in folder.iterdir()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


def test_an_interrupt_ends_all_processes_without_a_word(script: tuple[subprocess.Popen, Path]) -> None:
    started, folder = script
    assert started.stdout is not None and started.stdout.readline() == b"one\n"
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: every process of the group gets it
    _, errors = started.communicate(timeout=60)
    assert (started.returncode, errors) == (130, b"")
    assert any(folder.iterdir()) and not alive(folder), "a process stayed behind"


@pytest.mark.parametrize("delay_ms", [50, 100, 150, 300])
def test_an_interrupt_while_the_processes_start_is_as_quiet(
    script: tuple[subprocess.Popen, Path], delay_ms: int
) -> None:
    started, folder = script
    time.sleep(delay_ms / 1000)
    os.killpg(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert (started.returncode, errors) == (130, b"")
    assert not alive(folder)


def test_processes_end_with_a_parent_that_is_killed(script: tuple[subprocess.Popen, Path]) -> None:
    started, folder = script
    assert started.stdout is not None and started.stdout.readline() == b"one\n"
    assert alive(folder)
    started.kill()
    started.wait(timeout=60)
    until = time.monotonic() + 10
    while alive(folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(folder)


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0.0, 12.5)
    monkeypatch.setattr(processes.time, "monotonic", lambda: next(clock))
    with processes.reporter(True, 4541, "scans") as report:
        for done in range(1, 10):
            report(done, 4541)
        report(4541, 4541)
    assert capsys.readouterr().err.splitlines() == [
        "scans: 3 of 4,541, 15.8 h left", "scans: 6 of 4,541, 15.7 h left", "scans: 9 of 4,541, 15.7 h left",
    ]  # fmt: skip
    with processes.reporter(True, 0, "scans") as report:
        for done in range(1, 4):
            report(done, 0)
    assert capsys.readouterr().err == "scans: 3 done\n"


def test_what_was_done_before_does_not_make_the_rest_seem_quicker(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0.0, 30.0)
    monkeypatch.setattr(processes.time, "monotonic", lambda: next(clock))
    with processes.reporter(True, 1010, "scans") as report:
        report(1001, 1010)
        report(1002, 1010)
    assert capsys.readouterr().err.splitlines()[-1] == "scans: 1,002 of 1,010, 4 min left"


def test_short_work_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    list(in_processes(slow_when_even, range(4), processes=1))
    assert capsys.readouterr() == ("", "")

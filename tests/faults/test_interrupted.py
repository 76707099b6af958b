"""Ctrl-C and SIGTERM at a terminal and off it: a clean stop or an end at once, and the same command goes on."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

import pytest

from lidartune.streetworld import WorldFolder
from tests.study_process import (
    PATIENCE_S,
    Witness,
    command,
    commits,
    finish,
    hooked,
    same_tables,
    start,
    study_values,
    wait_for,
    write_study,
)

pytestmark = pytest.mark.nightly


def on_terminal(arguments: list[str], environment: dict[str, str], act: Callable[[int, str], None]) -> tuple[int, str]:
    """Runs a command at a terminal of 40 lines and 160 columns; `act` may type, and sees what was printed so far."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(sys.executable, arguments, os.environ | environment)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    printed, deadline = b"", time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                printed += os.read(terminal, 65536)
            except OSError:
                break
        act(terminal, printed.decode(errors="replace"))
    else:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), printed.decode(errors="replace")


class Presses:
    """Presses Ctrl-C once the table is there and something is committed; as often as asked, each after an answer."""

    def __init__(self, results: Path, often: int):
        self._results, self._often, self.pressed = results, often, 0

    def __call__(self, terminal: int, printed: str) -> None:
        at_work = "scans/s" in printed and commits(self._results)
        if at_work and self.pressed < self._often and printed.count("stopping ...") == self.pressed:
            os.write(terminal, b"\x03")
            self.pressed += 1


def test_ctrl_c_at_a_terminal_stops_it_and_twice_ends_it_at_once_and_it_goes_on_to_the_same_table(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    config, expected = undisturbed
    witness = Witness(tmp_path, tmp_path / "record")
    for often, word in ((1, "interrupted"), (2, "ended at once")):
        status, printed = on_terminal(
            command(config, tmp_path), hooked(witness.faults), Presses(tmp_path, often)
        )
        assert status == 130, printed
        assert printed.count("stopping ... (once more ends it at once)") == 1 and "Traceback" not in printed
        assert f"{word}; what is committed stays, and the same command goes on from there" in printed
        assert printed.rindex("\x1b[?25h") > printed.rindex("\x1b[?25l"), "the cursor is back"
        assert not witness.lost()
        witness.look()
    status, printed = on_terminal(command(config, tmp_path), hooked(witness.faults), lambda terminal, so_far: None)
    assert status == 0, printed
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed)
    assert re.search(r"running +epoch +synthetic +real +scans/s +left", plain)
    running = r"squeezesegv2-64-\S+ +\d/\d +\d+\.\d +\d+\.\d +\d+\.\d +(\?|\d+ )"
    assert re.search(running, plain), "a line of a running trial"
    assert re.search(r"━+.* +\d+ %  \d+ of \d+ epochs", plain), "a bar"
    assert not witness.lost()
    same_tables(tmp_path, expected)


def test_sigterm_stops_it_as_ctrl_c_does(tiny_world: WorldFolder, tmp_path: Path) -> None:
    values = study_values(tiny_world)
    values["recipe"]["updates_per_epoch"] = 200
    process = start(write_study(tmp_path, values), tmp_path / "results")
    wait_for(lambda: commits(tmp_path / "results"), process)
    process.send_signal(signal.SIGTERM)
    status, output = finish(process)
    assert status == 130 and "interrupted; what is committed stays" in output and "Traceback" not in output, output

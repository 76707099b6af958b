"""Ctrl-C: an answer at once, and at the end what is left of the work, for each command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import sys, time
    from pathlib import Path
    import click
    from lidartune import cli

    def wait(**values):
        try:
            print("at work", flush=True)
            time.sleep(60)
        finally:
            sys.stdin.readline()

    command = cli.study_command(Path("demo.yaml"))
    command.callback = wait
    for one in cli.lidartune.commands.values():
        one.callback, one.params = wait, []
    cli.run(command if sys.argv[1:] == [] else cli.lidartune)
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "what is committed stays, and the same command goes on from there"),
        (["stats"], "what was measured is kept, and the same command goes on from there"),
        (["predict"], "the predictions written so far stay, and the same command goes on from there"),
        (["check"], "the same command starts from the beginning"),
        (["simulate"], "the same command starts from the beginning"),
        (["show"], "the same command starts from the beginning"),
        (["evaluate"], "the same command starts from the beginning"),
    ],
    ids=lambda value: value[0] if value and isinstance(value, list) else None,
)
def test_an_interrupt_is_answered_at_once_and_says_what_is_left(arguments: list[str], said: str) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert started.stdout is not None and started.stderr is not None
    assert started.stdout.readline() == b"at work\n"
    started.send_signal(signal.SIGINT)
    first = os.read(started.stderr.fileno(), 100)  # before what takes its time is put away: that waits for a line
    assert first == b"\nstopping ... (once more ends it at once)"
    _, rest = started.communicate(b"\n", timeout=30)
    assert (started.returncode, rest.decode()) == (130, f"\ninterrupted; {said}\n")


@pytest.mark.parametrize("second", [None, signal.SIGINT, signal.SIGTERM])
def test_sigterm_is_an_interrupt_and_the_second_ends_it_at_once(second: signal.Signals | None) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert started.stdin is not None and started.stdout is not None and started.stderr is not None
    assert started.stdout.readline() == b"at work\n"
    started.send_signal(signal.SIGTERM)
    os.read(started.stderr.fileno(), 100)
    if second is None:
        started.stdin.write(b"\n")
        started.stdin.flush()
    else:
        started.send_signal(second)
    word = "interrupted" if second is None else "ended at once"
    rest = started.stderr.read()
    started.wait(30)
    said = "what is committed stays, and the same command goes on from there"
    assert (started.returncode, rest.decode()) == (130, f"\n{word}; {said}\n")

"""A results folder that is full, or may only be read: one message, and the same command goes on when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study_process import Witness, commits, finish, same_tables, start

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk"),
]


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB for the results."""
    folder = tmp_path / "results"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=3m", "none", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_study_with_one_message_and_room_lets_it_go_on(
    disk: Path, undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    config, expected = undisturbed
    witness = Witness(disk, tmp_path / "record")
    status, output = finish(start(config, disk, faults=witness.faults))
    assert status == 1, output
    assert output.count("error: the results folder cannot be written") == 1 and "Traceback" not in output, output
    assert "No space left on device" in output and "the same command" in output
    assert len(output.splitlines()) < 40
    witness.look()
    assert 0 < len(witness.commits) < len(commits(expected))

    mount("-o", "remount,size=64m", str(disk))
    status, output = finish(start(config, disk, faults=witness.faults))
    assert status == 0, output
    assert not witness.lost() and commits(disk).keys() == commits(expected).keys()
    same_tables(disk, expected)

    mount("-o", "remount,ro", str(disk))
    status, output = finish(start(config, disk))
    assert status == 1 and output.startswith("error: the results folder cannot be written"), output
    assert "Read-only file system" in output and len(output.splitlines()) < 6

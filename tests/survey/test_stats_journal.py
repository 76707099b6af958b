"""Measurements that were killed, interrupted or disturbed, and what the next one makes of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.scans import (
    Taxonomy,
    load_taxonomy,
    write_labels,
    write_points,
)
from lidartune.survey import stats as measuring
from lidartune.survey.stats_journal import Journal
from tests.survey.measuring import CANVAS, measured, run, written

SLOW = """
import sys, time
from lidartune.cli import run
from lidartune.cli.stats import stats
from lidartune.survey import stats as measuring

def slowly(*arguments):
    time.sleep(0.02)
    return fast(*arguments)

measuring.CHUNK = 2
fast, measuring._sums_of = measuring._sums_of, slowly
if __name__ == "__main__":
    run(stats)
"""


def test_killed_at_any_time_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = written(load_taxonomy("semantic-kitti"), tmp_path / "data", sequences=3, scans=20)
    script, reference, output = tmp_path / "slow.py", tmp_path / "reference.yaml", tmp_path / "out" / "data.yaml"
    script.write_text(SLOW)
    measured(folder, "semantic-kitti", reference)
    journal, rng = output.with_name("data.yaml.partial"), random.Random(5)
    command = [sys.executable, script, folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS]
    resumed = 0
    for processes in (1, 2, 1):
        started = subprocess.Popen(
            [*command, "--processes", str(processes)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        size, deadline = journal.stat().st_size if journal.exists() else 0, time.monotonic() + 20
        while not (journal.exists() and journal.stat().st_size > size) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        started.send_signal(signal.SIGKILL)
        _, errors = started.communicate(timeout=10)  # it ends only when the processes it started have ended too
        assert started.returncode == -signal.SIGKILL
        assert [p.name for p in output.parent.iterdir()] == [journal.name]
        resumed += "going on after" in errors
    last = run(folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1)
    assert last.exit_code == 0 and "going on after" in last.output and resumed == 2
    assert output.read_bytes() == reference.read_bytes()
    assert [p.name for p in output.parent.iterdir()] == ["data.yaml"]


class Stop(Exception):
    """What interrupts a measurement in a test."""


def stopped_after(count: int, folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch, *options: object) -> None:
    whole = measuring._sums_of
    left = iter(range(count))

    def some(*arguments: object) -> object:
        if next(left, None) is None:
            raise Stop
        return whole(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(measuring, "_sums_of", some)
        run(folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1, *options)


def test_it_goes_on_only_with_the_same_files_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data"), tmp_path / "o.yaml"
    command = (folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1)
    stopped_after(4, folder, output, monkeypatch)
    assert "going on after 4 of 6 scans" in run(*command).output
    whole = output.read_bytes()

    label = folder / "sequences" / "00" / "labels" / "000001.label"
    for change in ("settings", "sequences", "contents", "a scan more", "damage"):
        stopped_after(4, folder, output, monkeypatch)
        options: list[object] = []
        said = "starting anew"
        if change == "settings":
            options = ["--fov-up", "4"]
        elif change == "sequences":
            options = ["--sequences", "1"]
        elif change == "contents":  # another label, as many bytes
            write_labels(label, np.full(320, 99))
        elif change == "a scan more":
            write_points(folder / "sequences/01/velodyne/000009.bin", np.ones((1, 4)))
            write_labels(folder / "sequences/01/labels/000009.label", np.array([10]))
        else:
            journal = tmp_path / "o.yaml.partial"
            journal.write_bytes(journal.read_bytes().replace(b'"done": 4', b'"done": 5'))
            said = "is damaged: starting anew"
        result = run(*command, *options)
        assert said in result.output and result.exit_code == 0, change
        fresh = tmp_path / "fresh.yaml"
        run(folder, "--taxonomy", "semantic-kitti", "-o", fresh, *CANVAS, "--processes", 1, *options)
        assert output.read_bytes() == fresh.read_bytes(), change
        if change in ("contents", "settings"):
            assert output.read_bytes() != whole
        whole = output.read_bytes()


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data"), tmp_path / "o.yaml"
    measured(folder, "semantic-kitti", tmp_path / "whole.yaml")
    monkeypatch.setattr(measuring, "CHUNK", 1)
    stopped_after(4, folder, output, monkeypatch)
    journal = tmp_path / "o.yaml.partial"
    journal.write_bytes(journal.read_bytes()[:-40])
    stopped_after(1, folder, output, monkeypatch)  # goes on after 3, and its line stands behind the torn one
    result = run(folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1)
    assert "going on after 4 of 6 scans" in result.output
    assert output.read_bytes() == (tmp_path / "whole.yaml").read_bytes()


def test_unknown_ids_are_found_while_counting_and_skipping_goes_on_from_there(tmp_path: Path) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data"), tmp_path / "o.yaml"
    label = folder / "sequences/01/labels/000001.label"
    good = label.read_bytes()
    write_labels(label, np.full(320, 77))
    command = (folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1)
    with pytest.raises(UserError, match=r"(?s)1 of 6 scans.*01/000001: label ids.*id 77 \(320 points\)"):
        run(*command)
    assert not output.exists() and (tmp_path / "o.yaml.partial").exists()
    result = run(*command, "--skip-faulty")
    assert "going on after 6 of 6 scans" in result.output and "01/000001: label ids" in result.output
    assert yaml.safe_load(output.read_text())["scans"] == 5
    label.write_bytes(good)
    assert measured(folder, "semantic-kitti", output)["scans"] == 6


def test_a_faulty_scan_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read error that passes, such as a network disk's, must not stay in the journal."""
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data"), tmp_path / "o.yaml"
    command = (folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1)
    monkeypatch.setattr(measuring, "CHUNK", 1)
    whole = measuring._sums_of

    def failing(taxonomy: Taxonomy, sensor: Sensor, scan: object) -> object:
        if getattr(scan, "name", "") == "000001":
            return measuring.Fault("00/000001", "Input/output error")
        return whole(taxonomy, sensor, scan)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(UserError, match="Input/output error"):
        patch.setattr(measuring, "_sums_of", failing)
        run(*command)
    result = run(*command)
    assert "going on after 1 of 6 scans" in result.output
    assert yaml.safe_load(output.read_text())["scans"] == 6


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data", scans=1), tmp_path / "o.yaml"
    with Journal(output), pytest.raises(UserError, match="another process"):
        measured(folder, "semantic-kitti", output)
    assert os.listdir(tmp_path) == ["data"]

"""Studies whose results lie in a bucket: the same tables, one driver, one message where the bucket cannot be used."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib import request

import pytest

from lidartune.errors import UserError
from lidartune.runs.mirror import study_folder
from lidartune.runs.s3 import S3Files
from lidartune.streetworld import WorldFolder
from lidartune.tuning import bucket_lock
from tests.bucket import server
from tests.study_process import SEARCH, command, finish, kill, start, study_values, write_study
from tests.test_study import refused, same_in_bucket

SMALL: dict[str, Any] = {"width": [64], "pretrain_epochs": [0, 1], "freeze": ["none"], "labelled_scans": [2]}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIDARTUNE_CACHE", str(tmp_path / "cache"))


# -- refused at the start, in seconds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ("s3://AKIA7:hunter2@bucket/x", "no credentials"),
        ("s3://nobody-made-this-one/x", "no such bucket"),
        ("gs://bucket/x", "to a folder or to S3"),
    ],
)
def test_results_that_cannot_be_used_are_refused_at_the_start(
    tiny_world: WorldFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], bucket: str, results: str, said: str
) -> None:
    began = time.monotonic()
    error = refused(study_values(tiny_world), tmp_path, capsys, "--results", results)
    assert said in error and "hunter2" not in error and time.monotonic() - began < 30


def test_a_server_that_is_away_is_named_within_seconds(
    tiny_world: WorldFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    error = refused(study_values(tiny_world), tmp_path, capsys, "--results", f"{bucket}/x")
    assert "does not answer" in error and "http://127.0.0.1:9" in error and time.monotonic() - began < 30


# -- one driver -----------------------------------------------------------------------------------------------------


def test_a_second_driver_is_refused_and_one_that_is_gone_is_followed(bucket: str) -> None:
    files = S3Files(bucket)
    own = bucket_lock.hold(files)
    with pytest.raises(UserError, match=rf"another study is running[\s\S]*process {os.getpid()} on") as refusal:
        bucket_lock.hold(files)
    bucket_lock.let_go(files, own)

    ended = subprocess.Popen(["true"])
    ended.wait()
    gone = json.loads(own) | {"pid": ended.pid, "begun": 1}
    files.write(bucket_lock.LOCK, json.dumps(gone).encode())
    own = bucket_lock.hold(files)
    assert json.loads(own)["pid"] == os.getpid()

    files.write(bucket_lock.LOCK, json.dumps(gone | {"machine": "elsewhere", "host": "far"}).encode())
    bucket_lock.let_go(files, own)  # it is somebody else's now
    with pytest.raises(UserError, match="on far, since") as refusal:
        bucket_lock.hold(files)
    line = str(refusal.value).rpartition("certain: python -c ")[2]
    subprocess.run([sys.executable, "-c", line.strip().strip("'")], check=True)
    bucket_lock.let_go(files, bucket_lock.hold(files))
    assert files.read(bucket_lock.LOCK) is None


def test_a_driver_whose_process_is_hidden_is_not_taken_for_gone(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc with hidepid shows nobody another user's processes."""
    files, ended = S3Files(bucket), subprocess.Popen(["true"])
    own = json.loads(bucket_lock.hold(files))
    ended.wait()
    monkeypatch.setattr(bucket_lock, "_begun", lambda pid: None)
    with pytest.raises(UserError, match="another study is running"):
        bucket_lock.hold(files)
    files.write(bucket_lock.LOCK, json.dumps(own | {"pid": ended.pid}).encode())
    bucket_lock.let_go(files, bucket_lock.hold(files))


# -- a study's folder from elsewhere --------------------------------------------------------------------------------


def test_keys_that_lead_out_of_the_mirror_are_not_followed(bucket: str, tmp_path: Path) -> None:
    files = S3Files(bucket)
    plan = {"schema": 1, "cells": [{"roles": {"scratch": {"run": "a", "epoch": 1}}}]}
    files.write("tiny/plan.json", json.dumps(plan).encode())
    for path in ("tiny/../../../escaped", "runs/a/epoch-000001/../../../../escaped", "runs/a/epoch-000001/test/x.json"):
        files.write(path, b"x")
    folder = study_folder(f"{bucket}/tiny")
    assert (folder.parent / "runs/a/epoch-000001/test/x.json").read_bytes() == b"x"
    assert not list(tmp_path.rglob("escaped"))
    files.remove("runs/a/epoch-000001/test/x.json")
    study_folder(f"{bucket}/tiny")
    assert not (folder.parent / "runs/a/epoch-000001/test/x.json").exists()


def test_a_folder_of_a_bucket_without_a_study(bucket: str) -> None:
    with pytest.raises(UserError, match="not the folder of a study"):
        study_folder(f"{bucket}/nothing")


# -- at length ------------------------------------------------------------------------------------------------------


def _wait(condition: Callable[[], bool], what: str, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def _committed(files: S3Files, kind: str) -> dict[str, bytes | None]:
    wanted = f"/{kind}/commit.json"
    return {entry.path: files.read(entry.path) for entry in files.entries("runs") if entry.path.endswith(wanted)}


@pytest.mark.nightly
def test_killed_and_run_again_it_gives_the_table_of_a_folder(
    tiny_world: WorldFolder, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = study_values(tiny_world)
    values["recipe"]["updates_per_epoch"] = 10
    config = write_study(tmp_path, values)
    files = S3Files(f"{bucket}/results")
    status, output = finish(start(config, tmp_path / "local"))
    assert status == 0, output
    process = start(config, files.uri)
    _wait(lambda: files.read(bucket_lock.LOCK) is not None, "the lock")
    status, output = finish(start(config, files.uri))
    assert status == 1 and f"process {process.pid} on" in output and "Traceback" not in output, output
    _wait(lambda: len(_committed(files, "state")) >= 3, "three epochs")
    kill(process)
    before = _committed(files, "metrics")
    assert 3 <= len(before) < len(list((tmp_path / "local").glob("runs/*/*/metrics/commit.json")))
    status, output = finish(start(config, files.uri))
    assert status == 0, output
    after = _committed(files, "metrics")
    assert {path: after[path] for path in before} == before, "what was committed is not trained again"
    same_in_bucket(files, tmp_path / "local" / "tiny" / "report")

    # On a machine that has never seen it nothing is trained again.
    monkeypatch.setenv("LIDARTUNE_CACHE", str(tmp_path / "another machine"))
    entries = {entry.path: entry for entry in files.entries("runs")}
    status, output = finish(start(config, files.uri))
    assert status == 0 and "in the store already" in output, output
    assert {entry.path: entry for entry in files.entries("runs")} == entries
    same_in_bucket(files, tmp_path / "local" / "tiny" / "report")


@pytest.mark.nightly
def test_a_search_is_killed_and_goes_on_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    config, files = SEARCH.with_name("search-smoke.yaml"), S3Files(f"{bucket}/results")
    process = start(config, files.uri, script=SEARCH)
    _wait(lambda: any("-real-" in path for path in _committed(files, "metrics")), "a point's first epoch")
    kill(process)
    before, drawn = _committed(files, "metrics"), json.loads(files.read("search-smoke/search.json") or b"")
    elsewhere = {"LIDARTUNE_CACHE": str(tmp_path / "another machine")}
    asked = subprocess.run(command(config, files.uri, "--plan", script=SEARCH), env=os.environ | elsewhere, text=True,
                           stdout=subprocess.PIPE)  # fmt: skip
    assert f"{len(drawn)} are drawn" in asked.stdout, asked.stdout
    status, output = finish(start(config, files.uri, script=SEARCH))
    assert status == 0 and "Traceback" not in output and "What the search comes to" in output, output
    assert {path: _committed(files, "metrics")[path] for path in before} == before
    after = json.loads(files.read("search-smoke/search.json") or b"")
    assert len(after) == 4 and [point["axes"] for point in after[: len(drawn)]] == [point["axes"] for point in drawn]
    for name in ("report/judged.csv", "report/index.html", "optuna.log"):
        assert files.read(f"search-smoke/{name}"), name


@pytest.mark.nightly
def test_tensorboard_shows_the_bucket_and_the_copy_alike(
    tiny_world: WorldFolder, tmp_path: Path, bucket: str
) -> None:
    config = write_study(tmp_path, study_values(tiny_world, grid=SMALL | {"seed": [0]}))
    status, output = finish(start(config, f"{bucket}/results"))
    assert status == 0, output
    copy = next(line.split("--logdir ")[1] for line in output.splitlines() if "--logdir" in line)
    shown = [_tensorboard(place) for place in (copy.strip(), f"{bucket}/results/tiny/tensorboard")]
    assert shown[0] == shown[1]
    (runs,) = {tuple(sorted(found)) for found in shown}
    assert len(runs) == len(S3Files(f"{bucket}/results").names("runs"))


def _tensorboard(logdir: str) -> dict[str, list[list[float]]]:
    """Run -> its real validation mIoU, as [step, value], by TensorBoard's own HTTP interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("tensorboard")
    command = [str(program), "--logdir", logdir, "--host", "127.0.0.1", "--port", str(port)]
    shown = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base, tag = f"http://127.0.0.1:{port}/data/plugin/scalars", "miou validation/real points"

    def ask(path: str) -> Any:
        try:
            with request.urlopen(base + path, timeout=20) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return {}

    def tagged() -> list[str]:
        return [name for name, tags in ask("/tags").items() if tag in tags]

    try:
        last = -1
        _wait(lambda: len(tagged()) > 0, f"runs in {logdir}")
        while len(tagged()) != last:  # it loads one run after the other
            last = len(tagged())
            time.sleep(3)
        query = request.quote(tag)
        return {name: [row[1:] for row in ask(f"/scalars?tag={query}&run={request.quote(name)}")] for name in tagged()}
    finally:
        shown.send_signal(signal.SIGKILL)
        shown.wait()


@pytest.mark.nightly
def test_a_server_that_goes_away_fails_runs_with_a_line_and_the_same_command_goes_on(
    tiny_world: WorldFolder, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended for good in the middle: moto's forgets what it held. The next one has the bucket, empty."""
    config = write_study(tmp_path, study_values(tiny_world))
    uri = "s3://" + "goes-away"
    with server() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        files = S3Files(uri)
        files._client.create_bucket(Bucket=files.bucket)
        process = start(config, f"{uri}/results")
        _wait(lambda: len(_committed(S3Files(f"{uri}/results"), "state")) >= 2, "two epochs")
    status, output = finish(process)
    assert status in (1, 2) and "does not answer" in output and "Traceback" not in output, output
    with server(int(address.rpartition(":")[2])):
        S3Files(uri)._client.create_bucket(Bucket=files.bucket)
        status, output = finish(start(config, f"{uri}/results"))
        assert status == 0, output



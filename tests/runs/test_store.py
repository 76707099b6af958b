"""A commit is there whole or not at all, and the first one stays: in a folder, and in a bucket."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib import request

import pytest

from lidartune.errors import UserError
from lidartune.runs.files import CannotWrite, Files, LocalFiles
from lidartune.runs.s3 import S3Files
from lidartune.runs.store import Store
from tests.bucket import server


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store in a folder of this machine, and one on S3."""
    return Store(tmp_path if request.param == "folder" else f"{request.getfixturevalue('bucket')}/results")


def test_what_was_committed_is_read_back(store: Store) -> None:
    store.commit("run", 3, "state", {"weights.safetensors": b"\x00\x01", "state.json": b"{}"})
    assert store.has("run", 3, "state")
    assert store.read("run", 3, "state", "weights.safetensors") == b"\x00\x01"
    assert not store.has("run", 3, "test") and not store.has("run", 4, "state")


def test_epochs_of_a_kind_are_listed_in_order(store: Store) -> None:
    for epoch in (10, 2, 0):
        store.commit("run", epoch, "metrics", {"metrics.json": b"{}"})
    store.commit("run", 7, "state", {"state.json": b"{}"})
    assert store.epochs("run", "metrics") == [0, 2, 10]
    assert store.epochs("another", "metrics") == []


def test_the_first_commit_stays(store: Store) -> None:
    store.commit("run", 1, "metrics", {"metrics.json": b"first"})
    store.commit("run", 1, "metrics", {"metrics.json": b"a zombie's"})
    assert store.read("run", 1, "metrics", "metrics.json") == b"first"


def test_a_commit_cut_off_while_written_is_not_there_and_can_be_made_again(store: Store) -> None:
    store.commit("run", 1, "metrics", {"metrics.json": b"first"})
    commit = "runs/run/epoch-000001/metrics/commit.json"
    store.files.write(commit, (store.files.read(commit) or b"")[:40])
    assert not store.has("run", 1, "metrics") and store.epochs("run", "metrics") == []
    store.commit("run", 1, "metrics", {"metrics.json": b"second"})
    assert store.read("run", 1, "metrics", "metrics.json") == b"second"


def test_files_without_their_commit_are_not_there(store: Store) -> None:
    store.commit("run", 1, "metrics", {"metrics.json": b"first"})
    store.files.remove("runs/run/epoch-000001/metrics/commit.json")
    assert not store.has("run", 1, "metrics")
    with pytest.raises(UserError, match="not in the store"):
        store.read("run", 1, "metrics", "metrics.json")


def test_a_damaged_file_is_named_and_never_returned(store: Store) -> None:
    store.commit("run", 1, "state", {"weights.safetensors": b"weights"})
    folder = "runs/run/epoch-000001/state"
    entry = json.loads(store.files.read(f"{folder}/commit.json") or b"")["files"]["weights.safetensors"]
    store.files.write(f"{folder}/{entry['path']}", b"weightz")
    with pytest.raises(UserError, match=r"damaged[\s\S]*epoch-000001/state"):
        store.read("run", 1, "state", "weights.safetensors")


def test_a_discarded_state_is_gone_with_its_files(store: Store) -> None:
    store.commit("run", 1, "state", {"weights.safetensors": b"weights"})
    store.discard("run", 1, "state")
    assert not store.has("run", 1, "state")
    assert store.files.names("runs/run/epoch-000001/state") == []
    store.discard("run", 1, "state")


def test_a_run_that_is_forgotten_leaves_nothing(store: Store) -> None:
    store.write_spec("run", {"seed": 1})
    store.commit("run", 1, "state", {"weights.safetensors": b"weights"})
    store.commit("runner", 1, "state", {"weights.safetensors": b"weights"})
    store.forget("run")
    assert store.runs() == ["runner"]


def test_what_is_kept_inside_an_epoch_comes_and_goes(store: Store) -> None:
    for updates in (10, 20):
        store.commit_inside("run", 3, updates, {"state.json": b"%d" % updates})
    assert store.insides("run", 3) == [20]
    assert store.read_inside("run", 3, 20) == {"state.json": b"20"}
    store.discard_inside("run", 3)
    assert store.insides("run", 3) == []


class _AtOnce:
    """Files on which all attempts look for the commit before any of them writes it."""

    def __init__(self, files: Files, barrier: Barrier):
        self._files, self._barrier = files, barrier

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    def write_new(self, path: str, content: bytes) -> bool:
        self._barrier.wait(timeout=20)
        return self._files.write_new(path, content)


def test_of_attempts_that_commit_at_once_one_stays_and_the_others_leave_nothing(store: Store) -> None:
    attempts, place = 8, "runs/run/epoch-000001/state"
    store.files = _AtOnce(store.files, Barrier(attempts))  # type: ignore[assignment]
    with ThreadPoolExecutor(attempts) as pool:
        done = [
            pool.submit(store.commit, "run", 1, "state", {"state.json": b"by attempt %d" % number})
            for number in range(attempts)
        ]
        for attempt in done:
            attempt.result()
    names = store.files.names(place)
    assert len(names) == 2, names
    first = store.read("run", 1, "state", "state.json")
    store.commit("run", 1, "state", {"state.json": b"later"})
    assert store.read("run", 1, "state", "state.json") == first


def test_a_commit_is_made_where_the_file_system_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr("os.link", no_links)
    files = LocalFiles(tmp_path)
    assert files.write_new("a/b", b"first") and not files.write_new("a/b", b"second")
    assert files.read("a/b") == b"first" and files.names("a") == ["b"]


def test_a_commit_whose_answer_is_lost_keeps_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS makes the link, its answer is lost, and the request that is sent again finds the file there."""
    link = os.link

    def twice(source: str, target: str) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr("os.link", twice)
    store = Store(tmp_path)
    store.commit("run", 1, "state", {"weights.safetensors": b"first"})
    store.commit("run", 1, "state", {"weights.safetensors": b"second"})
    assert store.read("run", 1, "state", "weights.safetensors") == b"first"


def test_a_disk_that_is_full_at_the_commit_itself_is_said_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other exception would be taken for the run's own failure, and block all that starts from it."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("os.link", full)
        with pytest.raises(CannotWrite, match="No space left on device"):
            store.commit("run", 1, "metrics", {"metrics.json": b"first"})
    assert not store.has("run", 1, "metrics") and not list(tmp_path.rglob("*.tmp"))
    store.commit("run", 1, "metrics", {"metrics.json": b"second"})
    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", full)
        with pytest.raises(CannotWrite):
            store.discard("run", 1, "metrics")
    assert store.read("run", 1, "metrics", "metrics.json") == b"second"


def test_what_a_zombie_writes_while_an_epoch_is_cleared_up_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.commit_inside("run", 1, 10, {"weights": b"1"})
    with monkeypatch.context() as patch:

        def not_empty(*_: object, **__: object) -> None:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")

        patch.setattr("os.rmdir", not_empty)
        store.discard_inside("run", 1)
    assert store.insides("run", 1) == []


@pytest.mark.parametrize(
    "entry", [{"path": "../../../../../diary.txt"}, {"path": ".."}, {"path": 3}, {"sha256": None}, [], "text"]
)
def test_a_commit_that_others_wrote_reads_and_removes_nothing_elsewhere(tmp_path: Path, entry: Any) -> None:
    diary = tmp_path / "diary.txt"
    diary.write_text("mine")
    store = Store(tmp_path / "results")
    store.commit("run", 1, "state", {"state.json": b"{}"})
    path = tmp_path / "results/runs/run/epoch-000001/state/commit.json"
    commit = json.loads(path.read_text())
    commit["files"]["state.json"] = commit["files"]["state.json"] | entry if isinstance(entry, dict) else entry
    for damaged in (commit, commit["files"], [commit], 3):
        path.write_text(json.dumps(damaged))
        assert not store.has("run", 1, "state")
        with pytest.raises(UserError, match="is not in the store"):
            store.read("run", 1, "state", "state.json")
        store.discard("run", 1, "state")
        assert diary.exists()
    store.commit("run", 1, "state", {"state.json": b"again"})
    assert store.read("run", 1, "state", "state.json") == b"again"


@pytest.mark.parametrize("results", ["s3:/bucket/results", "S3:bucket", "gs:/bucket", "file:/tmp/x"])
def test_half_a_uri_is_no_folder(results: str) -> None:
    with pytest.raises(UserError, match="neither a folder nor a bucket"):
        Store(results)


# -- what cannot be used says so, in one message, soon --------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://AKIA7:hunter2@bucket/x", "no credentials"),
        ("s3://bucket/x?access_key=AKIA7&secret_key=hunter2", "no credentials"),
        ("s3:///x", "no folder of a bucket"),
        ("s3:///AKIA7:hunter2@bucket/..", "no folder of a bucket"),
        ("s3:/AKIA7:hunter2@bucket/x", "neither a folder nor a bucket"),
        ("http:AKIA7:hunt@er2@bucket/x", "neither a folder nor a bucket"),
        ("file:/home/me@lab/results", "file:/home/me@lab/results"),
        ("s3://bucket/a/../b", "no folder of a bucket"),
        ("gs://bucket/x", "to a folder or to S3"),
    ],
)
def test_uris_that_cannot_hold_results(uri: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        Store(uri)
    assert not [word for word in ("hunter2", "er2", "AKIA7") if word in str(refused.value)]


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    with pytest.raises(UserError, match="no such bucket"):
        Store("s3://nobody-made-this-one/results").has_spec("run")


def test_no_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(UserError, match=r"cannot be asked[\s\S]*credentials"):
        Store(bucket).has_spec("run")


def test_a_server_that_is_away(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as address:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(UserError, match="does not answer") as away:
        S3Files(bucket, patient=False).read("x")
    assert address in str(away.value)


@pytest.mark.parametrize("host", ["127.0.0.1:9", "my_server:9000", "[::1:9000"])
def test_an_endpoint_with_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://AKIA7:hunter2@{host}")
    with pytest.raises(UserError, match="an endpoint holds no credentials") as refused:
        Store(bucket)
    assert "hunter2" not in str(refused.value) and "AKIA7" not in str(refused.value)


def test_a_file_that_may_not_be_removed_is_named_though_the_answer_says_ok(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = S3Files(bucket)
    files.write("runs/a/x", b"x")
    error = {"Key": "runs/a/x", "Code": "AccessDenied", "Message": "not you"}
    monkeypatch.setattr(files._client, "delete_objects", lambda **_: {"Errors": [error]})
    with pytest.raises(CannotWrite, match=r"refuses access[\s\S]*AccessDenied: not you"):
        files.remove_folder("runs/a")


def test_keys_that_have_bad_luck_are_removed_after_all(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = S3Files(bucket)
    files.write("runs/a/x", b"x")
    really, answers = files._client.delete_objects, [{"Errors": [{"Key": "runs/a/x", "Code": "SlowDown"}]}]
    monkeypatch.setattr(files._client, "delete_objects", lambda **asked: answers.pop() if answers else really(**asked))
    files.remove_folder("runs/a")
    assert files.names("runs/a") == [] and not answers


def test_what_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for read in (lambda: LocalFiles(tmp_path).read("file/below"), lambda: LocalFiles(tmp_path).names("file")):
        with pytest.raises(CannotWrite, match=r"cannot be read[\s\S]*Not a directory"):
            read()


def test_what_is_refused_names_the_rights_that_are_needed(bucket: str, s3_server: str) -> None:
    _let_in(s3_server, "0")  # moto then looks at who asks
    try:
        with pytest.raises(UserError, match="refuses access") as refused:
            Store(f"{bucket}/results").has_spec("run")
    finally:
        _let_in(s3_server, "inf")
    assert "InvalidAccessKeyId" in str(refused.value) and "s3:PutObject" in str(refused.value)
    assert "only-for-loopback" not in str(refused.value)


def _let_in(address: str, requests: str) -> None:
    asked = request.Request(f"{address}/moto-api/reset-auth", requests.encode(), {"Content-Type": "text/plain"})
    request.urlopen(asked).close()

"""A commit is there whole or not at all, and the first one stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidartune.errors import UserError
from lidartune.runs.store import Store


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("run", 3, "state", {"weights.safetensors": b"\x00\x01", "state.json": b"{}"})
    assert store.has("run", 3, "state")
    assert store.read("run", 3, "state", "weights.safetensors") == b"\x00\x01"
    assert not store.has("run", 3, "test") and not store.has("run", 4, "state")


def test_epochs_of_a_kind_are_listed_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for epoch in (10, 2, 0):
        store.commit("run", epoch, "metrics", {"metrics.json": b"{}"})
    store.commit("run", 7, "state", {"state.json": b"{}"})
    assert store.epochs("run", "metrics") == [0, 2, 10]
    assert store.epochs("another", "metrics") == []


def test_the_first_commit_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("run", 1, "metrics", {"metrics.json": b"first"})
    store.commit("run", 1, "metrics", {"metrics.json": b"a zombie's"})
    assert store.read("run", 1, "metrics", "metrics.json") == b"first"


def test_a_commit_cut_off_while_written_is_not_there_and_can_be_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("run", 1, "metrics", {"metrics.json": b"first"})
    commit = tmp_path / "runs/run/epoch-000001/metrics/commit.json"
    commit.write_bytes(commit.read_bytes()[:40])
    assert not store.has("run", 1, "metrics") and store.epochs("run", "metrics") == []
    store.commit("run", 1, "metrics", {"metrics.json": b"second"})
    assert store.read("run", 1, "metrics", "metrics.json") == b"second"


def test_files_without_their_commit_are_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("run", 1, "metrics", {"metrics.json": b"first"})
    (tmp_path / "runs/run/epoch-000001/metrics/commit.json").unlink()
    assert not store.has("run", 1, "metrics")
    with pytest.raises(UserError, match="not in the store"):
        store.read("run", 1, "metrics", "metrics.json")


def test_a_damaged_file_is_named_and_never_returned(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("run", 1, "state", {"weights.safetensors": b"weights"})
    folder = tmp_path / "runs/run/epoch-000001/state"
    entry = json.loads((folder / "commit.json").read_text())["files"]["weights.safetensors"]
    (folder / entry["path"]).write_bytes(b"weightz")
    with pytest.raises(UserError, match=r"damaged[\s\S]*epoch-000001/state"):
        store.read("run", 1, "state", "weights.safetensors")


def test_a_discarded_state_is_gone_with_its_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("run", 1, "state", {"weights.safetensors": b"weights"})
    store.discard("run", 1, "state")
    assert not store.has("run", 1, "state")
    assert list((tmp_path / "runs/run/epoch-000001/state").iterdir()) == []
    store.discard("run", 1, "state")

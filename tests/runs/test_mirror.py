"""A folder that follows a bucket: what is brought, what stays, what goes; and what of runs is small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidartune.runs.mirror import Mirror, cache_folder, study_folder
from lidartune.runs.s3 import S3Files
from lidartune.runs.store import Store


@pytest.fixture
def machines(bucket: str, tmp_path: Path) -> tuple[Mirror, Mirror]:
    """Two machines that look at one bucket."""
    remote = S3Files(f"{bucket}/results")
    return tuple(Mirror(remote=remote, folder=tmp_path / name) for name in ("one", "other"))  # type: ignore[return-value]


def files(mirror: Mirror, study: str = "tiny") -> dict[str, str]:
    base = mirror.folder / study
    return {path.relative_to(base).as_posix(): path.read_text() for path in base.rglob("*") if path.is_file()}


def write(mirror: Mirror, path: str, text: str) -> None:
    target = mirror.folder / "tiny" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def test_a_study_s_folder_goes_to_the_bucket_and_from_there_to_another_machine(machines: tuple[Mirror, Mirror]) -> None:
    one, other = machines
    write(one, "plan.json", "1")
    write(one, "logs/run.txt", "a log")
    one.send_study("tiny")
    other.fetch_study("tiny")
    assert files(other) == {"plan.json": "1", "logs/run.txt": "a log"}
    write(other, "plan.json", "2")
    (other.folder / "tiny/logs/run.txt").unlink()
    other.send_study("tiny")
    one.fetch_study("tiny")
    assert files(one) == {"plan.json": "2"}


def test_what_was_written_and_not_sent_stays_unless_it_was_changed_elsewhere(machines: tuple[Mirror, Mirror]) -> None:
    """A driver that is killed may not have sent its last word; the next one on this machine has it."""
    one, other = machines
    for path in ("search.json", "plan.json"):
        write(one, path, "1")
    one.send_study("tiny")
    write(one, "search.json", "not sent")
    write(one, "new.json", "not sent")
    one.fetch_study("tiny")
    assert files(one) == {"search.json": "not sent", "plan.json": "1", "new.json": "not sent"}
    other.fetch_study("tiny")
    write(other, "search.json", "of another driver")
    other.send_study("tiny")
    one.fetch_study("tiny")
    assert files(one) == {"search.json": "of another driver", "plan.json": "1", "new.json": "not sent"}


def test_only_what_changed_is_sent(machines: tuple[Mirror, Mirror]) -> None:
    one, _ = machines
    for path in ("plan.json", "report/index.html", "tensorboard/run/events"):
        write(one, path, "1")
    one.send_study("tiny", only=lambda path: not path.startswith("report/"))
    assert {entry.path for entry in one.remote.entries("tiny")} == {"tiny/plan.json", "tiny/tensorboard/run/events"}
    one.remote.write("tiny/plan.json", b"a witness")
    one.send_study("tiny")
    assert one.remote.read("tiny/plan.json") == b"a witness" and one.remote.read("tiny/report/index.html") == b"1"


def test_of_runs_it_brings_scores_and_timings_with_their_commits_but_no_weights(
    machines: tuple[Mirror, Mirror], bucket: str
) -> None:
    one, _ = machines
    store = Store(f"{bucket}/results")
    store.write_spec("run", {"seed": 1})
    for epoch in (0, 1):
        for kind in ("metrics", "test", "timing", "state"):
            store.commit("run", epoch, kind, {f"{kind}.json": b"{}"})  # type: ignore[arg-type]
    store.commit("another", 0, "metrics", {"metrics.json": b"{}"})
    one.fetch_runs(["run", "not begun"])
    here = Store(one.folder)
    assert here.runs() == ["run"] and here.read_spec("run") == {"seed": 1}
    assert here.epochs("run", "metrics") == here.epochs("run", "timing") == [0, 1]
    assert here.read("run", 1, "test", "test.json") == b"{}"
    assert here.epochs("run", "state") == []

    # Brought once; what is made anew there is made anew here.
    stamp = {path: path.stat().st_ino for path in one.folder.rglob("*.json")}
    one.fetch_runs(["run"])
    assert {path: path.stat().st_ino for path in one.folder.rglob("*.json")} == stamp
    store.files.remove_folder("runs/run/epoch-000001/metrics")
    store.commit("run", 1, "metrics", {"metrics.json": b"[]"})
    one.fetch_runs(["run"])
    assert here.read("run", 1, "metrics", "metrics.json") == b"[]"


def test_the_report_of_a_search_has_the_runs_that_it_went_through(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIDARTUNE_CACHE", str(tmp_path))
    store = Store(f"{bucket}/results")
    for run in ("judged", "drawn", "another"):
        store.write_spec(run, {})
    cells = {name: [{"roles": {"scratch": {"run": run}}}] for name, run in (("cells", "judged"), ("searched", "drawn"))}
    store.files.write("tiny/plan.json", json.dumps(cells).encode())
    folder = study_folder(f"{bucket}/results/tiny")
    assert Store(folder.parent).runs() == ["drawn", "judged"]


@pytest.mark.parametrize("run", ["../../precious", "..", "", ".", "a/../../../precious", "a\\b", "a\0b", "\ud800"])
def test_a_plan_from_elsewhere_takes_nothing_away_outside_the_mirror(bucket: str, tmp_path: Path, run: str) -> None:
    mirror = Mirror(remote=S3Files(f"{bucket}/results"), folder=tmp_path / "mirror")
    kept = [tmp_path / "precious" / "diary.txt", mirror.folder / "tiny" / "plan.json", mirror.folder / "runs/a/b"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    mirror.fetch_runs([run])
    assert all(path.exists() for path in kept)


def test_each_server_and_folder_has_a_mirror_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIDARTUNE_CACHE", str(tmp_path))
    places = {cache_folder(uri, "studies") for uri in ("s3://b/results", "s3://b/results/x", "s3://b/results-x")}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    places.add(cache_folder("s3://b/results", "studies"))
    assert len(places) == 4 and all(place.is_relative_to(tmp_path / "studies") for place in places)

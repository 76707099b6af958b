"""Who may write predictions where: several jobs at one folder, and the folder names that are found again."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier, Timer

import numpy as np
import pytest

from lidartune.errors import UserError
from lidartune.scans import Dataset, open_dataset, write_points
from lidartune.scoring import prediction_files
from lidartune.scoring.prediction_files import PredictionFolder, find_predictions

A = {"run": "a", "epoch": 1}
B = {"run": "b", "epoch": 1}


def make_dataset(root: Path, *names: str) -> Dataset:
    for name in names:
        for number in range(2):
            write_points(root / "sequences" / name / f"velodyne/{number:06d}.bin", np.ones((3, 4), np.float32))
    return open_dataset(root, "semantic-kitti")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", "00", "01", "02", "03")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def claim(out: Path, author: dict[str, object], dataset: Dataset, *sequences: int, overwrite: bool = False) -> None:
    PredictionFolder(out, author).claim(dataset, dataset.scans(sequences), overwrite=overwrite)


def write(out: Path, author: dict[str, object], dataset: Dataset, *sequences: int) -> None:
    for scan in dataset.scans(sequences):
        PredictionFolder(out, author).write(scan, np.array([40, 40, 40], np.uint32))


def markers(out: Path) -> dict[str, str]:
    """Sequence -> run."""
    found = sorted(out.glob("sequences/*/predictions.json"))
    return {path.parent.name: json.loads(path.read_text())["run"] for path in found}


def at_once(*jobs: Callable[[], None]) -> list[bool]:
    """Which of the jobs, started together, get through."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], None]) -> bool:
        start.wait(timeout=10)
        try:
            job()
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


# -- several jobs -----------------------------------------------------------------------------------------------------


def test_jobs_of_one_network_share_a_folder_each_with_its_sequence(out: Path, dataset: Dataset) -> None:
    claim(out, A, dataset, 0)
    claim(out, A, dataset, 1)  # before the first has written
    write(out, A, dataset, 0)
    write(out, A, dataset, 1)
    for sequence in (0, 1):
        claim(out, A, dataset, sequence)  # goes on
    claim(out, A, dataset, 0, 1, 2)
    assert markers(out) == {"00": "a", "01": "a", "02": "a"}


@pytest.mark.parametrize("sequence", [0, 1], ids=["the same sequence", "another sequence"])
def test_another_network_is_refused_before_the_first_has_written(out: Path, dataset: Dataset, sequence: int) -> None:
    claim(out, A, dataset, 0)
    with pytest.raises(UserError, match="taken by other predictions") as raised:
        claim(out, B, dataset, sequence)
    assert "sequences 00: run a" in str(raised.value) and "run b" in str(raised.value)
    write(out, A, dataset, 0)
    claim(out, A, dataset, 0)
    assert markers(out) == {"00": "a"}


def test_overwrite_takes_a_sequence_and_its_labels_from_another_network(out: Path, dataset: Dataset) -> None:
    claim(out, A, dataset, 0)
    write(out, A, dataset, 0)
    claim(out, B, dataset, 0, overwrite=True)
    assert markers(out) == {"00": "b"} and not list(out.rglob("*.label"))
    with pytest.raises(UserError, match="taken by other"):
        claim(out, A, dataset, 0)


def test_of_many_networks_at_once_at_most_one_gets_a_sequence(out: Path, dataset: Dataset) -> None:
    for turn in range(30):
        place = out / str(turn)
        names = ["a", "b", "c", "d"]
        through = at_once(*(partial(claim, place, {"run": name}, dataset, 0) for name in names))
        winners = [name for name, got in zip(names, through, strict=True) if got]
        assert winners == [markers(place)["00"]]


def test_jobs_of_one_network_at_once_all_get_through(out: Path, dataset: Dataset) -> None:
    for turn in range(30):
        place = out / str(turn)
        jobs = [(0,), (1,), (2, 3), (0, 1)]
        assert all(at_once(*(partial(claim, place, A, dataset, *job) for job in jobs)))
        assert list(markers(place)) == ["00", "01", "02", "03"]


def test_two_networks_that_start_on_different_sequences_at_once_are_never_mixed(
    out: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_looked, original = Barrier(2), prediction_files._write_first

    def later(path: Path, content: bytes) -> None:
        both_have_looked.wait(timeout=10)
        original(path, content)

    monkeypatch.setattr(prediction_files, "_write_first", later)
    assert sum(at_once(lambda: claim(out, A, dataset, 0), lambda: claim(out, B, dataset, 1))) < 2


def test_a_marker_that_another_job_is_writing_is_waited_for(out: Path, dataset: Dataset) -> None:
    claim(out, A, dataset, 0)
    marker = out / "sequences/00/predictions.json"
    content = marker.read_text()
    marker.write_text("")
    Timer(0.2, marker.write_text, [content]).start()
    claim(out, A, dataset, 1)
    assert markers(out) == {"00": "a", "01": "a"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_marker_says_nothing(
    out: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(prediction_files, "MARKER_WAIT_S", 0.1)
    claim(out, A, dataset, 0)
    (out / "sequences/00/predictions.json").write_text(content)
    with pytest.raises(UserError, match=r"sequences 00: no whole predictions\.json that says whose"):
        claim(out, A, dataset, 0)
    claim(out, A, dataset, 0, overwrite=True)
    assert markers(out) == {"00": "a"}


def test_a_changed_dataset_is_noticed_before_anything_is_written(out: Path, dataset: Dataset) -> None:
    claim(out, A, dataset, 0)
    write_points(dataset.root / "sequences/00/velodyne/000002.bin", np.ones((3, 4), np.float32))
    with pytest.raises(UserError, match="other scans of the same names"):
        claim(out, A, dataset, 0)


def test_a_full_disk_leaves_no_marker(out: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    scans, folder = dataset.scans([0]), PredictionFolder(out, A)

    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, content: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    original = Path.open

    def opened(self: Path, mode: str = "r", *more: object, **named: object) -> object:
        if mode != "xb":
            return original(self, mode, *more, **named)  # type: ignore[call-overload]
        self.touch()
        return Full()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(UserError, match="No space left"):
            folder.claim(dataset, scans, overwrite=False)
    assert not list(out.rglob("*.json"))
    claim(out, B, dataset, 0)


def test_a_file_in_the_way_is_one_message(out: Path, dataset: Dataset) -> None:
    out.write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        claim(out, A, dataset, 0)


# -- folder names -----------------------------------------------------------------------------------------------------


def test_two_folders_for_one_sequence_are_refused(out: Path, dataset: Dataset) -> None:
    for name in ("8", "08", "9"):
        (out / "sequences" / name / "predictions").mkdir(parents=True)
    for look in (find_predictions, lambda root: PredictionFolder(root, A)):
        with pytest.raises(UserError, match="two folders for one sequence") as raised:
            look(out)
        assert "08 and 8" in str(raised.value)
    (out / "sequences/8/predictions").rmdir()
    (out / "sequences/8").rmdir()
    assert find_predictions(out) == {8: out / "sequences/08/predictions", 9: out / "sequences/9/predictions"}


def test_predictions_go_beside_a_dataset_s_own_scans_however_its_folders_are_spelled(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, "8")
    claim(tmp_path, A, dataset, 8)
    write(tmp_path, A, dataset, 8)
    assert find_predictions(tmp_path) == {8: tmp_path / "sequences/8/predictions"}
    assert len(open_dataset(tmp_path, "semantic-kitti").scans()) == 2, "it is a dataset still"

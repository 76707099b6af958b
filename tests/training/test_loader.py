"""What a reader hands out depends on the scans asked for alone: not on threads, memory, or who asked before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch

from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.scans import Dataset, ScanFile, open_dataset
from lidartune.streetworld import WorldFolder
from lidartune.training.batches import to_batch
from lidartune.training.begin import fresh_state
from lidartune.training.draws import epoch_alteration, epoch_order
from lidartune.training.loader import PreparedScan, ScanReader, TrainingScan
from lidartune.training.loop import train_epoch
from lidartune.training.memory import Memory
from lidartune.training.state import pack, unpack
from tests.runs.conftest import CELL, open_tiny, tiny_config

SENSOR = Sensor(16, 64, 3.0, -25.0)
ALL_ON = {"rotate": True, "flip": 0.5, "drop": 0.3, "jitter_m": 0.05}
CPU = torch.device("cpu")
READERS = [(1, 0), (2, 1 << 30), (4, 0), (4, 100_000), (1, 1 << 30)]


@pytest.fixture(scope="module")
def dataset(tiny_world: WorldFolder) -> Dataset:
    return open_dataset(tiny_world.real, "semantic-kitti")


def spec_with(world: WorldFolder, **recipe: object) -> RunSpec:
    stated = {"updates_per_epoch": 3, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
    study = open_tiny(tiny_config(world, recipe=stated | recipe))
    return study.plan.works[study.plan.roles[CELL]["pretrained"].run].spec


def bits(scans: Sequence[TrainingScan]) -> list[bytes]:
    return [b"".join(a.tobytes() for a in (s.image, s.mask, s.truth_image, s.truth)) for s in scans]


# -- what comes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [{}, {"augmentation": ALL_ON}], ids=["plain", "augmented"])
def test_threads_memory_and_history_change_no_draw(
    tiny_world: WorldFolder, dataset: Dataset, recipe: dict[str, object]
) -> None:
    spec, scans = spec_with(tiny_world, **recipe), dataset.scans()
    epochs = {}
    for threads, memory_bytes in READERS:
        reader = ScanReader(dataset, memory_bytes=memory_bytes, threads=threads)
        for epoch in (3, 1, 2, 3):  # not in their order, and one twice
            drawn = [scans[i] for i in epoch_order(spec, scans, epoch)]
            found = bits(list(reader.training_stream(drawn, SENSOR, epoch_alteration(spec, epoch))))
            assert epochs.setdefault(epoch, found) == found
    assert epochs[1] != epochs[2]


def test_an_augmented_scan_looks_different_at_each_draw_and_in_each_epoch(
    tiny_world: WorldFolder, dataset: Dataset
) -> None:
    spec, scan = spec_with(tiny_world, augmentation=ALL_ON), dataset.scans()[0]
    reader = ScanReader(dataset, memory_bytes=1 << 30)
    seen = [
        image
        for epoch in (1, 2)
        for image in bits(list(reader.training_stream([scan] * 3, SENSOR, epoch_alteration(spec, epoch))))
    ]
    assert len(set(seen)) == 6


def test_training_sees_what_scoring_sees_where_nothing_is_augmented(dataset: Dataset) -> None:
    reader = ScanReader(dataset, memory_bytes=1 << 30, threads=2)
    scans = dataset.scans()
    for prepared, training in zip(reader.stream(scans, SENSOR), reader.training_stream(scans, SENSOR), strict=True):
        for one, other in zip(to_batch([prepared], CPU), to_batch([training], CPU), strict=True):
            assert torch.equal(one, other)
        index = prepared.canvas.index
        expected = np.where(index >= 0, prepared.truth[np.maximum(index, 0)], 0)
        assert np.array_equal(training.truth_image, expected) and (index < 0).any()


def test_a_run_with_augmentation_is_the_same_however_it_is_read_or_interrupted(
    tiny_world: WorldFolder, dataset: Dataset
) -> None:
    spec, scans = spec_with(tiny_world, augmentation=ALL_ON, sampling="sequences"), dataset.scans()
    weights = set()
    for threads, memory_bytes in READERS:
        reader = ScanReader(dataset, memory_bytes=memory_bytes, threads=threads)
        state = fresh_state(spec, scans, reader, CPU)
        train_epoch(spec, state, scans, reader, CPU)
        if threads == 4:  # another process goes on
            reader = ScanReader(dataset, memory_bytes=memory_bytes, threads=1)
            state = unpack(pack(state), spec, CPU, "what was kept")
        train_epoch(spec, state, scans, reader, CPU)
        weights.add(pack(state)["weights.safetensors"])
    assert len(weights) == 1


def test_the_recipe_s_sampling_is_the_one_that_is_taken(tiny_world: WorldFolder, dataset: Dataset) -> None:
    scans = dataset.scans()[:-1]  # of the last sequence one is left
    lengths = Counter(scan.sequence for scan in scans)
    assert len(set(lengths.values())) == 2
    for sampling, often in (("uniform", lengths), ("sequences", dict.fromkeys(lengths, 1))):
        spec = spec_with(tiny_world, sampling=sampling, batch_size=1, updates_per_epoch=sum(often.values()))
        drawn = Counter(scans[i].sequence for i in epoch_order(spec, scans, 1))
        assert drawn == often


def test_augmentation_touches_training_alone(tiny_world: WorldFolder, dataset: Dataset) -> None:
    plain, changed = spec_with(tiny_world), spec_with(tiny_world, augmentation=ALL_ON)
    reader, scans = ScanReader(dataset, memory_bytes=1 << 30), dataset.scans()
    states = [fresh_state(spec, scans, reader, CPU) for spec in (plain, changed)]
    assert pack(states[0]) == pack(states[1]), "statistics and class weights are those of the scans as they are"
    before = bits_of(reader.read(scans[0], SENSOR))
    losses = [train_epoch(s, state, scans, reader, CPU) for s, state in zip((plain, changed), states, strict=True)]
    assert losses[0] != losses[1]
    assert bits_of(reader.read(scans[0], SENSOR)) == before, "what is scored stays as it is"


def bits_of(scan: PreparedScan) -> bytes:
    return b"".join(a.tobytes() for a in (scan.canvas.image, scan.points, scan.truth, scan.truth_image))


def test_a_scan_without_points_is_empty(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("a.bin", "a.label"):
        (tmp_path / name).write_bytes(b"")
    scan = ScanFile("00", "a", tmp_path / "a.bin", tmp_path / "a.label")
    found = next(ScanReader(dataset, memory_bytes=0).training_stream([scan], SENSOR))
    assert not found.mask.any() and not found.truth_image.any()


def test_a_broken_file_ends_the_stream_with_its_name(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"123")
    broken = ScanFile("00", "a", tmp_path / "a.bin", tmp_path / "a.label")
    good = dataset.scans()[0]
    stream = ScanReader(dataset, memory_bytes=0, threads=2).training_stream([good, broken, good], SENSOR)
    next(stream)
    with pytest.raises(UserError, match="a.bin"):
        next(stream)


def test_a_stream_that_nobody_reads_on_ends(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[ScanFile] = []
    original = Dataset.read

    def counted(self: Dataset, scan: ScanFile) -> tuple[np.ndarray, np.ndarray]:
        read.append(scan)
        return original(self, scan)

    monkeypatch.setattr(Dataset, "read", counted)
    stream = ScanReader(dataset, memory_bytes=0, threads=2).training_stream([dataset.scans()[0]] * 100, SENSOR)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert len(read) <= 1 + 2 * 2, "a few scans ahead, not the whole epoch"


# -- what is remembered -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [{}, {"augmentation": ALL_ON}], ids=["plain", "augmented"])
def test_a_second_epoch_reads_no_file_where_all_fits(
    tiny_world: WorldFolder, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, recipe: dict[str, object]
) -> None:
    spec, scans = spec_with(tiny_world, **recipe), dataset.scans()
    reader = ScanReader(dataset, memory_bytes=1 << 30)
    list(reader.training_stream(scans, SENSOR, epoch_alteration(spec, 1)))
    monkeypatch.setattr(Dataset, "read", lambda self, scan: pytest.fail("read again"))
    assert len(list(reader.training_stream(scans[::-1], SENSOR, epoch_alteration(spec, 2)))) == len(scans)


def test_what_a_scan_takes_is_counted_to_the_byte(dataset: Dataset) -> None:
    reader, scan = ScanReader(dataset, memory_bytes=1 << 30), dataset.scans()[0]
    prepared = reader.read(scan, SENSOR)
    counted = prepared.nbytes()
    canvas = prepared.canvas
    arrays = (canvas.image, canvas.mask, canvas.index, canvas.row, canvas.column, prepared.points, prepared.truth)
    assert counted == sum(a.nbytes for a in (*arrays, prepared.truth_image, prepared.neighbour_index))
    training = next(reader.training_stream([scan], SENSOR))
    assert training.nbytes() == sum(a.nbytes for a in vars(training).values()) < counted


@dataclass(frozen=True)
class Weight:
    size: int

    def nbytes(self) -> int:
        return self.size


def test_memory_keeps_what_fits_and_lets_the_longest_unused_go() -> None:
    memory, made = Memory(100), []

    def recall(key: str, size: int) -> None:
        assert memory.recall(key, lambda: made.append(key) or Weight(size)).size == size  # type: ignore[func-returns-value]

    for key in ("a", "b"):
        recall(key, 40)
    recall("a", 40)
    assert made == ["a", "b"] and memory.nbytes == 80
    recall("c", 30)  # b goes, which was not used for longest
    recall("a", 40)
    recall("c", 30)
    assert made == ["a", "b", "c"] and memory.nbytes == 70
    recall("large", 101)  # is not kept, and makes nothing go
    recall("a", 40)
    recall("large", 101)
    assert made == ["a", "b", "c", "large", "large"] and memory.nbytes == 70
    recall("whole", 100)
    assert memory.nbytes == 100


def test_two_threads_that_make_the_same_value_at_once_are_counted_once() -> None:
    memory, both_make = Memory(100), Barrier(2)

    def made() -> Weight:
        both_make.wait(timeout=10)
        return Weight(40)

    with ThreadPoolExecutor(2) as pool:
        assert [found.size for found in pool.map(lambda _: memory.recall("a", made), range(2))] == [40, 40]
    assert memory.nbytes == 40


def test_memory_stays_within_its_limit_when_many_threads_ask() -> None:
    memory = Memory(500)
    rng = np.random.default_rng(0)
    keys = [int(k) for k in rng.integers(0, 60, 5000)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda key: memory.recall(key, lambda: Weight(key)).size, keys))
    assert found == keys and memory.nbytes <= 500

"""What a trial takes, and how many of them are started on a machine."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from benchmarks.memory import CASES, measured
from lidartune.backbones import NAMES
from lidartune.config import Resources
from lidartune.errors import UserError
from lidartune.tuning.cluster import on_machine, slots, trial_needs, trials_on_a_gpu
from lidartune.tuning.footprint import GIB, PROCESS_BYTES, gpu_bytes, scan_bytes, training_bytes, trial_bytes
from tests.runs.conftest import TinyStudy, open_tiny, tiny_config

WITHIN = 1.25
"""The factor that docs/reproduce.md states."""


@pytest.fixture(scope="module")
def tiny_study(tiny_world: Any) -> TinyStudy:
    return open_tiny(tiny_config(tiny_world))


@pytest.fixture
def spec(tiny_study: TinyStudy) -> Any:
    return tiny_study.spec("pretrained")


def test_more_pixels_scans_channels_and_memories_take_more(spec: Any) -> None:
    def bigger(**changes: Any) -> float:
        return training_bytes(dataclasses.replace(spec, **changes)) / training_bytes(spec)

    recipe = dataclasses.replace(spec.recipe, batch_size=8)
    assert 6 < bigger(recipe=recipe) < 8
    assert bigger(recipe=dataclasses.replace(recipe, accumulation=8)) == 1
    assert bigger(channels=1.0) > 5 and bigger(backbone="cenet") > 2
    assert bigger(recipe=dataclasses.replace(spec.recipe, optimizer="adamw")) > 1


def test_a_trial_is_its_process_its_scans_and_its_training(tiny_study: TinyStudy, spec: Any) -> None:
    resources = Resources()
    few = scan_bytes([spec], resources, tiny_study.data)
    assert few < 0.01 * GIB, "a tiny world is no 2 GiB"
    assert trial_bytes([spec], resources, tiny_study.data) == int(PROCESS_BYTES + few + training_bytes(spec))
    unknown = trial_bytes([spec], resources, None)
    assert 2 * GIB < unknown < 3.2 * GIB, "without the scans: as much as they may take"
    assert trial_bytes([spec], dataclasses.replace(resources, scan_memory_gib=8.0), None) == unknown + 6 * GIB
    assert trial_bytes([spec], Resources(memory_gib_per_trial=5.0), None) == 5 * GIB, "as stated"
    assert gpu_bytes([spec]) > training_bytes(spec)


def test_memory_counts_when_trials_are_fitted_to_a_machine() -> None:
    machine = {"CPU": 8.0, "memory": 16.0 * GIB}
    assert on_machine(machine, Resources(), int(1.5 * GIB)) == 8
    assert on_machine(machine, Resources(), int(5 * GIB)) == 3, "8 processors, but 16 GiB"
    assert on_machine(machine, Resources(cpus_per_trial=4), 1) == 2
    assert on_machine(machine, Resources(), 17 * GIB) == 0


@pytest.mark.parametrize(
    ("part", "on_one", "on_two"), [(0.25, 4, 8), (0.4, 2, 4), (1 / 3, 3, 6), (0.3334, 2, 4), (1.0, 1, 2), (2.0, 0, 1)]
)
def test_a_gpu_is_shared_by_as_many_as_fit_whole(part: float, on_one: int, on_two: int) -> None:
    resources, machine = Resources(gpus_per_trial=part), {"CPU": 64.0, "memory": 1e12}
    assert on_machine({**machine, "GPU": 1.0}, resources, GIB) == on_one
    assert on_machine({**machine, "GPU": 2.0}, resources, GIB) == on_two
    assert on_machine(machine, resources, GIB) == 0, "no GPU"
    assert part > 1 or trials_on_a_gpu(resources) == on_one


def test_what_ray_sets_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    node = {"Alive": True, "Resources": {"CPU": 8.0, "memory": 16.0 * GIB}}
    monkeypatch.setattr(ray, "nodes", lambda: [node, node, node | {"Alive": False}])
    assert slots(Resources(), 5 * GIB) == 6 and slots(Resources(trials_at_once=4), 5 * GIB) == 4
    needs = trial_needs(Resources(gpus_per_trial=0.25), 5 * GIB)
    assert needs == {"CPU": 1, "GPU": 0.25, "memory": 5 * GIB}
    with pytest.raises(UserError, match="no trial fits") as refused:
        slots(Resources(), 20 * GIB)
    assert "16.0 GiB" in str(refused.value) and "20.0 GiB" in str(refused.value)
    assert "memory_gib_per_trial" in str(refused.value)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_processes_that_train_take_what_was_estimated(name: str) -> None:
    for case in CASES[name]:
        peak, estimate = measured(name, *case)
        assert 1 / WITHIN < estimate / peak < WITHIN, (case, peak, estimate)


def test_the_cell_that_is_hungriest_counts(tiny_study: TinyStudy, spec: Any) -> None:
    large = dataclasses.replace(spec, channels=1.0)
    resources = Resources()
    alone = trial_bytes([large], resources, tiny_study.data)
    assert trial_bytes([spec, large], resources, tiny_study.data) == alone

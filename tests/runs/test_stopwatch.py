"""Energy in the timing record, where a GPU reports it: against a counter that a test can turn."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from lidartune.runs.stopwatch import Stopwatch

GPU = torch.device("cuda")


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Millijoules by GPU, in place of NVML's counters."""
    millijoules = {"GPU-here": 5_000, "GPU-there": 0}
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: millijoules[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="here"))
    return millijoules


def test_energy_is_what_this_gpu_took_meanwhile(counter: dict[str, int]) -> None:
    watch = Stopwatch(GPU)
    counter["GPU-here"] += 12_500
    counter["GPU-there"] += 99_000
    assert watch.energy() == {"energy_joules": 12.5}


def test_a_processor_has_none(counter: dict[str, int]) -> None:
    assert Stopwatch(torch.device("cpu")).energy() == {}


def test_a_gpu_that_does_not_tell_has_none(counter: dict[str, int]) -> None:
    watch = Stopwatch(GPU)
    counter.clear()
    assert watch.energy() == {} == Stopwatch(GPU).energy()


def test_without_the_package_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Stopwatch(GPU).energy() == {}

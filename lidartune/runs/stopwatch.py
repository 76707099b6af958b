"""What an epoch took: seconds, and energy where a GPU reports it. Nothing here is part of a result."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Started when it is made.

    Attributes:
        began: `time.perf_counter()` at the start.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self.began = time.perf_counter()
        self._before = consumed_joules(device)

    def energy(self) -> dict[str, float]:
        """`energy_joules` since the start; nothing where no GPU reports it. It is that of the whole GPU: where trials
        share one, each counts all of it."""
        now = consumed_joules(self._device)
        return {} if self._before is None or now is None else {"energy_joules": now - self._before}


def consumed_joules(device: torch.device) -> float | None:
    """Energy that a GPU has taken since its driver was loaded (NVML's counter, of Volta and later; in the processes
    that have `nvidia-ml-py`). None for a processor, and where nothing reports it."""
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()  # counted by NVML: the second one costs nothing
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except Exception:  # no such package, library, counter or permission: a study does not end over it
        return None

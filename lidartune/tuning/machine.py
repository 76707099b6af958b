"""What this machine has for trials, and what it is, asked of the system alone: no Ray, no torch."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lidartune.processes import available_processors

MEMINFO, CPUINFO = Path("/proc/meminfo"), Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
ANSWER_WITHIN_S = 5.0


@dataclass(frozen=True)
class Gpu:
    """A GPU as its driver names it."""

    name: str
    memory_mib: int
    driver: str


def resources_here(*, gpus: bool) -> dict[str, float]:
    """Processors, GPUs (asked for only where `gpus`) and free memory in bytes, named as Ray names them."""
    found = {"CPU": float(available_processors()), "memory": float(free_memory_bytes())}
    return found | ({"GPU": float(len(gpus_here()))} if gpus else {})


def free_memory_bytes() -> int:
    """Memory that programs could still be given: of the machine, or of the container that this runs in."""
    free = {line.partition(":")[0]: line.split()[1] for line in MEMINFO.read_text().splitlines()}
    machine = int(free.get("MemAvailable", free["MemTotal"])) * 1024
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text()) - _given_back_bytes((CGROUP / "memory.stat").read_text())
    except (OSError, ValueError):  # no container, no limit ("max")
        return machine
    return min(machine, max(0, limit - used))


def _given_back_bytes(memory_stat: str) -> int:
    """What of a container's memory holds files that were read, scans above all: the kernel gives it back."""
    rows = dict(line.split() for line in memory_stat.splitlines())
    return int(rows.get("active_file", 0)) + int(rows.get("inactive_file", 0))


def processor_here() -> str | None:
    """The processor's name, as the kernel has it."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def gpus_here() -> list[Gpu]:
    """This machine's GPUs that may be used (`CUDA_VISIBLE_DEVICES`), as nvidia-smi lists them; [] without a driver."""
    ask = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=ANSWER_WITHIN_S).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in answer.splitlines():
        name, memory, driver = (part.strip() for part in line.rsplit(",", 2))
        found.append(Gpu(name, int(memory) if memory.isdecimal() else 0, driver))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    numbers = [part.strip() for part in visible.split(",") if part.strip()]
    return [found[int(n)] if n.isdecimal() and int(n) < len(found) else found[0] for n in numbers] if found else []

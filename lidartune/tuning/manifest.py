"""What a study was run with: enough to run it again."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lidartune import __version__
from lidartune.config import StudyConfig
from lidartune.processes import available_processors
from lidartune.runs.spec import DOMAINS, SEMANTICS
from lidartune.transfer.data import StudyData
from lidartune.tuning.machine import gpus_here, processor_here

PACKAGES = (
    "torch", "numpy", "ray", "optuna", "numba", "embreex", "safetensors", "pyarrow", "pandas", "scipy", "tensorboard"
)  # fmt: skip


def manifest(
    config: StudyConfig, data: StudyData, command: Sequence[str], nodes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Versions, commit, machine, command, seeds, datasets and notes, as plain values.

    Args:
        nodes: the machines of the Ray that the study ran on (lidartune/tuning/cluster.py).
    """
    return {
        "study": config.name,
        "notes": [*config.notes, *data.notes],
        "command": list(command),
        "lidartune": __version__,
        "semantics": SEMANTICS,
        "commit": _commit(),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": _machine(),
        "nodes": [dict(node) for node in nodes],
        "seeds": list(config.grid.seed),
        "search_seed": None if config.search.sampler == "grid" else config.search.seed,
        "domains": {
            domain: {
                "root": str(data.domains[domain].dataset.root),
                "taxonomy": data.domains[domain].dataset.taxonomy.name,
                "taxonomy_digest": data.taxonomies[domain],
                "train_fingerprint": data.train_fingerprint(domain, "all", 0),
                "validation_fingerprint": data.validation[domain],
                "test_fingerprint": data.test[domain],
                "scans": {
                    "train": len(data.domains[domain].train),
                    "validation": len(data.domains[domain].validation),
                    "test": len(data.domains[domain].test),
                    "test_available": data.domains[domain].test_available,
                },
            }
            for domain in DOMAINS
        },
    }


def _machine() -> dict[str, Any]:
    """The machine that this process is on: where the study was started, which need not be where its trials run."""
    import torch  # a plan, which comes by here too, does without

    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "architecture": platform.machine(),
        "processor": processor_here(),
        "processors": available_processors(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_built_for_cuda": torch.version.cuda,
        "gpus": [asdict(gpu) for gpu in gpus_here()],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    """The commit of the source tree this runs from, with `+changes` where the package was edited; None outside one."""
    package = Path(__file__).parents[1]
    try:
        _git(package, "ls-files", "--error-unmatch", "tuning/manifest.py")  # it may only hold an environment
        return _git(package, "rev-parse", "HEAD") + ("+changes" if _git(package, "status", "--porcelain", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    """What git says there; raises where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

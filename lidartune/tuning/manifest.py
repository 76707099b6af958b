"""What a study was run with: enough to run it again."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lidartune import __version__
from lidartune.config import StudyConfig
from lidartune.runs.spec import DOMAINS, SEMANTICS
from lidartune.transfer.data import StudyData

PACKAGES = ("torch", "numpy", "ray", "optuna", "numba", "embreex", "safetensors", "pyarrow")


def manifest(config: StudyConfig, data: StudyData, command: Sequence[str]) -> dict[str, Any]:
    """Versions, commit, machine, command, seeds, datasets and notes, as plain values."""
    return {
        "study": config.name,
        "notes": [*config.notes, *data.notes],
        "command": list(command),
        "lidartune": __version__,
        "semantics": SEMANTICS,
        "commit": _commit(),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": {"platform": platform.platform(), "processor": platform.machine()},
        "seeds": list(config.grid.seed),
        "domains": {
            domain: {
                "root": str(data.domains[domain].dataset.root),
                "taxonomy": data.domains[domain].dataset.taxonomy.name,
                "taxonomy_digest": data.taxonomies[domain],
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


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    """The commit of the source tree this runs from, with `+changes` where it was edited; None outside one."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+changes" if changes else "")

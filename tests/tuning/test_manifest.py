"""The manifest as a user reads it: enough to run the study again, and to know where it ran."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import lidartune
from lidartune.transfer.data import open_study_data
from lidartune.tuning import manifest as manifest_module
from lidartune.tuning.machine import Gpu, free_memory_bytes, gpus_here
from lidartune.tuning.study import open_study, record
from tests.runs.conftest import tiny_config

NODES = [{"address": "10.0.0.1", "host": "one", "cpus": 8.0, "gpus": 1.0, "memory_gib": 15.5, "accelerators": ["T4"]}]


@pytest.fixture
def recorded(tiny_world: Any, tmp_path: Path) -> dict[str, Any]:
    config = tiny_config(tiny_world)
    study = open_study(config, tmp_path, open_study_data(config))
    record(study, ["study/run_transfer_grid.py", "--config", "x.yaml"], NODES)
    record(study, ["study/run_transfer_grid.py", "--config", "x.yaml"])  # at the end, when Ray is down
    return json.loads((tmp_path / "tiny" / "manifest.json").read_text())


def test_it_says_what_would_be_needed_to_run_it_again(recorded: dict[str, Any]) -> None:
    assert recorded["command"] == ["study/run_transfer_grid.py", "--config", "x.yaml"]
    assert recorded["lidartune"] == lidartune.__version__ and recorded["seeds"] == [0]
    assert recorded["search_seed"] is None, "a grid draws nothing"
    assert recorded["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert {"ray", "numpy", "pyarrow", "optuna"} <= recorded["packages"].keys()
    assert "not installed" not in recorded["packages"].values()
    assert recorded["python"].count(".") == 2
    for domain in ("synthetic", "real"):
        facts = recorded["domains"][domain]
        for name in ("taxonomy_digest", "train_fingerprint", "validation_fingerprint", "test_fingerprint"):
            assert len(facts[name]) >= 8 and set(facts[name]) <= set("0123456789abcdef"), name
        assert Path(facts["root"]).is_dir() and facts["scans"]["train"] == 4


def test_it_says_on_what_it_ran(recorded: dict[str, Any]) -> None:
    machine = recorded["machine"]
    assert machine["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    assert not models or machine["processor"] == models[0].partition(":")[2].strip()
    assert machine["processors"] >= 1 and machine["host"] and "gpus" in machine
    assert recorded["nodes"] == NODES, "also after the second record, which is written when Ray is down"


def test_other_scans_have_another_fingerprint(tiny_world: Any, tmp_path: Path, recorded: dict[str, Any]) -> None:
    import dataclasses

    config = tiny_config(tiny_world)
    splits = dataclasses.replace(config.domains.real.splits, train=("00",))
    real = dataclasses.replace(config.domains.real, splits=splits)
    config = dataclasses.replace(config, name="other", domains=dataclasses.replace(config.domains, real=real))
    record(open_study(config, tmp_path, open_study_data(config)), [], NODES)
    other = json.loads((tmp_path / "other" / "manifest.json").read_text())["domains"]
    for domain, same in (("synthetic", True), ("real", False)):
        assert (other[domain]["train_fingerprint"] == recorded["domains"][domain]["train_fingerprint"]) is same


def test_the_commit_tells_whether_files_were_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lidartune" / "tuning"
    package.mkdir(parents=True)
    monkeypatch.setattr(manifest_module, "__file__", str(package / "manifest.py"))
    assert manifest_module._commit() is None, "no repository"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    (package / "manifest.py").write_text("one")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    clean = manifest_module._commit()
    assert clean is not None and len(clean) == 40
    (tmp_path / "my_study.yaml").write_text("a file of the user's, beside the package")
    assert manifest_module._commit() == clean
    (package / "manifest.py").write_text("two")
    assert manifest_module._commit() == clean + "+changes"


def test_the_commit_of_a_repository_that_only_holds_an_environment_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / ".venv" / "lidartune" / "tuning"
    package.mkdir(parents=True)
    (package / "manifest.py").write_text("one")
    (tmp_path / ".gitignore").write_text(".venv\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "somebody's own project"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(manifest_module, "__file__", str(package / "manifest.py"))
    assert manifest_module._commit() is None


NVIDIA_SMI = """#!/bin/sh
echo "NVIDIA A100-SXM4-40GB, 40960, 550.54.15"
echo "NVIDIA, with a comma, 24576, 550.54.15"
"""


def test_gpus_are_named_with_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_here() == []
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    first, second = Gpu("NVIDIA A100-SXM4-40GB", 40_960, "550.54.15"), Gpu("NVIDIA, with a comma", 24_576, "550.54.15")
    assert gpus_here() == [first, second]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus_here() == [second]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus_here() == []


def test_free_memory_is_the_container_s_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lidartune.tuning import machine

    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal:  2048 kB\nMemAvailable:  1024 kB\n")
    assert free_memory_bytes() == 1024 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    assert free_memory_bytes() == 1024 * 1024
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 2\nfile 3\nactive_file 0\ninactive_file 0\n")
    assert free_memory_bytes() == 995
    (tmp_path / "memory.current").write_text("990\n")
    (tmp_path / "memory.stat").write_text("anon 90\nfile 900\nactive_file 400\ninactive_file 500\n")
    assert free_memory_bytes() == 910, "scans that were read count for nothing: the kernel gives their room back"

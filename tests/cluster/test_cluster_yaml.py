"""cluster.yaml: what Ray says of it while its values are not filled in, and that Ray takes it once they are."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
VALUES = {"head_ip": "192.0.2.1", "worker_ips": "[192.0.2.2]", "ssh_user": "nobody"}


def _filled_in(**values: str) -> str:
    text = TEXT
    for name, value in values.items():
        text, changed = re.subn(rf"{name}: {{FILL IN.*}}", f"{name}: {value}", text)
        assert changed == 1, name
    return text


def _ray_up(text: str, home: Path) -> subprocess.CompletedProcess[str]:
    name = f"lidartune-test-{home.name}"
    (home / "cluster.yaml").write_text(text.replace("cluster_name: lidartune", f"cluster_name: {name}"))
    try:
        return subprocess.run(
            [str(Path(sys.executable).with_name("ray")), "up", "-y", "--no-config-cache", str(home / "cluster.yaml")],
            cwd=ROOT,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        for left in Path("/tmp/ray").glob(f"cluster-{name}.*"):
            left.unlink()


@pytest.mark.parametrize("left", VALUES)
def test_a_value_that_is_not_filled_in_is_named_before_anything_starts(left: str, tmp_path: Path) -> None:
    done = _ray_up(_filled_in(**{name: value for name, value in VALUES.items() if name != left}), tmp_path)
    assert done.returncode == 1
    assert f"{{'FILL IN': '{left} is" in done.stderr, done.stderr
    assert "Launching" not in done.stdout + done.stderr


@pytest.mark.parametrize("missing", [".ssh/id_ed25519", ".ray/auth_token"])
def test_a_missing_key_or_token_ends_it_before_any_machine_is_reached(missing: str, tmp_path: Path) -> None:
    for name in {".ssh/id_ed25519", ".ray/auth_token"} - {missing}:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    done = _ray_up(_filled_in(**VALUES), tmp_path)
    assert done.returncode == 1
    assert f"No such file or directory: '{tmp_path / missing}'" in done.stderr
    assert "ssh" not in done.stdout.lower().replace("setting", "")


def test_ray_takes_it_once_it_is_filled_in() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(_filled_in(**VALUES)))
    validate_config(config)
    assert config["available_node_types"]["local.cluster.node"]["min_workers"] == 1


def test_no_machine_runs_ray_without_the_token_and_the_dashboard_stays_on_loopback() -> None:
    config = yaml.safe_load(TEXT)
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    starts = [line for line in commands if "ray start" in line]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token ray start" in line for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "RAY_enable_autoscaler_v2=0 " in starts[0]


def test_only_the_project_and_the_token_are_copied_and_they_are_there() -> None:
    mounts = yaml.safe_load(TEXT)["file_mounts"]
    assert mounts.pop("~/.ray/auth_token") == "~/.ray/auth_token"
    assert all((ROOT / source).exists() and place == f"~/lidartune/{source}" for place, source in mounts.items())
    assert not {"data", "results"} & set(mounts.values())


def test_the_setup_is_a_shell_script_that_takes_the_pinned_torch(tmp_path: Path) -> None:
    (setup,) = yaml.safe_load(TEXT)["setup_commands"]
    assert subprocess.run(["bash", "-n", "-c", setup]).returncode == 0
    assert f"torch=={version('torch').partition('+')[0]}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert "grep '^torch==' constraints.txt" in setup and "pip install -q -c constraints.txt -e '.[s3]'" in setup


def test_a_machine_without_the_wanted_python_says_so(tmp_path: Path) -> None:
    (setup,) = yaml.safe_load(TEXT)["setup_commands"]
    (tmp_path / "lidartune").mkdir()
    done = subprocess.run(
        ["bash", "-c", re.sub(r"PYTHON=\S+", "PYTHON=3.9.99", setup)],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "needs Python 3.9.99 with venv, or uv" in done.stderr

"""Compiled code is kept between runs, but never longer than the sources it was made from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lidartune

ASK = """
import numpy as np
from lidartune.canvas import Sensor, project
from lidartune.kernels import cache_folder
print(project(np.array([[3, 4, 0, 0.5]], np.float32), Sensor(4, 8, 10, -10)).image[0].max(), cache_folder())
"""


def ask(package: Path, **environment: str) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=package.parent,
        env=os.environ | {"PYTHONPATH": str(package.parent)} | environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_a_change_in_what_a_kernel_takes_in_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "lidartune"
    shutil.copytree(Path(lidartune.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    before, folder = ask(package, **cache)
    assert before == "5.0" and list(Path(folder).rglob("*.nbi")), "compiled code is kept"
    angles = package / "canvas" / "angles.py"
    source = angles.read_text()
    assert "return np.float32(math.sqrt(" in source
    angles.write_text(source.replace("return np.float32(math.sqrt(", "return np.float32(100 + math.sqrt("))
    after, other = ask(package, **cache)
    assert after == "105.0" and other != folder


def test_without_a_folder_for_it_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert ask(Path(lidartune.__file__).parent, XDG_CACHE_HOME=str(tmp_path / "file")) == ["5.0", "None"]

"""The main job: a transfer study from synthetic to real scans, as stated in a YAML file (default: demo.yaml)."""

from __future__ import annotations

from pathlib import Path

from lidartune.cli import run, study_command

if __name__ == "__main__":
    run(study_command(default=Path(__file__).with_name("demo.yaml")))

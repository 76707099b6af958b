"""A search: draws cells and recipes by the real validation score, then judges the best on fresh seeds."""

from __future__ import annotations

from pathlib import Path

from lidartune.cli import run, study_command

if __name__ == "__main__":
    run(study_command(default=Path(__file__).with_name("search.yaml"), searches=True))

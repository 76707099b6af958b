"""A small grid, carried out once and undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidartune.streetworld import WorldFolder
from tests.study_process import finish, start, study_values, write_study


@pytest.fixture(scope="session")
def undisturbed(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Its YAML and its results."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_study(folder, study_values(tiny_world))
    status, output = finish(start(config, folder / "results"))
    assert status == 0, output
    return config, folder / "results"

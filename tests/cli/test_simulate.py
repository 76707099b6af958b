"""`lidartune simulate`: a world of the user's, and the data configs that tell the other commands its split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lidartune import streetworld
from lidartune.cli.simulate import simulate
from lidartune.scans import load_taxonomy, open_dataset
from lidartune.streetworld import WorldFolder, WorldSpec
from lidartune.streetworld.data_configs import config_text
from lidartune.streetworld.write import read_world
from tests.conftest import TINY_WORLD


def made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command prints; the world is small."""
    small = lambda seed, geometry_gap, sensor_gap: TINY_WORLD  # noqa: E731
    monkeypatch.setattr(streetworld, "WorldSpec", small)
    result = CliRunner().invoke(simulate, [str(folder), "--processes", "1"], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_each_domain_has_a_data_config_with_the_split_of_the_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "world"
    output = made(folder, monkeypatch)
    for domain, name in (("synthetic", "synlidar"), ("real", "semantic-kitti")):
        path = folder / f"{domain}.yaml"
        taxonomy = load_taxonomy(path)
        wanted = TINY_WORLD.splits[domain]
        assert {part: list(taxonomy.split[part]) for part in ("train", "valid", "test")} == {
            "train": wanted["train"], "valid": wanted["validation"], "test": wanted["test"],
        }  # fmt: skip
        assert taxonomy == load_taxonomy(name) and taxonomy.names == load_taxonomy(name).names
        sequences = open_dataset(folder / domain, str(path)).sequences
        assert sorted(n for part in taxonomy.split.values() for n in part) == sorted(sequences)
        assert f"{path}: train 0, 1, validation 2, test 3" in output


def test_a_world_made_before_gets_them_and_ones_own_changes_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "world"
    made(folder, monkeypatch)
    (folder / "real.yaml").unlink()
    (folder / "synthetic.yaml").write_text("mine")
    made(folder, monkeypatch)
    assert load_taxonomy(folder / "real.yaml").split and (folder / "synthetic.yaml").read_text() == "mine"
    assert not [name for name in json.loads((folder / "world.json").read_text())["files"] if name.endswith("yaml")]
    assert read_world(folder) == WorldFolder(folder, TINY_WORLD)


def test_the_split_of_the_usual_world_is_not_semantic_kittis(tmp_path: Path) -> None:
    world = WorldFolder(tmp_path, WorldSpec())
    (tmp_path / "real.yaml").write_text(config_text(world, "real"))
    split = load_taxonomy(tmp_path / "real.yaml").split
    assert (split["train"], split["valid"], split["test"]) == (tuple(range(12)), (12, 13), tuple(range(14, 20)))

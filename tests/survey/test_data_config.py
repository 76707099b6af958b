"""The data config, as lidartune and the other programs that know its format read it."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import yaml

from lidartune.errors import UserError
from lidartune.scans import (
    built_in_taxonomies,
    class_weights,
    load_taxonomy,
    open_dataset,
)
from tests.survey.measuring import CANVAS, measured, run, written


def other_programs_table(mapping: dict) -> np.ndarray:
    """The lookup table that lidar-bonnetal and semantic-kitti-api build from any of the maps."""
    values = list(mapping.values())
    width = (len(values[-1]),) if isinstance(values[-1], list) else ()
    table = np.zeros((max(mapping) + 100, *width), np.int32)
    for key, value in mapping.items():
        table[key] = value
    return table


@pytest.mark.parametrize("name", built_in_taxonomies())
def test_the_file_is_a_taxonomy_like_the_one_it_was_made_with(tmp_path: Path, name: str) -> None:
    before = load_taxonomy(name)
    output = tmp_path / "data.yaml"
    config = measured(written(before, tmp_path / "data"), name, output)
    after = load_taxonomy(output)
    assert after == before and after.names == before.names and after.labels == before.labels
    assert (after.colors == before.colors).all() and after.color_map == before.color_map
    assert after.content == config["content"]
    again = tmp_path / "again.yaml"
    measured(tmp_path / "data", output, again, "--sequences", "0,1")
    assert yaml.safe_load(again.read_text())["counts"] == config["counts"]


def test_the_file_does_what_lidar_bonnetal_and_semantic_kitti_api_ask_of_it(tmp_path: Path) -> None:
    """What their trainer, parser, evaluators and scan readers do with the keys, done here."""
    taxonomy = load_taxonomy("semantic-kitti")
    folder = written(taxonomy, tmp_path / "data")
    config = measured(folder, "semantic-kitti", tmp_path / "data.yaml", "--train", "0", "--valid", "1")
    # the trainer: loss weights from `content` through `learning_map`, 0 for what `learning_ignore` says
    classes, to_class = len(config["learning_map_inv"]), other_programs_table(config["learning_map"])
    content = np.zeros(classes, np.float32)
    for raw, share in config["content"].items():
        assert isinstance(share, float)
        content[to_class[raw]] += share
    weights = 1 / (content + 0.001)
    for number in range(classes):
        if config["learning_ignore"][number]:
            weights[number] = 0
    ids = np.concatenate([raw for _, raw in (s.read() for s in open_dataset(folder, taxonomy).scans([0]))])  # type: ignore[misc]
    counts = np.bincount(taxonomy.to_common(ids), minlength=20)
    assert weights == pytest.approx(class_weights(counts), rel=1e-5)
    # the trainer finds its parser's folder by `name`; the parser wants lists of sequences, formatted as numbers
    assert config["name"] == "kitti"
    for part in ("train", "valid", "test"):
        assert isinstance(config["split"][part], list)
    assert ["{:02d}".format(int(s)) for s in config["split"]["train"]] == ["00"]  # noqa: UP032
    # the scan readers: a colour and a class for every id in the files, classes back to ids and their names
    colors = other_programs_table(config["color_map"])
    assert (colors[ids] == other_programs_table({r: list(c[::-1]) for r, c in taxonomy.color_map.items()})[ids]).all()
    assert (to_class[ids] == taxonomy.to_common(ids)).all()
    back = other_programs_table(config["learning_map_inv"])
    assert (to_class[back[:classes]] == np.arange(classes)).all()
    assert [config["labels"][config["learning_map_inv"][c]] for c in (1, 9, 19)] == ["car", "road", "traffic-sign"]
    # the evaluators: which classes are left out; content.py: a count for every label; count.py sorts all parts together
    assert [int(c) for c, ignored in config["learning_ignore"].items() if ignored] == [0]
    assert set(config["labels"]) == set(config["counts"])
    assert sorted(config["split"]["train"] + config["split"]["valid"] + config["split"]["test"]) == [0, 1]
    # the parser's `sensor`, pasted from here into an arch_cfg
    sensor = config["sensor"]
    assert (sensor["img_prop"]["height"], sensor["img_prop"]["width"]) == (16, 256)
    assert (sensor["fov_up"], sensor["fov_down"]) == (3.0, -25.0)
    image = np.ones((5, 16, 256)) - np.array(sensor["img_means"])[:, None, None]
    assert np.isfinite(image / np.array(sensor["img_stds"])[:, None, None]).all()
    assert config["largest_scan"] == 340


def test_a_config_with_the_maps_alone_gets_all_keys(tmp_path: Path) -> None:
    """No colours, no content, no split, a mapped id without a label, more than one ignored class."""
    mine = {
        "labels": {0: "none", 5: "thing"}, "learning_map": {0: 0, 5: 1, 7: 2, 9: 2},
        "learning_map_inv": {0: 0, 1: 5, 2: 7}, "learning_ignore": {0: True, 1: False, 2: True},
    }  # fmt: skip
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(mine))
    before = load_taxonomy(path)
    output = tmp_path / "data.yaml"
    config = measured(written(before, tmp_path / "data"), path, output)
    after = load_taxonomy(output)
    assert after == before and after.names == before.names and after.ignore == (0, 2)
    assert (after.colors == before.colors).all()
    for key in ("labels", "color_map", "content", "counts"):
        assert set(config[key]) == {0, 5, 7, 9}, key
    assert config["split"] == {"train": [0, 1], "valid": [], "test": []}


def test_what_is_measured_and_which_split_is_written(tmp_path: Path) -> None:
    output = tmp_path / "o.yaml"
    folder = written(load_taxonomy("semantic-kitti"), tmp_path / "data", sequences=4, scans=1)
    every = [0, 1, 2, 3]
    for options, said, sequences, split in (
        ([], "0-3 (the train split; 6 of its 10 sequences are not in this folder)", every, [every, [], []]),
        (["--sequences", "1-2"], "1, 2 (--sequences)", [1, 2], [every, [], []]),
        (["--train", "0,3", "--valid", "2"], "0, 3 (the train split as given)", [0, 3], [[0, 3], [2], []]),
        (["--train", "0", "--test", "1", "--split", "test"], "1 (the test split as given)", [1], [[0], [], [1]]),
    ):
        result = run(folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1, *options)
        assert f"measuring sequences {said}\n" in result.output
        config = yaml.safe_load(output.read_text())
        assert config["sequences"] == sequences
        assert list(config["split"].values()) == split and list(config["split"]) == ["train", "valid", "test"]


def test_only_its_own_files_are_replaced(tmp_path: Path) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data", scans=1), tmp_path / "o.yaml"
    measured(folder, "semantic-kitti", output)
    measured(folder, output, output)  # a file of its own, even as its own taxonomy
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\n")
    for place in (mine, folder):
        with pytest.raises(UserError, match="has not written"):
            measured(folder, "semantic-kitti", place)
    assert mine.read_text() == "name: mine\n"
    with pytest.raises(UserError, match="cannot be written"):
        measured(folder, "semantic-kitti", mine / "o.yaml")


def test_a_result_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data", scans=1), tmp_path / "o.yaml"
    measured(folder, "semantic-kitti", output)
    before = output.read_bytes()

    def half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="(?s)cannot be written.*No space left"):
        patch.setattr(Path, "write_bytes", half)
        measured(folder, "semantic-kitti", output, "--fov-up", "5")
    assert output.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "o.yaml", "o.yaml.partial"]
    assert measured(folder, "semantic-kitti", output, "--fov-up", "5")["sensor"]["fov_up"] == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "o.yaml"]

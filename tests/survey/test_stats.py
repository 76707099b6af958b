"""What `lidartune stats` measures, against plain numpy; what it prints, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from lidartune.canvas import CHANNELS, Sensor, project
from lidartune.errors import UserError
from lidartune.scans import (
    built_in_taxonomies,
    canvas_statistics,
    load_taxonomy,
    open_dataset,
    write_labels,
)
from lidartune.streetworld import WorldFolder
from lidartune.survey import stats as measuring
from tests.survey.measuring import CANVAS, measured, run, written


@pytest.mark.parametrize("name", built_in_taxonomies())
def test_figures_are_those_of_plain_numpy_in_the_shape_of_the_published_config(tmp_path: Path, name: str) -> None:
    taxonomy = load_taxonomy(name)
    folder = written(taxonomy, tmp_path / "data")
    config = measured(folder, name, tmp_path / "data.yaml", "--sequences", "0,1")
    scans = [scan.read() for scan in open_dataset(folder, name).scans()]
    ids = np.concatenate([raw for _, raw in scans if raw is not None])
    assert config["counts"] == {raw: int((ids == raw).sum()) for raw in taxonomy.learning_map}
    assert config["content"] == {raw: int((ids == raw).sum()) / len(ids) for raw in taxonomy.learning_map}
    assert (config["scans"], config["points"], config["largest_scan"]) == (6, len(ids), 340)
    canvases = [project(points, Sensor(16, 256, 3.0, -25.0)) for points, _ in scans]
    pixels = np.concatenate([canvas.image[:, canvas.mask] for canvas in canvases], axis=1).astype(np.float64)
    assert config["sensor"]["img_means"] == pytest.approx(pixels.mean(axis=1).tolist(), rel=1e-12)
    assert config["sensor"]["img_stds"] == pytest.approx(pixels.std(axis=1).tolist(), rel=1e-12)
    assert config["valid_pixels"] == pixels.shape[1]
    means, stds = canvas_statistics(canvases)  # what training measures, to the bit
    assert (config["sensor"]["img_means"], config["sensor"]["img_stds"]) == (means.tolist(), stds.tolist())

    if taxonomy.content:  # the published table: the same ids, a sum of one
        assert set(config["content"]) == set(taxonomy.content)
        assert sum(config["content"].values()) == pytest.approx(sum(taxonomy.content.values()), abs=2e-6)
    assert {key: type(value) for key, value in config.items() if key != "sensor"}.items() >= {
        "name": str, "labels": dict, "color_map": dict, "content": dict, "learning_map": dict,
        "learning_map_inv": dict, "learning_ignore": dict, "split": dict,
    }.items()  # fmt: skip


def test_without_a_split_all_is_measured(tiny_world: WorldFolder, tmp_path: Path) -> None:
    result = run(tiny_world.synthetic, "--taxonomy", "synlidar", "-o", tmp_path / "o.yaml", *CANVAS, "--processes", 1)
    assert "sequences 0-3 (all there are: no train split names any of them)" in result.output
    split = yaml.safe_load((tmp_path / "o.yaml").read_text())["split"]
    assert split == {"train": [0, 1, 2, 3], "valid": [], "test": []}
    assert "name them with --valid" in result.output


def test_the_printed_tables_show_the_figures(tiny_world: WorldFolder, tmp_path: Path) -> None:
    output = tmp_path / "o.yaml"
    result = run(tiny_world.real, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1)
    config, taxonomy = yaml.safe_load(output.read_text()), load_taxonomy("semantic-kitti")
    rows = {first: others for first, *others in (re.split("  +", line.strip()) for line in result.output.splitlines())}
    counts = np.zeros(20, int)
    for raw, count in config["counts"].items():
        counts[taxonomy.learning_map[raw]] += count
    content = taxonomy.class_content()
    assert content is not None
    for number, name in enumerate(taxonomy.names):
        points, share, published, _ = rows[f"{number} {name}"]
        assert points == f"{counts[number]:,}" and share == f"{100 * counts[number] / config['points']:.4f} %"
        assert published == f"{100 * content[number]:.4f} %"
    sensor = config["sensor"]
    for name, mean, std in zip(CHANNELS, sensor["img_means"], sensor["img_stds"], strict=True):
        assert rows[name if name == "remission" else f"{name}, m"] == [f"{mean:.4f}", f"{std:.4f}"]
    assert "16 x 256, +3 to -25 degrees" in result.output
    assert f"Classes of {config['points']:,} points in 8 scans" in result.output


def test_some_scans_spread_over_all(tiny_world: WorldFolder, tmp_path: Path) -> None:
    config = measured(tiny_world.real, "semantic-kitti", tmp_path / "o.yaml", "--scans", 3)
    dataset = open_dataset(tiny_world.real, "semantic-kitti")
    chosen = [dataset.scans()[i] for i in (0, 2, 5)]
    assert config["scans"] == 3 and config["points"] == sum(len(scan.read()[0]) for scan in chosen)
    assert "3 scans spread over sequences 0-3" in (tmp_path / "o.yaml").read_text().splitlines()[0]


def test_two_processes_write_the_same_bytes(tiny_world: WorldFolder, tmp_path: Path) -> None:
    for processes in (1, 2):
        output = tmp_path / str(processes)
        assert not run(
            tiny_world.real, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", processes
        ).exit_code
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]


def test_faulty_scans_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data"), tmp_path / "o.yaml"
    whole = measured(folder, "semantic-kitti", tmp_path / "whole.yaml")
    files = folder / "sequences"
    (files / "00/labels/000000.label").unlink()
    with (files / "00/velodyne/000001.bin").open("ab") as file:
        file.write(b"x")
    write_labels(files / "01/labels/000000.label", np.full(3, 10))
    command = (folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1)
    with pytest.raises(UserError) as caught:  # seen by looking at sizes, before anything is read
        run(*command)
    message = str(caught.value)
    assert "3 of 6 scans cannot be counted; nothing was written" in message and "--skip-faulty" in message
    assert "00/000000: no label file" in message and "00/000001: this is no whole file of points: 5,1" in message
    assert "01/000000: a scan's label file does not have one label for each point: 3 labels" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "whole.yaml"]
    result = run(*command, "--skip-faulty")
    assert "left out 3 faulty scans" in result.output
    config = yaml.safe_load(output.read_text())
    assert (config["scans"], len(config["skipped_scans"])) == (3, 3) and config["points"] < whole["points"]
    assert config["skipped_scans"][0] == "00/000000: no label file" and str(tmp_path) not in output.read_text()


def test_points_that_cannot_be_are_warned_of(tmp_path: Path) -> None:
    folder, output = written(load_taxonomy("semantic-kitti"), tmp_path / "data"), tmp_path / "o.yaml"
    path = folder / "sequences/00/velodyne/000000.bin"
    points = np.fromfile(path, "<f4").reshape(-1, 4)
    points[:, 3] = np.abs(points[:, 3])
    points[5, 0], points[6, 3], points[7, 3] = 1e30, 1e20, -1
    points.tofile(path)
    command = (folder, "--taxonomy", "semantic-kitti", "-o", output, *CANVAS, "--processes", 1, "--sequences", "0")
    result = run(*command, "--scans", 1)
    assert "warning: 1 point beyond 2,000 m" in result.output
    assert "warning: 2 points with remission that is negative or above 65,535" in result.output
    assert "in 1 scan\n" in result.output and "Channels of" in result.output
    assert any(re.fullmatch(r"Channels of [\d,]+ valid pixels", line) for line in result.output.splitlines())


def test_nothing_left_to_count_names_the_faults(tmp_path: Path) -> None:
    folder = written(load_taxonomy("semantic-kitti"), tmp_path / "data", sequences=1)
    for path in (folder / "sequences/00/labels").iterdir():
        path.unlink()
    command = (folder, "--taxonomy", "semantic-kitti", "-o", tmp_path / "o.yaml", *CANVAS, "--processes", 1)
    with pytest.raises(UserError, match=r"(?s)not one point.*00/000000: no label file.*--sequences"):
        run(*command, "--skip-faulty")
    (folder / "sequences/03/velodyne").mkdir(parents=True)
    with pytest.raises(UserError, match=r"(?s)without scans.*--sequences"):
        run(*command)


def test_a_wrong_taxonomy_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(load_taxonomy("semantic-kitti"), tmp_path / "data")
    monkeypatch.setattr(measuring, "MOST_FAULTS", 2)
    with pytest.raises(UserError, match="2 of 2 scans cannot be counted"):
        run(folder, "--taxonomy", "synlidar", "-o", tmp_path / "o.yaml", *CANVAS, "--processes", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sequences", "7"], "no such sequence"),
        (["--train", "0", "--valid", "0-1"], "in two parts"),
        (["--train", "0", "--valid", "9"], "no such sequence"),
        (["--split", "test"], "test split has no sequence"),
        (["--split", "train", "--sequences", "0"], "cannot go together"),
        (["--fov-up", "-30"], "field of view"),
    ],
)
def test_settings_that_cannot_be_are_messages(tmp_path: Path, options: list[str], said: str) -> None:
    folder = written(load_taxonomy("semantic-kitti"), tmp_path / "data", scans=1)
    with pytest.raises(UserError, match=said):
        run(folder, "--taxonomy", "semantic-kitti", "-o", tmp_path / "o.yaml", "--processes", 1, *options)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_real_scans_are_counted_exactly(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "semantic-kitti-mini"
    config = measured(folder, "semantic-kitti", tmp_path / "o.yaml", "--width", 2048, "--height", 64)
    raw = [np.fromfile(p, "<u4") & 0xFFFF for p in sorted((folder / "sequences/00/labels").iterdir())]
    assert config["points"] == sum(map(len, raw)) == 124_668 + 124_605 and config["largest_scan"] == 124_668
    found, counts = np.unique(np.concatenate(raw), return_counts=True)
    assert {r: n for r, n in config["counts"].items() if n} == dict(zip(found.tolist(), counts.tolist(), strict=True))
    assert sum(config["content"].values()) == pytest.approx(1, abs=1e-12)
    assert config["split"] == {"train": [0], "valid": [8], "test": []}
    # within reach of what others measured on full scans of the whole dataset: mmdetection3d's CENet configuration
    assert config["sensor"]["img_means"] == pytest.approx([11.7, -0.1, 0.5, -1.05, 0.29], abs=1.3)
    assert config["sensor"]["img_stds"] == pytest.approx([10.2, 12.3, 9.4, 0.86, 0.145], rel=0.1)

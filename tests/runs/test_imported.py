"""A lidar-bonnetal model folder becomes a run: it predicts what its files say, and nothing half-done is left behind."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import lidartune.processes
from lidartune.backbones import load_bonnetal
from lidartune.cli.evaluate import evaluate
from lidartune.cli.import_bonnetal import import_bonnetal
from lidartune.cli.predict import predict
from lidartune.cli.show import show
from lidartune.errors import UserError
from lidartune.runs.files import CannotWrite, LocalFiles
from lidartune.runs.imported import place_for, taxonomy_text
from lidartune.runs.spec import RunSpec
from lidartune.scans import load_taxonomy, read_labels
from lidartune.scans.taxonomy import parse_taxonomy
from lidartune.scoring import ConfusionMatrix
from lidartune.scoring.trained import load_trained
from lidartune.streetworld import WorldFolder
from tests.backbones.bonnetal_folder import random_network, write_folder
from tests.runs.model_folder import SENSOR, direct_classes, small_folder

CPU = torch.device("cpu")
# Five classes written in SemanticKITTI's raw ids, in an order of their own: 3 is the road, 1 what grows.
OWN = {
    "labels": {0: "unlabeled", 10: "car", 40: "road", 50: "building", 70: "vegetation"},
    "color_map": {0: [0, 0, 0], 10: [245, 150, 100], 40: [255, 0, 255], 50: [0, 200, 255], 70: [0, 175, 0]},
    "learning_map": {0: 0, 10: 4, 40: 3, 50: 2, 70: 1},
    "learning_map_inv": {0: 0, 4: 10, 3: 40, 2: 50, 1: 70},
    "learning_ignore": {0: True, 1: False, 2: True},
    "split": {"train": [0, 1], "valid": [8]},
}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lidartune.processes, "available_processors", lambda: 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_folder(tmp_path_factory.mktemp("model") / "squeezesegv2")


def bring(folder: Path, output: Path, *more: str) -> None:
    import_bonnetal.main([str(folder), "-o", str(output), *more], standalone_mode=False)


def only_run(results: Path) -> Path:
    (run,) = (results / "runs").iterdir()
    return run




def scan_of(root: Path, prediction: Path) -> Path:
    """The scan that `.../sequences/NN/predictions/NAME.label` belongs to."""
    return next(root.rglob(f"{prediction.parent.parent.name}/velodyne/{prediction.stem}.bin"))


def run_predict(run: Path, root: Path, out: Path, *more: str) -> list[Path]:
    predict.main([str(run), str(root), "-o", str(out), *more], standalone_mode=False)
    return sorted(out.rglob("*.label"))


# -- what it is --------------------------------------------------------------------------------------------------------


def test_all_that_belongs_to_the_network_is_in_the_store(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(folder, tmp_path)
    run, wanted = only_run(tmp_path), load_bonnetal(folder)
    assert run.name.startswith("imported-squeezesegv2-64-")
    found = load_trained(str(run), None, CPU)
    assert found.epoch == 0 and found.spec.canvas == SENSOR and not found.model.training
    assert found.spec.train == "imported" and found.spec.domain == "synthetic"
    assert wanted.configuration is not None and found.normalization.means == wanted.configuration.means
    assert found.normalization.stds == wanted.configuration.stds
    for key, value in wanted.state_dict().items():
        assert torch.equal(found.model.state_dict()[key], value), key
    said = capsys.readouterr().out
    assert "squeezesegv2, 928,464 parameters, 20 classes, canvas 16 x 64, valid weights" in said
    assert f"lidartune predict {run} DIR -o OUT" in said
    assert f"--set checkpoints.squeezesegv2={run} --set grid.pretrain_epochs=[0,checkpoint]" in said


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("squeezesegv2", {"crf": True}),
        ("squeezeseg", {"inputs": ("x", "y", "z")}),
        ("squeezeseg", {"output_stride": 4}),
        ("squeezeseg", {"num_classes": 7}),
    ],
)
def test_a_network_of_another_form_comes_back_as_it_was(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "model", name, **options)
    bring(folder, tmp_path / "results")
    found, wanted = load_trained(str(only_run(tmp_path / "results")), None, CPU).model, load_bonnetal(folder).eval()
    for field in ("inputs", "stride", "crf", "num_classes"):
        assert getattr(found.options, field) == getattr(wanted.options, field)
    image, mask = torch.randn(1, 5, 16, 64), torch.rand(1, 16, 64) > 0.3
    with torch.no_grad():
        assert torch.equal(found(image * mask[:, None], mask), wanted(image * mask[:, None], mask))


def test_both_weights_of_a_folder(folder: Path, tmp_path: Path) -> None:
    other = random_network("squeezesegv2")
    with torch.no_grad():
        other.head[1].bias.add_(1.0)
    arch = (folder / "arch_cfg.yaml").read_text()
    both = tmp_path / "both"
    write_folder(both, random_network("squeezesegv2"))
    write_folder(both, other, suffix="_train")
    (both / "arch_cfg.yaml").write_text(arch)
    for which in ("valid", "train"):
        bring(both, tmp_path / "runs" / which, "--which", which)
    valid, train = (load_trained(str(tmp_path / "runs" / which), None, CPU).model for which in ("valid", "train"))
    assert torch.equal(train.head[1].bias, valid.head[1].bias + 1.0)


def test_a_taxonomy_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(OWN))
    for known in ("semantic-kitti", "synlidar", str(path)):
        wanted = load_taxonomy(known)
        found = parse_taxonomy(taxonomy_text(wanted), name=wanted.name, where="there")
        for field in ("labels", "learning_map", "learning_map_inv", "color_map", "content", "split", "ignore", "names"):
            assert getattr(found, field) == getattr(wanted, field), field
        assert found == wanted and np.array_equal(found.colors, wanted.colors)


# -- what it predicts --------------------------------------------------------------------------------------------------


def test_it_predicts_what_its_files_say_and_is_scored_by_it(
    folder: Path, tiny_world: WorldFolder, tmp_path: Path
) -> None:
    bring(folder, tmp_path)
    sequences = ",".join(map(str, tiny_world.splits["real"]["test"]))
    out = tmp_path / "out"
    labels = run_predict(only_run(tmp_path), tiny_world.real, out, "--sequences", sequences)
    kitti, matrix = load_taxonomy("semantic-kitti"), ConfusionMatrix(20)
    assert len(labels) == 2
    for path in labels:
        scan = scan_of(tiny_world.real, path)
        classes = direct_classes(folder, scan)
        assert len(np.unique(classes)) > 2, "a network that says one class everywhere shows nothing"
        assert np.array_equal(read_labels(path), kitti.to_raw(classes))
        truth = scan.parent.parent / "labels" / f"{scan.stem}.label"
        matrix.add(classes, kitti.to_common(read_labels(truth)))
    figures = tmp_path / "figures.json"
    arguments = [str(out), str(tiny_world.real), "--taxonomy", "semantic-kitti", "--json", str(figures)]
    evaluate.main(arguments, standalone_mode=False)
    assert json.loads(figures.read_text())["confusion_matrix"] == matrix.matrix.tolist()


def test_on_another_dataset_its_common_classes_are_written_in_that_dataset_s_ids(
    folder: Path, tiny_world: WorldFolder, tmp_path: Path
) -> None:
    bring(folder, tmp_path)
    sequence = str(tiny_world.splits["synthetic"]["test"][0])
    named = ["--taxonomy", "synlidar", "--sequences", sequence]
    labels = run_predict(only_run(tmp_path), tiny_world.synthetic, tmp_path / "out", *named)
    found = load_taxonomy("synlidar").to_common(read_labels(labels[0]))
    assert np.array_equal(found, direct_classes(folder, scan_of(tiny_world.synthetic, labels[0])))


def test_classes_of_its_own_are_written_in_its_own_ids(tiny_world: WorldFolder, tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "model", data=OWN, num_classes=5)
    bring(folder, tmp_path)
    run, sequence = only_run(tmp_path), str(tiny_world.splits["real"]["test"][0])
    labels = run_predict(run, tiny_world.real, tmp_path / "out", "--sequences", sequence)
    scan = scan_of(tiny_world.real, labels[0])
    raw = np.array([0, 70, 50, 40, 10])
    assert np.array_equal(read_labels(labels[0]), raw[direct_classes(folder, scan)])
    arguments = [str(tmp_path / "out"), str(tiny_world.real), "--taxonomy", "semantic-kitti"]
    evaluate.main(arguments, standalone_mode=False)
    picture = tmp_path / "scan.png"
    show.main([str(scan), "--run", str(run), "-o", str(picture)], standalone_mode=False)
    assert picture.stat().st_size > 0


def test_another_taxonomy_s_ids_would_be_lies(tiny_world: WorldFolder, tmp_path: Path) -> None:
    swapped = {0: 0, 1: 40, 9: 10, **{c: 1000 + c for c in range(1, 20) if c not in (1, 9)}}  # road first, car ninth
    data = {
        "labels": {0: "unlabeled", 40: "road", 10: "car"} | {1000 + c: f"kind {c}" for c in range(1, 20)},
        "learning_map": {0: 0, **{raw: c for c, raw in swapped.items()}, 1001: 0, 1009: 0},
        "learning_map_inv": swapped,
    }
    bring(small_folder(tmp_path / "model", data=data), tmp_path)
    with pytest.raises(UserError, match=r"(?s)other classes than the network.*class 1 is 'car'\n.*'road', as imported"):
        run_predict(only_run(tmp_path), tiny_world.real, tmp_path / "out", "--taxonomy", "semantic-kitti")
    assert not (tmp_path / "out").exists()


# -- where it goes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ("/r/results/runs/mine", ("/r/results", "mine")),
        ("/r/results/runs/mine/", ("/r/results", "mine")),
        ("/r/results/runs", ("/r/results", None)),
        ("/r/results", ("/r/results", None)),
        ("s3://bucket/results/runs/mine", ("s3://bucket/results", "mine")),
        ("s3://bucket/results", ("s3://bucket/results", None)),
    ],
)
def test_the_name_is_the_user_s_or_says_what_it_is(
    folder: Path, tmp_path: Path, output: str, place: tuple[str, str | None]
) -> None:
    bring(folder, tmp_path)
    spec = RunSpec.from_dict(json.loads((only_run(tmp_path) / "spec.json").read_text()))
    assert place_for(output, spec) == (place[0], place[1] or f"imported-squeezesegv2-64-{spec.id}")


def test_imported_twice_it_is_there_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bring(folder, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    bring(folder, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    assert "it was there already" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["weights", "means"])
def test_another_network_never_takes_a_name_that_is_taken(folder: Path, tmp_path: Path, change: str) -> None:
    run = tmp_path / "runs" / "mine"
    bring(folder, run)
    other = small_folder(tmp_path / "other", seed=1 if change == "weights" else 0)
    if change == "means":
        arch = yaml.safe_load((other / "arch_cfg.yaml").read_text())
        arch["dataset"]["sensor"]["img_means"][0] = 11.0
        (other / "arch_cfg.yaml").write_text(yaml.safe_dump(arch))
    before = load_trained(str(run), None, CPU)
    with pytest.raises(UserError, match=r"(?s)another run of this name.*runs/mine\n.*another name"):
        bring(other, run)
    after = load_trained(str(run), None, CPU)
    assert (after.weights_sha256, after.normalization) == (before.weights_sha256, before.normalization)
    bring(other, tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 2


# -- what it refuses ---------------------------------------------------------------------------------------------------


def no_head(folder: Path) -> None:
    (folder / "segmentation_head").unlink()


def lost_tensor(folder: Path) -> None:
    tensors = torch.load(folder / "backbone", weights_only=True)
    tensors.pop(next(iter(tensors)))
    torch.save(tensors, folder / "backbone")


def not_a_number(folder: Path) -> None:
    tensors = torch.load(folder / "segmentation_decoder", weights_only=True)
    next(iter(tensors.values())).fill_(torch.nan)
    torch.save(tensors, folder / "segmentation_decoder")


class Canary:
    def __init__(self, path: str):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def runs_code(folder: Path) -> None:
    with (folder / "segmentation_head").open("wb") as file:
        pickle.dump(Canary(str(folder / "canary")), file)


def broken_taxonomy(folder: Path) -> None:
    (folder / "data_cfg.yaml").write_text("labels: [1, 2\n")


def tagged_taxonomy(folder: Path) -> None:
    (folder / "data_cfg.yaml").write_text(f"labels: !!python/object/apply:os.mkdir ['{folder}/canary']\n")


def odd_width(folder: Path) -> None:
    arch = yaml.safe_load((folder / "arch_cfg.yaml").read_text())
    arch["dataset"]["sensor"]["img_prop"]["width"] = 72
    (folder / "arch_cfg.yaml").write_text(yaml.safe_dump(arch))


@pytest.mark.parametrize(
    "harm", [no_head, lost_tensor, not_a_number, runs_code, broken_taxonomy, tagged_taxonomy, odd_width]
)
def test_a_hostile_folder_leaves_nothing_behind(harm: Any, tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "model", "squeezeseg")
    harm(folder)
    with pytest.raises(UserError):
        bring(folder, tmp_path / "results")
    assert not (tmp_path / "results").exists() and not (folder / "canary").exists()


@pytest.mark.parametrize("at", ["spec.json", "weights-", "commit.json"])
def test_a_full_disk_leaves_nothing_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    write = LocalFiles.write

    def full(self: LocalFiles, path: str, content: bytes) -> None:
        if path.rpartition("/")[2].startswith(at):
            raise CannotWrite("the results folder cannot be written", found="No space left on device")
        write(self, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "write", full)
        with pytest.raises(UserError, match=r"(?s)cannot be written.*No space left"):
            bring(folder, tmp_path)
    assert not list((tmp_path / "runs").glob("*"))
    bring(folder, tmp_path)
    assert load_trained(str(only_run(tmp_path)), None, CPU).epoch == 0


def test_a_place_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError, match=r"results folder cannot be read[\s\S]*Not a directory"):
        bring(folder, tmp_path / "results")
    assert (tmp_path / "results").read_text() == "a file"

"""`lidartune predict` as a user types it: what it writes scores exactly as the run was scored."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

import lidartune.processes
from lidartune.canvas import neighbour_vote, project
from lidartune.cli.evaluate import evaluate
from lidartune.cli.predict import predict
from lidartune.errors import UserError
from lidartune.runs.store import Store
from lidartune.scans import ScanFile, load_taxonomy, open_dataset, read_points
from lidartune.scoring import ConfusionMatrix
from lidartune.scoring.predict import predict_points, predict_scans
from lidartune.scoring.trained import TrainedNetwork, load_trained
from lidartune.streetworld import WorldFolder
from tests.runs.conftest import CELL, open_tiny, tiny_config

EPOCHS = (1, 2)


@dataclass(frozen=True)
class Trained:
    """A run of two epochs on the synthetic domain, both kept, and the datasets."""

    results: Path
    run: str
    world: WorldFolder

    @property
    def folder(self) -> str:
        return str(self.results / "runs" / self.run)

    def scores(self, epoch: int, domain: str) -> dict[str, Any]:
        return Store(self.results).read_json(self.run, epoch, "test", "scores.json")[domain]

    def sequences(self, domain: str) -> str:
        return ",".join(map(str, self.world.splits[domain]["test"]))

    def root(self, domain: str) -> Path:
        return {"synthetic": self.world.synthetic, "real": self.world.real}[domain]

    def network(self) -> TrainedNetwork:
        return load_trained(self.folder, None, torch.device("cpu"))


@pytest.fixture(scope="module")
def trained(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    study = open_tiny(tiny_config(tiny_world))
    milestone = study.plan.roles[CELL]["pretrained"]
    results = tmp_path_factory.mktemp("results")
    study.carry_out(milestone, results, list(EPOCHS))
    return Trained(results, milestone.run, tiny_world)


@pytest.fixture
def damaged(trained: Trained, tmp_path: Path) -> Trained:
    """A copy that may be damaged."""
    shutil.copytree(trained.results, tmp_path / "results")
    return Trained(tmp_path / "results", trained.run, trained.world)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lidartune.processes, "available_processors", lambda: 1)


def run_predict(*arguments: object) -> None:
    predict.main([*map(str, arguments)], standalone_mode=False)


def run_evaluate(out: Path, root: Path, taxonomy: str, *more: object) -> dict[str, Any]:
    figures = out.parent / f"{out.name}.json"
    arguments = [out, root, "--taxonomy", taxonomy, *more, "--json", figures]
    evaluate.main([*map(str, arguments)], standalone_mode=False)
    return json.loads(figures.read_text())


def labels_in(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.label"))}


# -- the same score ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize(("domain", "taxonomy"), [("synthetic", "synlidar"), ("real", "semantic-kitti")])
def test_predicted_and_evaluated_it_has_exactly_the_score_that_the_run_stored(
    trained: Trained, tmp_path: Path, domain: str, taxonomy: str, epoch: int
) -> None:
    out, root = tmp_path / "out", trained.root(domain)
    named = ["--taxonomy", taxonomy] if domain == "real" else []  # the run's own is found by its digest
    last = ["--epoch", epoch] if epoch != EPOCHS[-1] else []
    run_predict(trained.folder, root, "-o", out, "--sequences", trained.sequences(domain), *named, *last)
    values = run_evaluate(out, root, taxonomy, "--block", 1)
    stored = trained.scores(epoch, domain)
    assert values["confusion_matrix"] == stored["points"] and np.count_nonzero(stored["points"]) > 20
    kept = ("sequence", "first", "last", "points")
    assert [{key: block[key] for key in kept} for block in values["blocks"]] == stored["blocks"]
    assert values["miou"] == ConfusionMatrix.from_matrix(stored["points"]).miou()
    forgiving = run_evaluate(out, root, taxonomy, "--rule", "bonnetal")
    assert forgiving["miou"] == ConfusionMatrix.from_matrix(stored["points"]).miou(ignore_predicted=True)


def test_without_the_vote_it_has_the_score_without_the_vote(trained: Trained, tmp_path: Path) -> None:
    out, root = tmp_path / "out", trained.root("synthetic")
    run_predict(trained.folder, root, "-o", out, "--sequences", trained.sequences("synthetic"), "--no-vote")
    stored = trained.scores(EPOCHS[-1], "synthetic")
    assert run_evaluate(out, root, "synlidar")["confusion_matrix"] == stored["no_vote"] != stored["points"]


@pytest.mark.parametrize("speed", ["fast", "compiled"])
def test_faster_it_says_the_same_but_for_rounding(trained: Trained, tmp_path: Path, speed: str) -> None:
    out, root = tmp_path / "out", trained.root("synthetic")
    run_predict(trained.folder, root, "-o", out, "--sequences", trained.sequences("synthetic"), "--speed", speed)
    found = np.array(run_evaluate(out, root, "synlidar")["confusion_matrix"])
    stored = np.array(trained.scores(EPOCHS[-1], "synthetic")["points"])
    assert np.abs(found - stored).sum() <= 1e-3 * stored.sum()
    marker = next(out.glob("sequences/*/predictions.json"))
    assert json.loads(marker.read_text())["speed"] == speed


def test_what_cannot_be_compiled_leaves_what_is_there(trained: Trained, tmp_path: Path) -> None:
    import torch._dynamo
    import torch._inductor.config as inductor

    arguments = [trained.folder, trained.root("synthetic"), "-o", tmp_path / "out", "--sequences", "0"]
    run_predict(*arguments)
    before = labels_in(tmp_path / "out")
    torch._dynamo.reset()
    with inductor.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(UserError, match="cannot be compiled here"):
        run_predict(*arguments, "--speed", "compiled", "--overwrite")
    assert labels_in(tmp_path / "out") == before
    run_predict(*arguments)


def test_a_dataset_without_labels_gets_the_same_predictions(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained.root("real")
    bare = tmp_path / "bare"
    shutil.copytree(root, bare, ignore=shutil.ignore_patterns("labels"))
    options = ("--taxonomy", "semantic-kitti", "--sequences", trained.sequences("real"))
    run_predict(trained.folder, root, "-o", tmp_path / "a", *options)
    assert "score them   lidartune evaluate" in capsys.readouterr().out
    run_predict(trained.folder, bare, "-o", tmp_path / "b", *options)
    assert "score them" not in capsys.readouterr().out
    assert labels_in(tmp_path / "a") == labels_in(tmp_path / "b") != {}
    run_predict(trained.folder, root, "-o", tmp_path / "b", *options)  # the labels have come since
    assert "nothing to do" in capsys.readouterr().out


def test_files_are_as_semantic_kitti_api_wants_them(trained: Trained, tmp_path: Path) -> None:
    run_predict(trained.folder, trained.root("real"), "-o", tmp_path, "--taxonomy", "semantic-kitti")
    taxonomy = load_taxonomy("semantic-kitti")
    scans = open_dataset(trained.root("real"), taxonomy).scans()
    wanted = {f"sequences/{scan.sequence}/predictions/{scan.name}.label" for scan in scans}
    assert set(labels_in(tmp_path)) == wanted and len({scan.sequence for scan in scans}) == 4
    for scan in scans:
        ids = np.fromfile(tmp_path / "sequences" / scan.sequence / "predictions" / f"{scan.name}.label", "<u4")
        assert len(ids) == len(read_points(scan.points))
        assert set(ids.tolist()) <= set(taxonomy.learning_map_inv.values()) - {0}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sequences"]


def test_unusable_points_get_raw_0_and_disturb_nobody(trained: Trained) -> None:
    scan = open_dataset(trained.root("real"), "semantic-kitti").scans()[0]
    points = read_points(scan.points)
    odd = np.array([[0, 0, 0, 0.5], [np.nan, 1, 1, 0], [1, np.inf, 1, 0], [1, 1, 1, np.nan]], np.float32)
    network = trained.network()
    plain = predict_points(network, points)
    mixed = predict_points(network, np.concatenate([odd, points]))
    assert mixed[:4].tolist() == [0, 0, 0, 0] and plain.min() > 0
    np.testing.assert_array_equal(mixed[4:], plain)
    assert load_taxonomy("synlidar").to_raw(mixed[:1]).tolist() == [0]
    canvas = project(points, network.spec.canvas)
    image = network.class_images([canvas])[0]
    np.testing.assert_array_equal(plain, neighbour_vote(canvas, points, image))
    own = predict_points(network, np.concatenate([odd, points]), use_vote=False)
    np.testing.assert_array_equal(own, [0, 0, 0, 0, *image[canvas.row, canvas.column]])


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (3, 2), (100, 4)])
def test_scans_come_in_order_with_their_own_classes_however_many_are_under_way(
    trained: Trained, batch: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = trained.network()
    scans = open_dataset(trained.root("real"), "semantic-kitti").scans()
    alone = [predict_points(network, read_points(scan.points)) for scan in scans]
    one = type(network).class_images
    sizes: list[int] = []

    def each_alone(self: TrainedNetwork, canvases: list[Any]) -> np.ndarray:
        sizes.append(len(canvases))
        return np.concatenate([one(self, [canvas]) for canvas in canvases])

    monkeypatch.setattr(type(network), "class_images", each_alone)

    def finish(scan: ScanFile, classes: np.ndarray) -> tuple[ScanFile, np.ndarray]:
        time.sleep(0.02 if scan is scans[0] else 0)
        return scan, classes

    found = list(predict_scans(network, scans, finish, batch=batch, threads=threads))
    assert [scan for scan, _ in found] == list(scans)
    for (_, classes), wanted in zip(found, alone, strict=True):
        np.testing.assert_array_equal(classes, wanted)
    assert sizes == [min(batch, len(scans) - start) for start in range(0, len(scans), batch)]


# -- whose predictions they are ---------------------------------------------------------------------------------------


def test_an_interrupted_prediction_goes_on_and_writes_only_what_is_missing(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (trained.folder, trained.root("real"), "-o", tmp_path / "out", "--taxonomy", "semantic-kitti")
    replace, calls = os.replace, []

    def killed(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) > 2:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(click.Abort):
        patch.setattr(os, "replace", killed)
        run_predict(*command)
    before = labels_in(tmp_path / "out")
    assert len(before) == 2 and not list((tmp_path / "out").rglob("*.tmp"))
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before}
    first = next(iter(before))
    (tmp_path / "out" / first).write_bytes(before[first][:-4])  # not written by us: it is not whole
    run_predict(*command)
    assert "7 scans in" in (text := capsys.readouterr().out) and "1 were there already" in text
    after = labels_in(tmp_path / "out")
    assert len(after) == 8 and all(after[name] == content for name, content in before.items())
    kept = [name for name in before if (tmp_path / "out" / name).stat().st_mtime_ns == times[name]]
    assert kept == [name for name in before if name != first]
    run_predict(*command)
    assert "nothing to do: all 8 scans" in capsys.readouterr().out


def test_predictions_of_another_epoch_run_or_vote_are_never_mixed_in(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = trained.root("synthetic"), tmp_path / "out"
    run_predict(trained.folder, root, "-o", out, "--sequences", "0,1")
    before = labels_in(out)
    for change, words in (
        (["--epoch", 1], "epoch 2"),
        (["--no-vote"], "vote True"),
        (["--speed", "fast"], "speed exact"),
        (["--taxonomy", "semantic-kitti"], "taxonomy "),
        (["--epoch", 1, "--overwrite"], "sequences 01: epoch 2"),  # sequence 01 would stay
    ):
        with pytest.raises(UserError, match="taken by other predictions") as raised:
            run_predict(trained.folder, root, "-o", out, "--sequences", "0", *change)
        assert words in str(raised.value) and "--overwrite" in str(raised.value)
    assert labels_in(out) == before, "nothing was touched"
    run_predict(trained.folder, root, "-o", out, "--sequences", "0-1", "--epoch", 1, "--overwrite")
    after = labels_in(out)
    assert after.keys() == before.keys() and all(after[name] != before[name] for name in before)
    for marker in out.glob("sequences/*/predictions.json"):  # as before there was a choice of speeds
        marker.write_text(json.dumps({k: v for k, v in json.loads(marker.read_text()).items() if k != "speed"}))
    run_predict(trained.folder, root, "-o", out, "--sequences", "2", "--epoch", 1)
    assert len(labels_in(out)) == 6, "other sequences of the same network join them"
    run_predict(trained.folder, root, "-o", out, "--epoch", 1, "--sequences", "0-2")
    assert "nothing to do" in capsys.readouterr().out


def test_predictions_of_other_software_stay(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "sequences/00/predictions/000000.label"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"1234")
    with pytest.raises(UserError, match=r"no whole predictions\.json that says whose"):
        run_predict(trained.folder, trained.root("synthetic"), "-o", tmp_path, "--sequences", "0")
    assert path.read_bytes() == b"1234"


def test_a_dataset_that_has_changed_is_noticed(trained: Trained, tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(trained.root("real"), root)
    command = (trained.folder, root, "-o", out, "--taxonomy", "semantic-kitti", "--sequences", "0")
    run_predict(*command)
    before = labels_in(out)
    for path in (root / "sequences/00/velodyne").iterdir():
        points = read_points(path)
        points[:, 3] *= 0.5
        path.write_bytes((points * [1.2, 1.2, 1, 1]).astype("<f4").tobytes())
    with pytest.raises(UserError, match="other scans of the same names"):
        run_predict(*command)
    assert labels_in(out) == before
    run_predict(*command, "--overwrite")
    assert labels_in(out) != before


def test_predictions_do_not_hide_a_dataset_without_the_sequences_level(trained: Trained, tmp_path: Path) -> None:
    root = tmp_path / "SynLiDAR"
    shutil.copytree(trained.root("synthetic"), root)
    with pytest.raises(UserError, match="own folder"):
        run_predict(trained.folder, root, "-o", root)
    assert not (root / "sequences").exists()
    real = tmp_path / "SemanticKITTI"
    shutil.copytree(trained.root("real"), real)
    run_predict(trained.folder, real, "-o", real, "--taxonomy", "semantic-kitti", "--sequences", "0")
    assert (real / "sequences/00/predictions/000001.label").is_file()


# -- what is wrong is named -------------------------------------------------------------------------------------------


def fails(match: str, *arguments: object) -> str:
    with pytest.raises(UserError) as raised:
        run_predict(*arguments)
    text = str(raised.value)
    assert match in text, text
    return text


def test_wrong_runs_epochs_taxonomies_and_devices_are_named(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = trained.root("synthetic"), ["-o", tmp_path / "out"]
    fails("no run's folder", tmp_path / "elsewhere", root, *out)
    assert trained.run in fails("no such run", trained.folder[:-2] + "xx", root, *out)
    fails("epochs 1, 2", trained.folder, root, *out, "--epoch", 7)
    fails("other classes than the network", trained.folder, root, *out, "--taxonomy", "semantic-kitti-moving")
    fails("no such device", trained.folder, root, *out, "--device", "abacus")
    fails("no such device", trained.folder, root, *out, "--device", "meta")
    fails("torch cannot use this GPU", trained.folder, root, *out, "--device", "cuda:99")
    fails("no such dataset folder", trained.folder, tmp_path / "nowhere", *out)
    monkeypatch.setattr("lidartune.scoring.trained.built_in_taxonomies", lambda: ("semantic-kitti",))
    fails("name it with --taxonomy", trained.folder, root, *out)
    assert not (tmp_path / "out").exists(), "nothing half-written"


def test_a_run_is_found_from_inside_the_store(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.results / "runs")
    for name in (trained.run, f"./{trained.run}/", f"../runs/{trained.run}"):
        assert load_trained(name, 1, torch.device("cpu")).epoch == 1


def test_a_damaged_store_is_one_message(damaged: Trained, tmp_path: Path) -> None:
    folder = Path(damaged.folder)
    command = (damaged.folder, damaged.root("synthetic"), "-o", tmp_path / "out")
    weights = next((folder / "epoch-000002/state").glob("weights-*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    fails("a committed file is damaged", *command)
    weights.unlink()
    fails("a committed file is damaged", *command)
    (folder / "epoch-000002/state/commit.json").write_text("{")
    assert load_trained(damaged.folder, None, torch.device("cpu")).epoch == 1, "an epoch without a commit is not there"
    spec = json.loads((folder / "spec.json").read_text())
    for text, match in (
        ("{", "a run's record is damaged"),
        ("[]", "a run's record is damaged"),
        ("{}", "this run's record cannot be read"),
        (json.dumps(spec | {"later": 1}), "of another version"),
        (json.dumps(spec | {"backbone": "squeezesegv3"}), "nknown backbone"),
        (json.dumps(spec | {"channels": 0.25}), "do not fit the network"),
        (json.dumps(spec | {"recipe": {"learning_rate": -1}}), "this run's record cannot be read"),
        (json.dumps(spec | {"canvas": None}), "this run's record cannot be read"),
    ):
        (folder / "spec.json").write_text(text)
        fails(match, *command)
    shutil.rmtree(folder / "epoch-000001")
    (folder / "spec.json").write_text(json.dumps(spec))
    fails("no weights are kept of this run", *command)
    assert not (tmp_path / "out").exists()


def test_a_scan_that_is_cut_short_ends_it_and_the_rest_stays(trained: Trained, tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(trained.root("real"), root)
    broken = root / "sequences/01/velodyne/000001.bin"
    broken.write_bytes(broken.read_bytes()[:-3])
    text = fails("no whole file of points", trained.folder, root, "-o", out, "--taxonomy", "semantic-kitti")
    assert str(broken) in text
    assert "sequences/00/predictions/000000.label" in labels_in(out)

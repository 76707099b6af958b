"""A network as ONNX says in onnxruntime what it says in torch, and nothing is written where it does not."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lidartune.processes
from lidartune.canvas import Sensor, project
from lidartune.cli.export import export
from lidartune.cli.import_bonnetal import import_bonnetal
from lidartune.errors import UserError
from lidartune.export.agreement import ROUNDING, agreement, compared, stacked, street_scan
from lidartune.export.onnx_model import onnx_model
from lidartune.runs.spec import NetworkForm
from lidartune.scans import CLASS_NAMES, read_points
from lidartune.scoring.trained import TrainedNetwork, load_trained
from lidartune.training.state import Normalization
from tests.backbones.bonnetal_folder import random_network
from tests.runs.model_folder import SENSOR, small_folder
from tests.runs.test_spec import SPEC

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

NETWORKS = [
    ("squeezeseg", {"crf": True}),
    ("squeezesegv2", {}),
    ("squeezesegv2", {"crf": True, "circular": True}),
    ("darknet21", {"inputs": ("range", "x", "y", "z", "mask"), "output_stride": 8}),
    ("darknet53", {}),
    ("cenet", {}),
    ("cenet", {"circular": True}),
]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lidartune.processes, "available_processors", lambda: 1)


def trained(name: str, channels: float = 0.25, **options: Any) -> TrainedNetwork:
    model = random_network(name, channels=channels, **options)
    form = NetworkForm(**{key: value for key, value in options.items() if key != "channels"})
    return TrainedNetwork(
        run="made-up",
        epoch=3,
        spec=dataclasses.replace(SPEC, start=None, backbone=name, channels=channels, canvas=SENSOR, network=form),
        model=model,
        normalization=Normalization(means=(12.1, 10.9, 0.2, -1.0, 0.2), stds=(12.3, 11.5, 6.9, 0.9, 0.2)),
        weights_sha256="0" * 64,
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="module")
def network() -> TrainedNetwork:
    return trained("squeezesegv2")


@pytest.fixture(scope="module")
def model(network: TrainedNetwork) -> bytes:
    return onnx_model(network)


def run_model(model: bytes, images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images, "mask": masks})[0]


def scans(count: int) -> tuple[np.ndarray, np.ndarray]:
    return stacked([project(street_scan(SENSOR, seed), SENSOR) for seed in range(count)])


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_every_backbone_says_the_same_in_onnxruntime(name: str, options: dict[str, Any]) -> None:
    network = trained(name, **options)
    found = agreement(onnx_model(network), network)
    assert found.same and found.draws <= 2 and 0 < found.largest_difference < 1e-5
    assert found.pixels > SENSOR.height * SENSOR.width, "two scans of more than half a canvas"


def test_its_classes_are_those_of_predict(network: TrainedNetwork, model: bytes) -> None:
    canvases = [project(street_scan(SENSOR, seed), SENSOR) for seed in range(3)]
    logits = run_model(model, *stacked(canvases))
    classes, wanted = logits[:, 1:].argmax(1) + 1, network.class_images(canvases)
    assert len(np.unique(wanted)) > 2 and (classes != wanted).sum() <= 2


def test_its_classes_on_real_scans_are_those_of_predict(
    network: TrainedNetwork, model: bytes, shared_data: Path
) -> None:
    paths = sorted((shared_data / "semantic-kitti-mini").rglob("velodyne/*.bin"))[:3]
    canvases = [project(read_points(path), SENSOR) for path in paths]
    images, masks = stacked(canvases)
    with torch.inference_mode():
        normalised = network.normalization.apply(torch.from_numpy(images), torch.from_numpy(masks))
        wanted = network.model(normalised, torch.from_numpy(masks)).numpy()
    found = compared(run_model(model, images, masks), wanted, masks)
    assert found.same and found.pixels > len(paths) * 800


def test_what_an_empty_pixel_holds_does_not_matter(model: bytes) -> None:
    images, masks = scans(1)
    assert not masks.all()
    other = np.where(masks[:, None], images, np.nan).astype(np.float32)
    assert np.array_equal(run_model(model, images, masks), run_model(model, other, masks))


def test_any_number_of_scans_at_once(model: bytes) -> None:
    images, masks = scans(3)
    together = run_model(model, images, masks)
    for scan in range(3):
        alone = run_model(model, images[scan : scan + 1], masks[scan : scan + 1])
        np.testing.assert_allclose(together[scan], alone[0], rtol=1e-4, atol=1e-4)


def test_what_it_is_and_means_stands_inside(network: TrainedNetwork, model: bytes) -> None:
    parsed = onnx.load_from_string(model)
    facts = {entry.key: entry.value for entry in parsed.metadata_props}
    assert json.loads(facts["classes"]) == list(CLASS_NAMES)
    assert json.loads(facts["sensor"]) == {"height": 16, "width": 64, "fov_up_deg": 3.0, "fov_down_deg": -25.0}
    assert json.loads(facts["channels"]) == ["range", "x", "y", "z", "remission"]
    assert json.loads(facts["means"]) == list(network.normalization.means)
    assert (facts["run"], facts["epoch"], facts["backbone"]) == ("made-up", "3", "squeezesegv2")
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*parsed.graph.input, *parsed.graph.output]
    }
    assert shapes == {
        "image": ["batch", 5, 16, 64], "mask": ["batch", 16, 64], "logits": ["batch", 20, 16, 64]
    }  # fmt: skip


def test_a_model_with_other_weights_does_not_agree(network: TrainedNetwork, model: bytes) -> None:
    parsed = onnx.load_from_string(model)
    bias = next(tensor for tensor in parsed.graph.initializer if list(tensor.dims) == [20])
    values = onnx.numpy_helper.to_array(bias) + np.linspace(0, 9, 20, dtype=np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    found = agreement(parsed.SerializeToString(), network)
    assert not found.same and found.differing > 0 and found.largest_difference > ROUNDING


def test_a_draw_is_no_disagreement_but_another_class_is() -> None:
    wanted = np.zeros((1, 4, 1, 3), np.float32)
    wanted[0, :, 0] = [[9.0, 0.0, 0.0], [1.0, 5.0, 0.0], [1.00001, 0.0, 0.0], [0.0, 0.0, 3.0]]
    masks = np.array([[[True, True, False]]])
    nudged = wanted.copy()
    nudged[0, 1, 0, 0] += 0.00005  # now class 1 is ahead of class 2, by less than rounding
    found = compared(nudged, wanted, masks)
    assert (found.pixels, found.differing, found.draws, found.same) == (2, 0, 1, True)
    swapped = wanted.copy()
    swapped[0, 3, 0, 1] = 6.0
    found = compared(swapped, wanted, masks)
    assert (found.differing, found.same) == (1, False)
    empty = wanted.copy()
    empty[0, 1, 0, 2] = 0.0001  # where there is no point, logits count but classes do not
    assert compared(empty, wanted, masks).same
    assert not compared(np.full_like(wanted, np.nan), wanted, masks).same


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imported")
    folder = small_folder(root / "model", "squeezeseg", num_classes=7)
    import_bonnetal.main([str(folder), "-o", str(root / "runs" / "mine")], standalone_mode=False)
    return root / "runs" / "mine"


def run_export(run: Path, output: Path, *more: str) -> None:
    export.main([str(run), "-o", str(output), *more], standalone_mode=False)


def test_the_command_writes_a_model_that_it_has_tried(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "model.onnx"
    run_export(run, target, "--epoch", "0")
    said = " ".join(capsys.readouterr().out.split())
    assert "predicts the same classes as torch on" in said and f"model {target}" in said
    network = load_trained(str(run), None, torch.device("cpu"))
    assert agreement(target.read_bytes(), network).same
    facts = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    assert json.loads(facts["classes"]) == ["ignored", *(f"kind {number}" for number in range(1, 7))]
    assert json.loads(facts["raw_ids"]) == list(range(7)) and facts["weights_sha256"] == network.weights_sha256


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_a_package_the_extra_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"(?s)package {package} is needed.*pip install 'lidartune\[export\]'"):
        run_export(run, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_that_disagrees_is_not_written(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"before")
    network = load_trained(str(run), None, torch.device("cpu"))
    other = dataclasses.replace(network, normalization=Normalization(means=(0.0,) * 5, stds=(3.0,) * 5))
    exported = onnx_model(other)
    monkeypatch.setattr("lidartune.export.onnx_model.onnx_model", lambda network: exported)
    with pytest.raises(UserError, match=r"(?s)does not predict what torch predicts.*pixels have another class"):
        run_export(run, target)
    assert target.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_a_runtime_that_cannot_run_it_is_one_message(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lidartune.export.onnx_model.onnx_model", lambda network: b"no model")
    with pytest.raises(UserError, match=r"(?s)onnxruntime cannot run the model"):
        run_export(run, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "epoch", "message"), [("model.pt", "0", "ends in .onnx"), ("model.onnx", "5", "epochs 0")]
)
def test_what_cannot_be_exported(run: Path, tmp_path: Path, name: str, epoch: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_export(run, tmp_path / name, "--epoch", epoch)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "sensor", [Sensor(64, 512, 3.0, -25.0), Sensor(32, 128, -2.0, -30.0), Sensor(16, 64, 15.0, 5.0)]
)
def test_the_made_up_scan_fills_any_canvas(sensor: Sensor) -> None:
    canvas = project(street_scan(sensor, 0), sensor)
    assert 0.5 < canvas.mask.mean() < 0.99
    assert np.isfinite(canvas.image).all() and canvas.image[0][canvas.mask].std() > 1.0

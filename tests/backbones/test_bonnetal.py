"""Model folders of lidar-bonnetal: read to the last tensor, or refused in one message."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lidartune.backbones import load_bonnetal
from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.scans import load_taxonomy
from tests.backbones.bonnetal_folder import PARTS, arch, random_network, write_folder


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network()


@pytest.fixture
def folder(network: Network, tmp_path: Path) -> Path:
    return write_folder(tmp_path / "model", network)


def logits(network: Network) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    masks = torch.rand(1, 8, 64, generator=generator) > 0.2
    with torch.no_grad():
        return network.eval()(torch.randn(1, 5, 8, 64, generator=generator) * masks.unsqueeze(1), masks)


def same(found: Network, wanted: Network) -> None:
    assert found.state_dict().keys() == wanted.state_dict().keys()
    for key, value in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key
    assert torch.equal(logits(found), logits(wanted))


@pytest.mark.parametrize(
    ("name", "crf"),
    [("squeezeseg", False), ("squeezesegv2", False), ("squeezesegv2", True), ("darknet21", False), ("darknet53", True)],
)
def test_every_tensor_finds_its_place(name: str, crf: bool, tmp_path: Path) -> None:
    wanted = random_network(name, crf=crf)
    same(load_bonnetal(write_folder(tmp_path, wanted)), wanted)


@pytest.mark.parametrize(
    "options", [{"inputs": ("x", "y", "z")}, {"inputs": ("range", "remission")}, {"output_stride": 4}]
)
def test_other_inputs_and_output_strides(options: dict[str, Any], tmp_path: Path) -> None:
    wanted = random_network(**options)
    found = load_bonnetal(write_folder(tmp_path, wanted))
    same(found, wanted)
    assert found.options.inputs == wanted.options.inputs and found.stride == wanted.stride


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_old_files_saved_on_a_gpu_and_by_data_parallel(
    network: Network, tmp_path: Path, legacy: bool, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        write_folder(tmp_path, network, legacy=legacy, prefix=prefix)
    assert zipfile.is_zipfile(tmp_path / "backbone") is not legacy
    assert b"cuda:0" in (tmp_path / "segmentation_head").read_bytes()
    same(load_bonnetal(tmp_path), network)


def test_the_best_training_epoch_beside_the_best_validation_epoch(network: Network, tmp_path: Path) -> None:
    write_folder(tmp_path, network)
    torch.manual_seed(9)
    other = random_network()
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1.5)
    write_folder(tmp_path, other, suffix="_train")
    same(load_bonnetal(tmp_path), network)
    same(load_bonnetal(tmp_path, which="train"), other)
    (tmp_path / "segmentation_decoder").unlink()
    with pytest.raises(UserError, match="no file segmentation_decoder(.|\n)*take the train weights"):
        load_bonnetal(tmp_path)
    with pytest.raises(UserError, match="valid or train"):
        load_bonnetal(tmp_path, which="_train")


def test_the_configuration_comes_with_the_weights(tmp_path: Path) -> None:
    wanted = random_network("squeezesegv2")
    found = load_bonnetal(write_folder(tmp_path, wanted))
    config = found.configuration
    assert config is not None and wanted.configuration is None
    assert (config.sensor.height, config.sensor.width) == (64, 2048)
    assert (config.sensor.fov_up_deg, config.sensor.fov_down_deg) == (3, -25)
    assert config.means == (12.12, 10.88, 0.23, -1.04, 0.21) and config.stds == (12.32, 11.47, 6.91, 0.86, 0.16)
    assert config.taxonomy == load_taxonomy("semantic-kitti")
    recipe = config.recipe
    assert (recipe.learning_rate, recipe.decay_per_epoch, recipe.batch_size, recipe.epochs) == (0.002, 0.99, 8, 150)
    assert found.get_submodule("backbone.dropout").p == 0.01
    assert found.get_submodule("head.0").p == pytest.approx(1 - 0.98 * 0.7)  # decoder 0.02, head 0.3
    assert not found.options.skip_gradient
    assert all(p.is_contiguous() for p in found.parameters())


def test_loading_draws_nothing_from_the_random_generator(folder: Path) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    load_bonnetal(folder)
    assert torch.equal(torch.rand(1), wanted)


def test_another_number_of_classes(tmp_path: Path) -> None:
    wanted = random_network(num_classes=6)
    found = load_bonnetal(write_folder(tmp_path, wanted, classes=6))
    assert logits(found).shape[1] == 6
    write_folder(tmp_path, wanted, classes=7)
    with pytest.raises(UserError, match=r"head(.|\n)*1\.weight of shape \(6, 64, 3, 3\) instead of \(7, 64, 3, 3\)"):
        load_bonnetal(tmp_path)


def change(file: str, edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Edits the values of a file in place."""

    def fault(folder: Path) -> None:
        path = folder / file
        if file.endswith(".yaml"):
            values = yaml.safe_load(path.read_text())
            edit(values)
            path.write_text(yaml.safe_dump(values))
        else:
            tensors = torch.load(path, weights_only=True)
            edit(tensors)
            torch.save(tensors, path)

    return fault


def rewrite(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(content) and None


ARCH = "arch_cfg.yaml"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no arch_cfg": (lambda f: (f / ARCH).unlink(), r"no file arch_cfg\.yaml"),
    "no data_cfg": (lambda f: (f / "data_cfg.yaml").unlink(), r"no file data_cfg\.yaml"),
    "no backbone": (lambda f: (f / "backbone").unlink(), r"no file backbone"),
    "no head": (lambda f: (f / "segmentation_head").unlink(), r"no file segmentation_head"),
    "broken YAML": (rewrite(ARCH, b"backbone: {name: [squeezeseg\ntrain: 3"), r"arch_cfg\.yaml, line \d"),
    "empty YAML": (rewrite(ARCH, b""), r"arch_cfg\.yaml"),
    "a list": (rewrite(ARCH, b"[1, 2]"), r"arch_cfg\.yaml"),
    "no text": (rewrite(ARCH, b"\xff\xfe\x00"), r"arch_cfg\.yaml"),
    "broken data YAML": (rewrite("data_cfg.yaml", b"labels: {0: a"), r"data_cfg\.yaml, line 1"),
    "YAML that makes objects": (rewrite(ARCH, b"a: !!python/object/apply:os.mkdir [canary]"), r"arch_cfg\.yaml, line"),
    "unknown backbone": (change(ARCH, lambda a: a["backbone"].update(name="resnet")), r"backbone\.name(.|\n)*resnet"),
    "unknown darknet": (
        change(ARCH, lambda a: (a["backbone"].update(name="darknet"), a["decoder"].update(name="darknet"))),
        r"extra\.layers(.|\n)*21 or 53",
    ),
    "another decoder": (change(ARCH, lambda a: a["decoder"].update(name="darknet")), r"decoder\.name(.|\n)*darknet"),
    "no means": (change(ARCH, lambda a: a["dataset"]["sensor"].pop("img_means")), r"sensor\.img_means"),
    "four means": (change(ARCH, lambda a: a["dataset"]["sensor"]["img_means"].pop()), r"sensor\.img_means"),
    "a deviation of 0": (
        change(ARCH, lambda a: a["dataset"]["sensor"].update(img_stds=[1, 0, 1, 1, 1])), r"img_stds\.1"
    ),
    "no width": (change(ARCH, lambda a: a["dataset"]["sensor"]["img_prop"].pop("width")), r"img_prop\.width"),
    "an angle in words": (change(ARCH, lambda a: a["dataset"]["sensor"].update(fov_up="up")), r"sensor\.fov_up"),
    "no field of view": (change(ARCH, lambda a: a["dataset"]["sensor"].update(fov_up=0, fov_down=0)), r"field of view"),
    "odd output stride": (change(ARCH, lambda a: a["backbone"].update(OS=12)), r"arch(.|\n)*output_stride(.|\n)*12"),
    "no input": (
        change(ARCH, lambda a: a["backbone"].update(input_depth={"range": False, "xyz": False, "remission": False})),
        r"arch_cfg(.|\n)*inputs",
    ),
    "CRF without its file": (
        change(ARCH, lambda a: a["post"].update(CRF=arch(random_network(crf=True))["post"]["CRF"])),
        r"no file segmentation_CRF",
    ),
    "CRF of other settings": (
        change(ARCH, lambda a: a["post"].update(CRF={"use": True, "params": {
            "iter": 5, "lcn_size": {"h": 3, "w": 5}, "xyz_coef": 0.1, "xyz_sigma": 0.7}})),
        r"post\.CRF\.params",
    ),
    "CRF that is not used": (rewrite("segmentation_CRF", b"?"), r"segmentation_CRF(.|\n)*post\.CRF\.use"),
    "missing tensor": (change("backbone", lambda t: t.pop("conv1b.bias")), r"backbone\n(.|\n)*no conv1b\.bias"),
    "extra tensor": (
        change("segmentation_decoder", lambda t: t.update(extra=torch.zeros(1))), r"decoder\n(.|\n)*extra, which has no"
    ),
    "wrong shape": (
        change("segmentation_head", lambda t: t.update({"1.bias": torch.zeros(19)})),
        r"head\n(.|\n)*1\.bias of shape \(19,\) instead of \(20,\)",
    ),
    "wrong type": (
        change("segmentation_head", lambda t: t.update({"1.bias": torch.zeros(20, dtype=torch.int64)})),
        r"head\n(.|\n)*1\.bias of type torch\.int64",
    ),
    "not a number": (
        change("segmentation_head", lambda t: t["1.bias"].fill_(float("nan"))), r"1\.bias with values that are no num"
    ),
    "another architecture": (
        lambda f: write_folder(f, random_network("squeezesegv2")) and change(ARCH, lambda a: a.update(
            arch(random_network())))(f),
        r"backbone\n(.|\n)*squeezeseg with 20 classes",
    ),
    "text for weights": (rewrite("backbone", b"version https://git-lfs.github.com/spec"), r"cannot(.|\n)*model/backb"),
    "nothing for weights": (rewrite("backbone", b""), r"cannot be read(.|\n)*model/backbone(.|\n)*0 bytes"),
    "a list of tensors": (lambda f: torch.save([torch.zeros(2)], f / "backbone"), r"no state dict"),
    "tensors in a dictionary": (
        lambda f: torch.save({"state_dict": {"a": torch.zeros(2)}}, f / "backbone"), r"state_dict: dict"
    ),
    "a folder for weights": (
        lambda f: ((f / "backbone").unlink(), (f / "backbone").mkdir()), r"no file backbone"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_folder_that_is_not_in_order(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, message = FAULTS[name]
    monkeypatch.chdir(folder)
    fault(folder)
    with pytest.raises(UserError) as error:
        load_bonnetal(folder)
    assert re.search(message, str(error.value)), error.value
    assert error.value.__suppress_context__ or error.value.__cause__ is None
    assert str(error.value).count("\n") <= 6
    assert not (folder / "canary").exists()


def test_weights_of_a_crf_with_other_settings(tmp_path: Path) -> None:
    write_folder(tmp_path, random_network(crf=True))
    change("segmentation_CRF", lambda t: t["iter"].fill_(5))(tmp_path)
    with pytest.raises(UserError, match="segmentation_CRF\n(.|\n)*iter of 5 instead of 3"):
        load_bonnetal(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model folder"):
        load_bonnetal(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="found:  a file"):
        load_bonnetal(tmp_path / "file")


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def save_plainly(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


WRITERS: dict[str, Callable[[object, Path], None]] = {
    "zip": torch.save,
    "before 1.6": lambda value, path: torch.save(value, path, _use_new_zipfile_serialization=False),
    "bare pickle": save_plainly,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("file", list(PARTS)[:3])
def test_a_file_that_runs_code_is_refused_unopened(writer: str, file: str, folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    tensors = torch.load(folder / file, weights_only=True)
    key = next(iter(tensors))
    WRITERS[writer]({**tensors, key: Canary(canary)}, folder / file)
    with pytest.raises(UserError, match=rf"{file}(.|\n)*") as error:
        load_bonnetal(folder)
    assert not canary.exists()
    assert "would run code" in str(error.value) and "mkdir" in str(error.value)
    if writer == "bare pickle":
        pickle.loads((folder / file).read_bytes())
    else:
        torch.load(folder / file, weights_only=False)
    assert canary.exists()  # it would have


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_program_is_refused(folder: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(folder / "backbone"))
    with pytest.raises(UserError, match="would run code"):
        load_bonnetal(folder)


@pytest.fixture(scope="module")
def cut_folders(network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple[Path, bytes]]:
    folders = {}
    for legacy in (False, True):
        folder = write_folder(tmp_path_factory.mktemp("cut"), network, legacy=legacy)
        folders[legacy] = (folder, (folder / "segmentation_head").read_bytes())
    return folders


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(legacy=st.booleans(), share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(
    legacy: bool, share: float, cut_folders: dict[bool, tuple[Path, bytes]]
) -> None:
    folder, content = cut_folders[legacy]
    (folder / "segmentation_head").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="segmentation_head"):
        load_bonnetal(folder)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(legacy=st.booleans(), place=st.integers(0, 1500), value=st.integers(0, 255))
def test_a_file_with_a_wrong_byte_is_read_or_refused(
    legacy: bool, place: int, value: int, cut_folders: dict[bool, tuple[Path, bytes]]
) -> None:
    folder, content = cut_folders[legacy]
    changed = bytearray(content)
    changed[place] = value
    (folder / "segmentation_head").write_bytes(changed)
    try:
        assert isinstance(load_bonnetal(folder), Network)
    except UserError as error:
        assert "segmentation_head" in str(error)

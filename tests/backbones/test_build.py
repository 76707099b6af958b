"""What `build` promises: the published sizes and keys, sane scaling, clear errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lidartune.backbones import BACKBONES, NAMES, STRIDES, build
from lidartune.errors import UserError

PUBLISHED = {"squeezeseg": 915_540, "squeezesegv2": 928_464, "darknet21": 24_712_980, "darknet53": 50_377_364}
PARITY = Path(__file__).parents[2].parent / "shared" / "parity"


@pytest.mark.parametrize("name", NAMES)
def test_published_parameter_count(name: str) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build(name).parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_shapes_are_the_published_ones(name: str) -> None:
    path = PARITY / f"state_dict_{name.replace('segv2', 'segV2')}.json"
    if not path.exists():
        pytest.skip("no key lists on this machine")
    wanted = json.loads(path.read_text())["state_dict"]
    with torch.device("meta"):
        found = {
            key: [list(v.shape), str(v.dtype).removeprefix("torch.")] for key, v in build(name).state_dict().items()
        }
    assert found == wanted


@pytest.mark.parametrize(
    ("name", "key", "shape"),
    [
        ("squeezeseg", "backbone.conv1b.weight", (64, 5, 1, 1)),
        ("squeezeseg", "backbone.fire6789.4.expand3x3.weight", (256, 64, 3, 3)),
        ("squeezesegv2", "backbone.conv1a.3.unsqueeze_bn.running_var", (64,)),
        ("squeezesegv2", "backbone.fire23.4.squeeze.weight", (8, 128, 1, 1)),
        ("squeezesegv2", "decoder.firedec10.upconv.weight", (64, 64, 1, 4)),
        ("darknet21", "backbone.enc3.residual_1.conv2.weight", (256, 128, 3, 3)),
        ("darknet53", "backbone.enc4.residual_7.bn1.num_batches_tracked", ()),
        ("darknet53", "decoder.dec1.residual.conv1.weight", (64, 32, 1, 1)),
        ("darknet53", "head.1.bias", (20,)),
    ],
)
def test_key_names(name: str, key: str, shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        assert tuple(build(name).state_dict()[key].shape) == shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [0.05, 0.2, 0.25, 0.3])
def test_scaled_networks_run(name: str, channels: float) -> None:
    net = build(name, channels=channels, num_classes=7)
    assert net(torch.zeros(1, 5, 2, 64)).shape == (1, 7, 2, 64)


@pytest.mark.parametrize("name", NAMES)
def test_a_quarter_of_the_channels(name: str) -> None:
    with torch.device("meta"):
        weights = build(name, channels=0.25).state_dict()
    narrow = {key: v.shape[0] for key, v in weights.items() if v.dim() == 4 and v.shape[0] % 4}
    # the gates' bottlenecks alone, c / 16
    assert all(".squeeze." in key and rows == max(1, weights[key].shape[1] // 16) for key, rows in narrow.items())
    assert bool(narrow) == (name == "squeezesegv2")
    if name == "squeezesegv2":
        assert weights["backbone.conv1a.3.squeeze.weight"].shape == (1, 16, 1, 1)


def test_the_seed_fixes_the_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build("squeezesegv2", channels=0.25).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_published_dropout_and_momentum() -> None:
    net = build("squeezeseg", channels=0.25)
    assert net.get_submodule("head.0").p == pytest.approx(1 - 0.99 * 0.7)  # the decoder's 0.01, then the head's 0.3
    assert net.get_submodule("backbone.dropout").p == 0.01
    norms = [m for m in build("darknet21", channels=0.25, bn_momentum=0.2).modules() if hasattr(m, "running_mean")]
    assert norms and all(m.momentum == 0.2 for m in norms)


def test_strides() -> None:
    assert set(STRIDES) == set(BACKBONES) == set(NAMES) == set(PUBLISHED)
    for name in NAMES:
        net = build(name, channels=0.25)
        assert net.stride == STRIDES[name]
        seen = []
        net.backbone.register_forward_hook(lambda m, x, y: seen.append(y[0].shape[-1]))  # noqa: B023
        net(torch.zeros(1, 5, 2, 64))
        assert seen == [64 // STRIDES[name]]


def test_names_come_without_torch() -> None:
    code = "import sys; from lidartune.backbones.names import STRIDES; assert STRIDES and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'squeezesegv2'"):
        build("squeezesegV2")


@pytest.mark.parametrize(
    "wrong", [{"channels": 0.0}, {"channels": float("nan")}, {"num_classes": 1}, {"dropout": 1.0}, {"bn_momentum": 0.0}]
)
def test_values_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        build("squeezeseg", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "width"), [("squeezesegv2", 24), ("darknet21", 48)])
def test_a_width_that_does_not_fit(name: str, width: int) -> None:
    with pytest.raises(UserError, match=f"multiple of {STRIDES[name]}"):
        build(name, channels=0.25)(torch.zeros(1, 5, 16, width))

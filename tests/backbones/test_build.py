"""What `build` makes: sizes, names, groups, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lidartune.backbones import BACKBONES, INPUTS, NAMES, STRIDES, build
from lidartune.errors import UserError

# encoder, decoder, head; cenet as its public code counts without the auxiliary heads, the others as lidar-bonnetal's
PUBLISHED = {
    "squeezeseg": (724_032, 179_968, 11_540),
    "squeezesegv2": (735_676, 181_248, 11_540),
    "darknet21": (14_921_120, 9_786_080, 5_780),
    "darknet53": (40_585_504, 9_786_080, 5_780),
    "cenet": (5_001_408, 1_770_240, 2_580),
}
TOTAL = {
    "squeezeseg": 915_540,
    "squeezesegv2": 928_464,
    "darknet21": 24_712_980,
    "darknet53": 50_377_364,
    "cenet": 6_774_228,
}
PARITY = Path(__file__).parents[2].parent / "shared" / "parity"


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_published_parameter_count(name: str) -> None:
    with torch.device("meta"):
        net = build(name)
    assert (count(net.backbone), count(net.decoder), count(net.head)) == PUBLISHED[name]
    assert count(net) == TOTAL[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_crf_has_425_parameters_of_which_420_learn(name: str) -> None:
    with torch.device("meta"):
        net = build(name, crf=True)
    assert net.CRF is not None
    assert count(net) == TOTAL[name] + 425
    assert sum(p.numel() for p in net.CRF.parameters() if p.requires_grad) == 420


@pytest.mark.parametrize("file", ["squeezeseg", "squeezesegV2", "squeezesegV2_crf", "darknet21", "darknet53"])
def test_keys_and_shapes_are_the_published_ones(file: str) -> None:
    path = PARITY / f"state_dict_{file}.json"
    if not path.exists():
        pytest.skip("no key lists on this machine")
    wanted = json.loads(path.read_text())
    with torch.device("meta"):
        net = build(file.removesuffix("_crf").lower(), crf=file.endswith("_crf"))
    assert {
        key: [list(v.shape), str(v.dtype).removeprefix("torch.")] for key, v in net.state_dict().items()
    } == wanted["state_dict"]
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == wanted["params_trainable"]


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
        ("cenet", "backbone.layer2.0.downsample.0.weight", (128, 128, 1, 1)),
        ("cenet", "decoder.conv_1.conv.weight", (256, 640, 3, 3)),
        ("cenet", "head.1.weight", (20, 128, 1, 1)),
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
    assert all(m.p == 0.0 for m in build("cenet", channels=0.25).modules() if isinstance(m, nn.Dropout2d))
    for name, published in (("squeezesegv2", 0.01), ("darknet21", 0.01), ("cenet", 0.1)):
        for given, wanted in ((None, published), (0.2, 0.2)):
            norms = build(name, channels=0.25, bn_momentum=given).norms()
            assert norms and all(norm.momentum == wanted for norm in norms)


def test_strides() -> None:
    assert set(STRIDES) == set(BACKBONES) == set(NAMES) == set(PUBLISHED)
    for name in NAMES:
        net = build(name, channels=0.25)
        assert net.stride == STRIDES[name]
        seen = []
        net.backbone.register_forward_hook(lambda m, x, y: seen.append(y[0].shape[-1]))  # noqa: B023
        net(torch.zeros(1, 5, 2, 64))
        assert seen == [64 // STRIDES[name]]


@pytest.mark.parametrize(
    ("name", "stride"), [(n, 1 << k) for n in ("squeezeseg", "squeezesegv2", "darknet21") for k in range(4)]
)
def test_a_smaller_output_stride_keeps_the_features_wide(name: str, stride: int) -> None:
    net = build(name, channels=0.25, output_stride=stride)
    seen = []
    net.backbone.register_forward_hook(lambda m, x, y: seen.append((y[0].shape[-1], [s.shape[-1] for s in y[1]])))
    width = 3 * stride
    assert net(torch.zeros(1, 5, 2, width)).shape == (1, 20, 2, width)
    skips = [width >> n for n in range(stride.bit_length() - 1)]
    assert seen == [(3, skips)]
    if stride > 1:
        with pytest.raises(UserError, match=f"multiple of {stride}"):
            net(torch.zeros(1, 5, 2, width + 1))


# From lidar-bonnetal with `OS` set so: its FireUp has no transposed convolution where it does not double, DarkNet's
# decoder a 3x3 convolution.
@pytest.mark.parametrize(
    ("name", "stride", "wanted"),
    [
        ("squeezesegv2", 1, 905_808),
        ("squeezesegv2", 8, 912_016),
        ("squeezeseg", 4, 894_964),
        ("darknet21", 1, 28_204_820),
        ("darknet21", 16, 27_334_420),
    ],
)
def test_parameter_count_of_other_output_strides(name: str, stride: int, wanted: int) -> None:
    with torch.device("meta"):
        assert count(build(name, output_stride=stride)) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_groups_hold_everything_once(name: str) -> None:
    net = build(name, channels=0.25, crf=True)
    groups = net.groups()
    assert list(groups)[:2] == ["stem", "stage1"] and list(groups)[-3:] == ["decoder", "head", "crf"]
    stages = {"squeezeseg": 3, "squeezesegv2": 3, "cenet": 4}.get(name, 5)
    assert len(groups) == 1 + stages + 3
    held = [id(p) for members in groups.values() for m in members for p in [*m.parameters(), *m.buffers()]]
    assert sorted(held) == sorted(id(p) for p in [*net.parameters(), *net.buffers()])
    encoder = {id(p) for g in groups if g == "stem" or g.startswith("stage") for m in groups[g] for p in m.parameters()}
    assert encoder == {id(p) for p in net.backbone.parameters()}
    stem = {id(p) for m in groups["stem"] for p in m.parameters()}
    assert {id(p) for p in net.parameters() if p.shape[1:2] == (5,)} <= stem  # whatever reads the five channels
    assert len(net.norms()) == len({key for key in net.state_dict() if key.endswith("running_var")})


@pytest.mark.parametrize("name", NAMES)
def test_input_channels(name: str) -> None:
    x = torch.randn(1, 5, 4, 32)
    for inputs in (("x", "y", "z"), ("range", "mask"), INPUTS):
        net = build(name, channels=0.1, inputs=inputs).eval()
        first = {p.shape[1] for m in net.groups()["stem"] for p in m.parameters() if p.dim() == 4}
        assert len(inputs) in first
        with torch.no_grad():
            before = net(x)
            for place, channel in enumerate(INPUTS[:5]):
                other = x.clone()
                other[:, place] += 1.0
                assert torch.equal(net(other), before) == (channel not in inputs), channel
            masks = torch.ones(1, 4, 32, dtype=torch.bool)
            assert torch.equal(net(x, masks), before)
            masks[..., ::2] = False
            assert torch.equal(net(x, masks), before) == ("mask" not in inputs)


def test_inputs_are_taken_in_the_order_that_is_given() -> None:
    nets = [build("squeezeseg", channels=0.25, inputs=inputs).eval() for inputs in (("z", "mask", "range"), INPUTS)]
    weights = nets[0].state_dict()
    wide = {key: torch.zeros_like(value) for key, value in nets[1].state_dict().items()}
    for key, value in weights.items():
        wide[key] = value if value.shape == wide[key].shape else wide[key].index_add(1, torch.tensor([3, 5, 0]), value)
    nets[1].load_state_dict(wide)
    masks = torch.rand(2, 8, 32) > 0.3
    x = torch.randn(2, 5, 8, 32) * masks.unsqueeze(1)
    with torch.no_grad():
        torch.testing.assert_close(nets[0](x, masks), nets[1](x, masks))


def test_without_a_mask_empty_pixels_are_those_that_are_0_throughout() -> None:
    net = build("squeezesegv2", channels=0.25, inputs=INPUTS, crf=True).eval()
    masks = torch.rand(2, 8, 32) > 0.4
    x = torch.randn(2, 5, 8, 32) * masks.unsqueeze(1)
    x[:, 1] = 0.0  # a channel that is 0 everywhere does not make a pixel empty
    with torch.no_grad():
        assert torch.equal(net(x), net(x, masks))
        assert not torch.equal(net(x), net(x, torch.ones_like(masks)))


def test_names_and_choices_come_without_torch() -> None:
    code = (
        "import sys; from lidartune.backbones.names import STRIDES; import lidartune.backbones;"
        "assert STRIDES and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'squeezesegv2'"):
        build("squeezesegV2")


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0.0},
        {"channels": float("nan")},
        {"num_classes": 1},
        {"dropout": 1.0},
        {"bn_momentum": 0.0},
        {"inputs": ()},
        {"inputs": ("x", "x")},
        {"inputs": ("x", "intensity")},
        {"output_stride": 32},
        {"output_stride": 12},
        {"output_stride": 0},
    ],
)
def test_values_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        build("squeezeseg", **wrong)  # type: ignore[arg-type]


def test_cenet_has_its_own_output_stride_only() -> None:
    with pytest.raises(UserError, match="one of 8"):
        build("cenet", output_stride=4)


@pytest.mark.parametrize(("name", "width"), [("squeezesegv2", 24), ("darknet21", 48), ("cenet", 20)])
def test_a_width_that_does_not_fit(name: str, width: int) -> None:
    with pytest.raises(UserError, match=f"multiple of {STRIDES[name]}"):
        build(name, channels=0.25)(torch.zeros(1, 5, 16, width))

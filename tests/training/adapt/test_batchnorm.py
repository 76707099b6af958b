"""Batch normalisation estimated anew, against torch's own training mode with all that it sees written down."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lidartune.backbones.network import Network
from lidartune.errors import UserError
from lidartune.training.adapt.batchnorm import Layers, Scans, reestimate
from lidartune.training.state import Normalization
from tests.training.adapt.conftest import CPU, NORMALIZATION, Unlabelled, bits, canvases, network, show, streamed

WITH_NORMS = ("squeezesegv2", "darknet21", "cenet")
BOTH: tuple[Layers, Layers] = ("target", "target_layerwise")
NamedMoments = dict[str, tuple[np.ndarray, np.ndarray]]


def adapted(model: Network, scans: Sequence[Unlabelled], layers: Layers) -> Network:
    found = copy.deepcopy(model)
    reestimate(found, NORMALIZATION, streamed(scans), layers, CPU)
    return found


def moments(model: Network) -> NamedMoments:
    return {
        name: (norm.running_mean.numpy().astype(np.float64), norm.running_var.numpy().astype(np.float64))
        for name, norm in model.named_modules()
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    }


def seen_in_training_mode(
    model: Network, batches: Sequence[Sequence[Unlabelled]]
) -> NamedMoments:
    """The plain way: all that reaches each norm in training mode (dropout off), put together; its mean and variance."""
    model = copy.deepcopy(model).eval()
    inputs: dict[str, list[np.ndarray]] = {}
    for name, norm in model.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.train()

            def keep(norm: nn.Module, given: tuple[Tensor], name: str = name) -> None:
                inputs.setdefault(name, []).append(given[0].double().transpose(0, 1).flatten(1).numpy())

            norm.register_forward_pre_hook(keep)
    with torch.no_grad():
        for batch in batches:
            show(model, batch)
    together = {name: np.concatenate(parts, axis=1) for name, parts in inputs.items()}
    return {name: (x.mean(axis=1), x.var(axis=1)) for name, x in together.items()}


def assert_close(found: NamedMoments, wanted: NamedMoments) -> None:
    assert found.keys() == wanted.keys()
    for name, (mean, variance) in wanted.items():
        np.testing.assert_allclose(found[name][0], mean, rtol=2e-4, atol=2e-4 * np.sqrt(variance.max()), err_msg=name)
        np.testing.assert_allclose(found[name][1], variance, rtol=1e-3, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", WITH_NORMS)
def test_one_pass_keeps_the_moments_of_all_that_training_mode_sees_scan_by_scan(name: str) -> None:
    model, scans = network(name), canvases(5)
    wanted = seen_in_training_mode(model, [[scan] for scan in scans])
    assert_close(moments(adapted(model, scans, "target")), wanted)


@pytest.mark.parametrize("name", WITH_NORMS)
def test_layer_by_layer_is_training_mode_on_one_batch_of_all_scans(name: str) -> None:
    model, scans = network(name), canvases(5)
    found = adapted(model, scans, "target_layerwise")
    assert_close(moments(found), seen_in_training_mode(model, [scans]))
    for module in model.modules():
        module.train(isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        torch.testing.assert_close(show(found, scans), show(model, scans), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", WITH_NORMS)
def test_the_two_agree_at_the_first_norm_and_for_one_scan_and_differ_elsewhere(name: str) -> None:
    model, scans = network(name), canvases(5)
    whole, by_layer = (moments(adapted(model, scans, layers)) for layers in BOTH)
    equal = [norm for norm in whole if all(map(np.array_equal, whole[norm], by_layer[norm]))]
    first = "backbone.conv1b.1" if name == "squeezesegv2" else "backbone.bn1" if name == "darknet21" else None
    assert len(equal) in (1, 2) and (first is None or first in equal), "conv1a's and conv1b's both see the input"
    apart = [np.abs(np.log(whole[norm][1] / by_layer[norm][1])).mean() for norm in whole if norm not in equal]
    assert max(apart) > 0.05
    assert bits(adapted(model, scans[:1], "target")) == bits(adapted(model, scans[:1], "target_layerwise"))


@pytest.mark.parametrize("layers", BOTH)
def test_what_the_norms_held_before_and_how_often_it_is_done_changes_nothing(layers: Layers) -> None:
    model, scans = network(), canvases(4)
    once = adapted(model, scans, layers)
    other = copy.deepcopy(model)
    for norm in other.norms():
        assert norm.running_mean is not None
        norm.running_mean.add_(3.0)
    assert bits(once) == bits(adapted(model, scans, layers)) == bits(adapted(once, scans, layers))
    assert bits(once) == bits(adapted(other, scans, layers))
    assert bits(once) != bits(adapted(model, scans[:3], layers))


def test_a_sensor_that_reports_all_twice_as_far_is_undone() -> None:
    """darknet's stem has no bias: twice the input is twice what reaches its norm, and the same behind it."""
    model, scans = network("darknet21"), canvases(4)
    doubled = Normalization(means=NORMALIZATION.means, stds=tuple(s / 2 for s in NORMALIZATION.stds))
    for layers in BOTH:
        plain, far = copy.deepcopy(model), copy.deepcopy(model)
        reestimate(plain, NORMALIZATION, streamed(scans), layers, CPU)
        reestimate(far, doubled, streamed(scans), layers, CPU)
        with torch.no_grad():
            wanted, found, off = show(plain, scans), show(far, scans, doubled), show(plain, scans, doubled)
        assert float((found - wanted).abs().max()) < 0.01 * float((off - wanted).abs().max())


def test_on_the_scans_of_training_it_finds_what_training_found() -> None:
    model, scans = network("darknet21", dropout=0.0), canvases(12)
    for norm in model.norms():
        norm.momentum = None  # torch then averages over all batches
        norm.reset_running_stats()
    model.train()
    with torch.no_grad():
        for scan in scans:
            show(model, [scan])
    trained, found = moments(model), moments(adapted(model, scans, "target"))
    for name, (mean, variance) in trained.items():
        np.testing.assert_allclose(found[name][0], mean, rtol=0.02, atol=0.02 * np.sqrt(variance.max()), err_msg=name)
        within = np.log(found[name][1] / variance)
        assert np.median(within) > -0.15, "training averages what is within scans; between them there is some more"
        assert np.median(within) < 0.5


# -- what is left as it was -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", BOTH)
def test_nothing_but_running_means_and_variances_changes(layers: Layers) -> None:
    model = network("squeezesegv2", dropout=0.5)
    model.decoder.train()
    for parameter in model.head.parameters():
        parameter.requires_grad_(False)
    model.norms()[2].train()
    modes = [module.training for module in model.modules()]
    takes = [parameter.requires_grad for parameter in model.parameters()]
    before, stream = bits(model), torch.get_rng_state()
    reestimate(model, NORMALIZATION, streamed(canvases(3)), layers, CPU)
    changed = {name.rpartition(".")[2] for name, content in bits(model).items() if before[name] != content}
    assert changed == {"running_mean", "running_var"}
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == takes
    assert torch.equal(torch.get_rng_state(), stream) and not hooks(model)


def hooks(model: Network) -> int:
    return sum(len(module._forward_pre_hooks) for module in model.modules())


@pytest.mark.parametrize("layers", BOTH)
def test_a_scan_that_cannot_be_read_leaves_modes_and_no_hooks(layers: Layers) -> None:
    def broken() -> Iterator[Unlabelled]:
        yield from canvases(2)
        raise UserError("a scan file cannot be read")

    model = network()
    model.train()
    with pytest.raises(UserError, match="cannot be read"):
        reestimate(model, NORMALIZATION, broken, layers, CPU)
    assert all(module.training for module in model.modules()) and not hooks(model)
    model(torch.zeros(1, 5, 8, 64))


# -- special networks and scans ---------------------------------------------------------------------------------------


def test_a_norm_that_no_canvas_reaches_keeps_its_own() -> None:
    model = network("squeezesegv2", output_stride=1)  # its full-resolution skip is of no use then
    before, names = moments(model), []
    for layers in BOTH:
        found = copy.deepcopy(model)
        names.append({shift.name for shift in reestimate(found, NORMALIZATION, streamed(canvases(2)), layers, CPU)})
        kept = {n for n, m in moments(found).items() if all(map(np.array_equal, m, before[n]))}
        assert kept == {"backbone.conv1b.1"} == before.keys() - names[-1]


def test_a_network_without_batch_normalisation_is_refused() -> None:
    with pytest.raises(UserError, match=r"no batch normalisation(.|\n)*squeezeseg(.|\n)*leave this rung out"):
        reestimate(network("squeezeseg"), NORMALIZATION, streamed(canvases(1)), "target", CPU)


def test_without_a_scan_there_is_nothing_to_estimate() -> None:
    with pytest.raises(UserError, match="no scan to estimate batch normalisation on"):
        reestimate(network(), NORMALIZATION, streamed([]), "target", CPU)


@pytest.mark.parametrize("layers", BOTH)
def test_empty_and_constant_canvases_stay_finite(layers: Layers) -> None:
    empty = Unlabelled(np.full((5, 8, 64), -1, np.float32), np.zeros((8, 64), bool))
    model = adapted(network(), [empty, empty], layers)
    with torch.no_grad():
        assert show(model, [empty]).isfinite().all()


def test_how_far_each_norm_moved_is_said_in_its_own_deviations() -> None:
    model, scans = network(), canvases(3)
    at_home = copy.deepcopy(model)
    reestimate(at_home, NORMALIZATION, streamed(scans), "target", CPU)
    norm = at_home.norms()[0]
    assert norm.running_mean is not None and norm.running_var is not None
    found: Callable[[], list[float]] = lambda: [  # noqa: E731
        value
        for shift in reestimate(at_home, NORMALIZATION, streamed(scans), "target", CPU)[:1]
        for value in (shift.mean, shift.log_std)
    ]
    assert found() == [0.0, 0.0]
    norm.running_mean.sub_(2 * torch.sqrt(norm.running_var + norm.eps))
    assert found() == pytest.approx([2.0, 0.0], abs=1e-5)
    norm.running_var.copy_(4 * (norm.running_var + norm.eps) - norm.eps)
    assert found() == pytest.approx([0.0, -np.log(2)], abs=1e-5)


def test_each_pass_asks_for_a_fresh_stream() -> None:
    asked = []

    def counted(scans: Scans) -> Scans:
        def stream() -> Iterator[Unlabelled]:
            asked.append(1)
            yield from scans()  # type: ignore[misc]

        return stream

    model = network()
    reestimate(model, NORMALIZATION, counted(streamed(canvases(2))), "target", CPU)
    assert len(asked) == 2, "one look for the order, one pass"
    asked.clear()
    reestimate(model, NORMALIZATION, counted(streamed(canvases(2))), "target_layerwise", CPU)
    assert len(asked) == 1 + len(model.norms())

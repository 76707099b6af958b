"""Adaptations as a run takes them: in their order, on the right scans, and without a label."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lidartune.backbones.network import Network
from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.scans import canvas_statistics, class_counts, open_dataset, write_labels
from lidartune.streetworld import WorldFolder, write_world
from lidartune.training.adapt import adapt as module
from lidartune.training.adapt.adapt import Adapted, adapt
from lidartune.training.adapt.model import Adaptation, why_unadaptable
from lidartune.training.adapt.prior import PriorEstimate, effective_prior, logit_bias
from lidartune.training.adapt.start import adapt_to_scans
from lidartune.training.loader import ScanReader
from tests.conftest import TINY_WORLD
from tests.training.adapt.conftest import CPU, NORMALIZATION, Unlabelled, bits, canvases, network, show, streamed

TAUGHT = np.array([0.0, *np.linspace(1, 3, 18), 0.0]) / 36.0
ORACLE = np.arange(20)
ALL = Adaptation(statistics="target", batchnorm="target_layerwise", prior="em")
BRIEFLY = Adaptation(statistics="target", batchnorm="target", prior="em")


def adapted(
    model: Network, adaptation: Adaptation, scans: list[Unlabelled], **given: np.ndarray
) -> tuple[Network, Adapted]:
    model = copy.deepcopy(model)
    if adaptation.prior != "none":
        given = {"taught": TAUGHT} | given
    return model, adapt(model, NORMALIZATION, adaptation, streamed(scans), device=CPU, **given)


def logits(model: Network, scans: list[Unlabelled]) -> torch.Tensor:
    with torch.no_grad():
        return show(model.eval(), scans)


# -- one at a time ----------------------------------------------------------------------------------------------------


def test_nothing_is_nothing() -> None:
    model = network()
    same, found = adapted(model, Adaptation(), canvases(3))
    assert bits(same) == bits(model) and found.normalization == NORMALIZATION
    assert not any(found.logit_bias) and found.report == {}
    assert Adaptation(scans=3).off and not any(
        Adaptation(**{name: value}).off  # type: ignore[arg-type]
        for name, value in (("statistics", "target"), ("batchnorm", "target"), ("prior", "em"))
    )


def test_statistics_are_those_of_the_target_s_filled_pixels() -> None:
    model, scans = network(), canvases(4)
    same, found = adapted(model, Adaptation(statistics="target"), scans)
    pixels = np.concatenate([scan.image[:, scan.mask] for scan in scans], axis=1).astype(np.float64)
    np.testing.assert_allclose(found.normalization.means, pixels.mean(1), rtol=1e-9)
    np.testing.assert_allclose(found.normalization.stds, pixels.std(1), rtol=1e-9)
    assert bits(same) == bits(model)
    assert found.report == {"statistics": dataclasses.asdict(found.normalization)}


def test_a_channel_that_never_varies_has_deviation_1() -> None:
    scans = canvases(2)
    for scan in scans:
        scan.image[4, scan.mask] = 0.0
    found = adapted(network(), Adaptation(statistics="target"), scans)[1]
    assert found.normalization.means[4] == 0.0 and found.normalization.stds[4] == 1.0


@pytest.mark.parametrize("prior", ["em", "oracle"])
def test_the_prior_is_a_bias_of_the_logits_in_the_network_s_own_head(prior: str) -> None:
    model, scans = network(), canvases(3)
    oracle = {"oracle": ORACLE} if prior == "oracle" else {}
    moved, found = adapted(model, Adaptation(prior=prior), scans, **oracle)  # type: ignore[arg-type]
    changed = {name for name, content in bits(moved).items() if bits(model)[name] != content}
    assert changed == {"head.1.bias"}
    bias = torch.tensor(found.logit_bias, dtype=torch.float32).view(1, -1, 1, 1)
    assert bias.abs().max() > 0.1
    torch.testing.assert_close(logits(moved, scans), logits(model, scans) + bias, rtol=1e-4, atol=1e-4)


def test_the_oracle_is_the_share_of_the_labels() -> None:
    found = adapted(network(), Adaptation(prior="oracle"), canvases(2), oracle=ORACLE)[1]
    counted = np.where(TAUGHT > 0, ORACLE, 0)
    np.testing.assert_allclose(found.report["prior"]["target"], counted / counted.sum())
    np.testing.assert_allclose(found.logit_bias, logit_bias(TAUGHT, counted))


def watched(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The posteriors that the estimate is made of, call by call."""
    seen: list[np.ndarray] = []
    original = module.target_prior

    def noted(posteriors: np.ndarray, taught: np.ndarray) -> PriorEstimate:
        seen.append(posteriors)
        return original(posteriors, taught)

    monkeypatch.setattr(module, "target_prior", noted)
    return seen


def test_the_estimate_is_that_of_the_filled_pixels_posteriors_among_the_classes_taught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, scans = network(), canvases(3)
    seen = watched(monkeypatch)
    report = adapted(model, Adaptation(prior="em"), scans)[1].report["prior"]
    wanted = []
    for scan in scans:
        of_classes = logits(model, [scan])[0].double().numpy()[:, scan.mask].T
        power = np.exp(of_classes) * (TAUGHT > 0)
        wanted.append(power / power.sum(1, keepdims=True))
    np.testing.assert_allclose(seen[0], np.concatenate(wanted), rtol=1e-4, atol=1e-7)
    assert report["pixels"] == sum(scan.mask.sum() for scan in scans)
    assert report["log_likelihood"][1] >= report["log_likelihood"][0] and report["iterations"] > 1


def test_of_large_canvases_some_pixels_evenly_spread_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch)
    scans = canvases(3)
    model = network()
    adapted(model, Adaptation(prior="em"), scans)
    monkeypatch.setattr(module, "PIXELS", 30)
    adapted(model, Adaptation(prior="em"), scans)
    every, some = seen
    assert some.shape == (30, 20)
    begin = 0
    for number, scan in enumerate(scans):
        count = int(scan.mask.sum())
        places = [begin + i * count // 10 for i in range(10)]
        np.testing.assert_array_equal(some[10 * number : 10 * number + 10], every[places])
        begin += count


# -- together ---------------------------------------------------------------------------------------------------------


def test_together_they_are_one_after_another() -> None:
    model, scans = network(), canvases(4)
    at_once, found = adapted(model, ALL, scans)
    step, normalization = copy.deepcopy(model), NORMALIZATION
    for part in (Adaptation(statistics="target"), Adaptation(batchnorm="target_layerwise"), Adaptation(prior="em")):
        taught = TAUGHT if part.prior != "none" else None
        done = adapt(step, normalization, part, streamed(scans), device=CPU, taught=taught)
        normalization = done.normalization
    assert bits(step) == bits(at_once) and normalization == found.normalization
    assert done.logit_bias == found.logit_bias and set(found.report) == {"statistics", "batchnorm", "prior"}
    assert bits(adapted(model, dataclasses.replace(ALL, statistics="carried"), scans)[0]) != bits(at_once)


def test_the_same_scans_give_the_same_bits_and_nothing_else_is_touched() -> None:
    model, scans = network(), canvases(4)
    model.train()
    model.head.requires_grad_(False)
    stream = torch.get_rng_state()
    first, again = (adapted(model, ALL, scans) for _ in range(2))
    assert bits(first[0]) == bits(again[0]) and first[1] == again[1]
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(part.training for part in first[0].modules())
    assert [p.requires_grad for p in first[0].parameters()] == [p.requires_grad for p in model.parameters()]


def test_an_adapted_network_can_still_be_trained() -> None:
    model = adapted(network(), ALL, canvases(2))[0]
    model.train()
    show(model, canvases(2)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# -- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "adaptation", "reason"),
    [
        ("squeezeseg", {}, Adaptation(batchnorm="target"), "squeezeseg has no batch normalisation"),
        ("squeezeseg", {}, Adaptation(batchnorm="target_layerwise"), "squeezeseg has no batch normalisation"),
        ("squeezesegv2", {"crf": True}, Adaptation(prior="em"), "CRF are no posteriors"),
    ],
)
def test_what_a_network_does_not_have_is_refused_and_named(
    name: str, options: dict[str, object], adaptation: Adaptation, reason: str
) -> None:
    model = network(name, **options)
    before = bits(model)
    with pytest.raises(UserError, match=rf"(.|\n)*{reason}(.|\n)*leave this rung out"):
        adapted(model, adaptation, canvases(1))
    assert bits(model) == before
    assert reason in str(why_unadaptable(name, adaptation, crf=bool(options.get("crf"))))


def test_squeezeseg_takes_what_needs_no_batch_normalisation() -> None:
    adaptation = Adaptation(statistics="target", prior="em")
    assert why_unadaptable("squeezeseg", adaptation) is None
    assert set(adapted(network("squeezeseg"), adaptation, canvases(2))[1].report) == {"statistics", "prior"}


def test_an_imported_network_s_prior_is_unknown() -> None:
    assert "imported" in str(why_unadaptable("darknet21", Adaptation(prior="oracle"), imported=True))
    assert why_unadaptable("darknet21", Adaptation(batchnorm="target"), imported=True) is None


def test_labels_are_handed_in_for_the_oracle_and_for_nobody_else() -> None:
    for adaptation, oracle in ((Adaptation(prior="em"), {"oracle": ORACLE}), (Adaptation(prior="oracle"), {})):
        with pytest.raises(AssertionError, match="labels are for the oracle"):
            adapted(network(), adaptation, canvases(1), **oracle)


@pytest.mark.parametrize("adaptation", [Adaptation(statistics="target"), Adaptation(batchnorm="target"), ALL])
def test_without_a_scan_there_is_nothing_to_adapt_to(adaptation: Adaptation) -> None:
    with pytest.raises(UserError):
        adapted(network(), adaptation, [])


# -- scans of a dataset -----------------------------------------------------------------------------------------------

SENSOR = Sensor(16, 64, 3.0, -25.0)
WEIGHTS = np.array([0.0] + [2.0] * 10 + [0.5] * 9, dtype=np.float32)


def adapted_to(
    synthetic: Path, real: Path, adaptation: Adaptation, *, threads: int = 1, memory_bytes: int = 0
) -> tuple[dict[str, bytes], Adapted]:
    model = network("squeezesegv2")
    source, target = open_dataset(synthetic, "synlidar"), open_dataset(real, "semantic-kitti")
    readers = [ScanReader(dataset, memory_bytes=memory_bytes, threads=threads) for dataset in (source, target)]
    found = adapt_to_scans(
        model,
        NORMALIZATION,
        WEIGHTS,
        adaptation,
        source=source.scans(range(2)),
        source_reader=readers[0],
        target=target.scans(range(2)),
        target_reader=readers[1],
        sensor=SENSOR,
        statistics_scans=3,
        device=CPU,
    )
    return bits(model), found


def test_threads_and_memory_change_nothing(tiny_world: WorldFolder) -> None:
    found = [
        adapted_to(tiny_world.synthetic, tiny_world.real, ALL, threads=threads, memory_bytes=memory_bytes)
        for threads, memory_bytes in ((1, 0), (3, 1 << 30))
    ]
    assert found[0] == found[1]


def test_wrecked_real_labels_change_the_oracle_and_nothing_else(tmp_path: Path) -> None:
    world = write_world(TINY_WORLD, tmp_path / "world", processes=1, progress=False)
    both = (BRIEFLY, dataclasses.replace(BRIEFLY, prior="oracle"))
    before = [adapted_to(world.synthetic, world.real, adaptation) for adaptation in both]
    for scan in open_dataset(world.real, "semantic-kitti").scans():
        assert scan.labels is not None
        write_labels(scan.labels, np.full(len(scan.read()[0]), 40))
    after = [adapted_to(world.synthetic, world.real, adaptation) for adaptation in both]
    assert before[0] == after[0] and before[1] != after[1]
    for scan in open_dataset(world.real, "semantic-kitti").scans():
        assert scan.labels is not None
        scan.labels.write_bytes(b"123")
    assert adapted_to(world.synthetic, world.real, BRIEFLY) == before[0]
    with pytest.raises(UserError):
        adapted_to(world.synthetic, world.real, both[1])


def test_what_was_taught_is_counted_on_pixels_of_the_source_s_training_scans(tiny_world: WorldFolder) -> None:
    found = adapted_to(tiny_world.synthetic, tiny_world.real, Adaptation(prior="oracle", scans=2))[1].report["prior"]
    source, target = open_dataset(tiny_world.synthetic, "synlidar"), open_dataset(tiny_world.real, "semantic-kitti")

    def counted(dataset: object, places: list[int]) -> np.ndarray:
        scans = [dataset.scans(range(2))[i] for i in places]  # type: ignore[attr-defined]
        stream = ScanReader(dataset, memory_bytes=0).training_stream(scans, SENSOR)  # type: ignore[arg-type]
        return class_counts(scan.truth_image[scan.mask] for scan in stream)

    taught = effective_prior(counted(source, [0, 1, 2]), WEIGHTS)  # 3 of 4, spread
    np.testing.assert_allclose(found["taught"], taught)
    real = np.where(taught > 0, counted(target, [0, 2]), 0)  # 2 of 4
    np.testing.assert_allclose(found["target"], real / real.sum())


def test_only_so_many_scans_are_used(tiny_world: WorldFolder) -> None:
    found = adapted_to(tiny_world.synthetic, tiny_world.real, Adaptation(statistics="target", scans=2))[1]
    target = open_dataset(tiny_world.real, "semantic-kitti")
    scans = target.scans(range(2))
    stream = ScanReader(target, memory_bytes=0).unlabelled_stream([scans[0], scans[2]], SENSOR)
    assert found.normalization.means == tuple(canvas_statistics(stream)[0])


def test_a_stream_is_read_afresh_for_every_part() -> None:
    asked: list[int] = []

    def stream() -> Iterator[Unlabelled]:
        asked.append(1)
        yield from canvases(2)

    adapt(network(), NORMALIZATION, Adaptation(statistics="target"), stream, device=CPU)
    assert len(asked) == 1

"""Averages of weights against plain arithmetic, the teacher made of them, and the labels that it is sure of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lidartune.backbones import build
from lidartune.training.average import average_of, averaged_update, copied_update, ramped_decay
from lidartune.training.teacher import new_teacher, pseudo_labels, update_teacher

SEEDS = st.integers(0, 10_000)


def tensors(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in (("a", (3, 4)), ("b", (5,)), ("c", ()))}


@given(SEEDS, st.floats(0, 1), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_an_average_is_the_weighted_sum_of_all_it_has_seen(seed: int, decay: float, updates: int) -> None:
    seen = [tensors(seed + k) for k in range(updates + 1)]
    average = average_of(seen[0])
    for current in seen[1:]:
        averaged_update(average, current, decay)
    weights = [decay**updates] + [(1 - decay) * decay ** (updates - k) for k in range(1, updates + 1)]
    for name in average:
        plain = sum(w * one[name].double().numpy() for w, one in zip(weights, seen, strict=True))
        np.testing.assert_allclose(average[name].numpy(), plain, atol=1e-6)


def test_decay_1_keeps_and_decay_0_takes_to_the_bit() -> None:
    start, current = tensors(0), tensors(1)
    for decay, wanted in ((1.0, start), (0.0, current)):
        average = average_of(start)
        averaged_update(average, dict(reversed(current.items())), decay)
        assert all(torch.equal(average[name], wanted[name]) for name in wanted)


def test_an_average_of_what_does_not_change_does_not_change() -> None:
    start = tensors(0)
    average = average_of(start)
    for _ in range(100):
        averaged_update(average, start, 0.99)
    assert all(torch.equal(average[name], start[name]) for name in start)


def test_an_average_shares_no_memory_and_is_changed_in_place() -> None:
    network = nn.Linear(3, 2)
    average = average_of(dict(network.named_parameters()))
    before, place = network.weight.detach().clone(), average["weight"].data_ptr()
    with torch.no_grad():
        network.weight += 1
    averaged_update(average, dict(network.named_parameters()), 0.5)
    assert average["weight"].data_ptr() == place and not average["weight"].requires_grad
    assert torch.allclose(average["weight"], before + 0.5)
    assert torch.equal(network.weight, before + 1), "the network itself stays"


def test_what_has_no_average_is_refused_and_can_be_copied() -> None:
    average, current = {"count": torch.tensor(3)}, {"count": torch.tensor(7)}
    with pytest.raises(ValueError, match="floating-point"):
        averaged_update(average, current, 0.5)
    copied_update(average, current)
    assert average["count"] == 7 and average["count"] is not current["count"]
    with pytest.raises(ValueError, match="not in both: count, other"):
        averaged_update(average, {"other": torch.tensor(1.0)}, 0.5)
    with pytest.raises(ValueError, match="not in both"):
        copied_update(average, {})
    with pytest.raises(ValueError, match="decay"):
        averaged_update({}, {}, 1.5)


def test_the_ramp_begins_with_plain_means_and_ends_at_the_decay() -> None:
    assert [ramped_decay(0.9, k) for k in (0, 1, 3, 8, 9, 10, 10**6)] == [0.0, 0.5, 0.75, 1 - 1 / 9, 0.9, 0.9, 0.9]
    seen = [tensors(k) for k in range(6)]
    average = average_of(tensors(99))
    for k, current in enumerate(seen):
        averaged_update(average, current, ramped_decay(0.999, k))
    assert torch.allclose(average["a"], torch.stack([one["a"] for one in seen]).mean(0), atol=1e-6)


def test_a_teacher_follows_in_its_weights_and_takes_the_statistics_over() -> None:
    torch.manual_seed(0)
    student = build("squeezesegv2", channels=0.25)
    teacher = new_teacher(student)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    images, masks = torch.randn(2, 5, 16, 64), torch.ones(2, 16, 64, dtype=torch.bool)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    student(images, masks).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items()), "no shared memory"
    update_teacher(teacher, student, 0.75)
    parameters = dict(student.named_parameters())
    for name, tensor in teacher.state_dict().items():
        now = student.state_dict()[name]
        if name in parameters:
            assert torch.allclose(tensor, 0.75 * before[name] + 0.25 * now, atol=1e-6), name
        else:
            assert torch.equal(tensor, now), name
    assert any(not torch.equal(before[name], now) for name, now in student.state_dict().items() if "running" in name)
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert student.training and all(p.requires_grad for p in student.parameters())


def test_a_teacher_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not in both"):
        update_teacher(nn.Linear(2, 2, bias=False), nn.Linear(2, 2), 0.9)


@given(SEEDS, st.sampled_from([0.0, 0.3, 0.9, 0.999]))
@settings(max_examples=40, deadline=None)
def test_pseudo_labels_are_the_likeliest_real_class_where_it_is_likely_enough(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    logits, mask = rng.normal(0, 3, (2, 5, 3, 4)).astype(np.float32), rng.random((2, 3, 4)) < 0.7
    found = pseudo_labels(torch.from_numpy(logits), torch.from_numpy(mask), threshold)
    assert found.shape == (2, 3, 4) and found.dtype == torch.int64
    for b, row, column in np.ndindex(2, 3, 4):
        real = [math.exp(z) for z in logits[b, 1:, row, column]]
        sure = mask[b, row, column] and max(real) / sum(real) >= threshold
        assert found[b, row, column] == (1 + real.index(max(real)) if sure else 0)


def test_class_0_is_never_a_label_and_takes_no_confidence_away() -> None:
    logits = torch.tensor([100.0, 1.0, 8.0, 0.0]).view(1, 4, 1, 1)
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    assert pseudo_labels(logits, mask, 0.99).item() == 2
    assert pseudo_labels(logits.bfloat16(), mask, 0.99).item() == 2
    logits[0, 2] = math.nan
    assert pseudo_labels(logits, mask, 0.0).item() == 0

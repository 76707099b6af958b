"""Training on both domains: whose scans a batch holds, what they teach, who labels them and what is mixed."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from lidartune.canvas import Sensor, project
from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile, open_dataset
from lidartune.streetworld import WorldFolder
from lidartune.training import loop
from lidartune.training.at_start import AtStart
from lidartune.training.begin import Scans
from lidartune.training.draws import Batch, epoch_batches, epoch_draws
from lidartune.training.joint import Joint, Teacher, places, why_not_joint
from lidartune.training.loader import Drawn, PreparedScan, ScanReader, TrainingScan
from lidartune.training.mixing import LaserMix, PolarMix
from lidartune.training.recipe import Recipe
from lidartune.training.self_training import Lesson, lesson, with_labels
from lidartune.training.state import TrainingState
from lidartune.training.update import one_update

from .test_update import CPU, HEIGHT, WEIGHTS, WIDTH, bits, noise, same, spec_of, state_of

SENSOR = Sensor(HEIGHT, WIDTH, 3.0, -25.0)
SELF_TRAINING = Joint(teacher=Teacher(threshold=0.0))
LASERMIX, POLARMIX = (Joint(mixing=name, teacher=Teacher(threshold=0.0)) for name in ("lasermix", "polarmix"))
LABELLED = Joint(labels="real")
LABELLED_MIX = Joint(labels="real", mixing="polarmix")
ARMS = [SELF_TRAINING, LASERMIX, POLARMIX, LABELLED, LABELLED_MIX]


def arm(joint: Joint, backbone: str = "squeezesegv2", **recipe: Any) -> RunSpec:
    spec = spec_of(backbone, **({"updates_per_epoch": 5, "batch_size": 3} | recipe))
    return dataclasses.replace(spec, domain="synthetic", joint=joint, other="points-x")


def taught_by(teacher: Teacher, **changes: Any) -> Joint:
    return Joint(teacher=teacher, **changes)


# -- what a joint run is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "would teach nothing"),
        ({"labels": "real", "teacher": Teacher()}, "needs no teacher"),
        ({"labels": "real", "lasermix": LaserMix(areas=(2,))}, "say nothing"),
        ({"labels": "real", "mixing": "lasermix", "polarmix": PolarMix(swap=1.0)}, "say nothing"),
        ({"labels": "real", "share": 0.0}, "greater than 0"),
        ({"labels": "real", "share": 1.0}, "less than 1"),
        ({"teacher": {"decay": 1.5}}, "less than or equal to 1"),
        ({"teacher": {"weight": -1.0}}, "greater than or equal to 0"),
    ],
)
def test_what_would_teach_nothing_or_says_nothing_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Joint(**values)


def test_a_run_that_cannot_be_trained_so_is_told_why() -> None:
    ring, two = Sensor(8, 64, 3.0, -25.0, "ring"), Recipe(batch_size=2)
    assert why_not_joint(LASERMIX, SENSOR, two) is None and why_not_joint(SELF_TRAINING, ring, two) is None
    assert "both domains" in str(why_not_joint(LABELLED, SENSOR, Recipe(batch_size=1)))
    assert "no whole turn" in str(why_not_joint(POLARMIX, ring, two))
    raydrop = Recipe(batch_size=2, raydrop="global")
    assert "before there is a canvas" in str(why_not_joint(POLARMIX, SENSOR, raydrop))
    assert why_not_joint(SELF_TRAINING, SENSOR, raydrop) is None
    new_head = Recipe(batch_size=2, start=AtStart(head="new"))
    assert "random weights" in str(why_not_joint(SELF_TRAINING, SENSOR, new_head))
    assert why_not_joint(LABELLED, SENSOR, new_head) is None


# -- whose scans a batch holds ----------------------------------------------------------------------------------------


def test_a_share_of_the_places_of_each_batch() -> None:
    assert places(0.5, 3, 4).tolist() == [2, 2, 2]
    assert places(0.5, 4, 3).tolist() == [1, 2, 1, 2]
    assert places(0.1, 2, 4).tolist() == [1, 1], "at least one"
    assert places(0.95, 2, 4).tolist() == [3, 3], "and one of its own"
    with pytest.raises(ValueError, match="one scan"):
        places(0.5, 4, 1)


@given(st.floats(0.001, 0.999), st.integers(1, 200), st.integers(2, 40))
def test_shares_are_as_even_as_can_be_and_right_for_the_epoch(share: float, updates: int, batch: int) -> None:
    found = places(share, updates, batch)
    assert found.shape == (updates,) and found.min() >= 1 and found.max() <= batch - 1
    assert found.max() - found.min() <= 1
    wanted = share * updates * batch
    assert abs(found.sum() - wanted) <= 0.5 or found.sum() in (updates, updates * (batch - 1))


class Worlds:
    """The tiny world's scans of both domains, and readers with so many threads."""

    def __init__(self, world: WorldFolder, threads: int = 1):
        synthetic = open_dataset(world.synthetic, "synlidar")
        real = open_dataset(world.real, "semantic-kitti")
        self.own = Scans(files=synthetic.scans(), reader=ScanReader(synthetic, memory_bytes=1 << 28, threads=threads))
        self.other = Scans(files=real.scans(), reader=ScanReader(real, memory_bytes=1 << 28, threads=threads))

    def batches(self, spec: RunSpec, epoch: int = 1, begin: int = 0) -> list[Batch]:
        draws = epoch_draws(spec, self.own.files, self.other.files, epoch)
        return list(epoch_batches(spec, draws, epoch, begin, self.own, self.other))


def content(batches: list[Batch]) -> list[list[bytes]]:
    return [
        [array.tobytes() for scan in [*batch.own, *batch.other] for array in (scan.image, scan.truth, scan.mask)]
        for batch in batches
    ]


AUGMENTED = {"augmentation": {"rotate": True, "drop": 0.3}}


@pytest.mark.parametrize("recipe", [{}, AUGMENTED], ids=["plain", "augmented"])
@pytest.mark.parametrize("joint", [SELF_TRAINING, LASERMIX, LABELLED, LABELLED_MIX])
def test_batches_are_the_same_however_they_are_read_and_wherever_they_begin(
    tiny_world: WorldFolder, joint: Joint, recipe: dict[str, Any]
) -> None:
    spec = arm(joint, **recipe)
    whole = Worlds(tiny_world, 0).batches(spec, 2)
    assert [(len(batch.own), len(batch.other)) for batch in whole] == [(2, 1), (1, 2), (2, 1), (1, 2), (1, 2)]
    for threads in (1, 2):
        assert content(Worlds(tiny_world, threads).batches(spec, 2)) == content(whole)
    for begin in (1, 4):
        rest = Worlds(tiny_world).batches(spec, 2, begin)
        assert content(rest) == content(whole[begin:]) and rest[0].first_other == whole[begin].first_other


def test_no_scan_is_drawn_again_before_all_have_been_and_the_two_orders_differ(tiny_world: WorldFolder) -> None:
    worlds, spec = Worlds(tiny_world), arm(LABELLED, updates_per_epoch=7)
    for pick in ("own", "other"):
        files = getattr(worlds, pick).files
        row: list[ScanFile] = []
        for epoch in range(1, 5):
            row += getattr(epoch_draws(spec, worlds.own.files, worlds.other.files, epoch), pick)
        passes = [Counter(row[k : k + len(files)]) for k in range(0, len(row) - len(files) + 1, len(files))]
        assert passes and all(set(counted.values()) == {1} and len(counted) == len(files) for counted in passes)
    draws = epoch_draws(arm(LABELLED, batch_size=2), worlds.other.files, worlds.other.files, 1)
    assert draws.own != draws.other, "each order has random numbers of its own"


def test_both_domains_scans_are_augmented_and_each_by_its_own_seed(tiny_world: WorldFolder) -> None:
    worlds = Worlds(tiny_world)
    worlds.other = worlds.own
    plain, turned = (worlds.batches(arm(LABELLED_MIX, batch_size=2, **recipe))[0] for recipe in ({}, AUGMENTED))
    for one, other in zip(plain.own + plain.other, turned.own + turned.other, strict=True):
        assert one.points.shape != other.points.shape  # type: ignore[union-attr]
    spec = arm(LABELLED_MIX, batch_size=2, **AUGMENTED)
    scan = worlds.own.files[:1]
    same_scan = epoch_draws(spec, scan, scan, 1)
    batch = next(epoch_batches(spec, same_scan, 1, 0, worlds.own, worlds.own))
    assert not np.array_equal(batch.own[0].truth, batch.other[0].truth)


@pytest.mark.parametrize("joint", [SELF_TRAINING, LASERMIX, POLARMIX])
def test_the_other_domain_s_label_files_are_never_opened(
    tiny_world: WorldFolder, monkeypatch: pytest.MonkeyPatch, joint: Joint
) -> None:
    from lidartune.scans import files

    opened: list[Path] = []
    read = files.read_labels
    monkeypatch.setattr(files, "read_labels", lambda path: [opened.append(path), read(path)][1])
    batches = Worlds(tiny_world).batches(arm(joint))
    assert opened and not [path for path in opened if path.is_relative_to(tiny_world.real)]
    assert not any(scan.truth.any() or scan.truth_image.any() for batch in batches for scan in batch.other)
    assert all(scan.truth.any() for batch in batches for scan in batch.own)
    opened.clear()
    Worlds(tiny_world).batches(arm(LABELLED))
    assert [path for path in opened if path.is_relative_to(tiny_world.real)], "this test can tell"


# -- what they teach --------------------------------------------------------------------------------------------------


def unlabelled_noise(seed: int, count: int) -> list[Drawn]:
    return [
        dataclasses.replace(scan, truth=np.zeros_like(scan.truth), truth_image=np.zeros_like(scan.truth_image))
        for scan in noise(seed, count)
    ]


def gradient_after(spec: RunSpec, learnt: Lesson) -> tuple[dict[str, float | Tensor], dict[str, Tensor]]:
    """Of the network that every call begins with."""
    state = state_of(spec)
    torch.manual_seed(1)
    numbers = one_update(
        spec.recipe, state, learnt.scans, torch.from_numpy(WEIGHTS), CPU, others=learnt.others,
        others_weight=learnt.weight,
    )  # fmt: skip
    return numbers, {name: p.grad for name, p in state.model.named_parameters() if p.grad is not None}


def learnt_by(spec: RunSpec, own: list[Drawn], other: list[Drawn]) -> Lesson:
    return lesson(spec, state_of(spec), Batch(own=own, other=other), CPU)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    "teacher", [Teacher(threshold=1.0), Teacher(threshold=0.0, weight=0.0)], ids=["never sure", "weight 0"]
)
def test_a_teacher_that_is_never_sure_or_weighs_nothing_leaves_the_gradient_of_the_own_scans_to_the_bit(
    teacher: Teacher, parts: int
) -> None:
    spec, own = arm(taught_by(teacher), accumulation=parts), list(noise(1, 2))
    learnt = learnt_by(spec, own, unlabelled_noise(2, 2))
    assert learnt.numbers["pseudo_labelled"] == (0.0 if teacher.threshold else 1.0)
    numbers, found = gradient_after(spec, learnt)
    _, alone = gradient_after(spec, Lesson(scans=own))
    assert numbers["loss_other"] == 0.0 and same(found, alone)
    _, taught = gradient_after(spec, learnt_by(arm(SELF_TRAINING), own, unlabelled_noise(2, 2)))
    assert not same(taught, alone), "this test can tell"


def test_the_loss_is_that_of_the_own_scans_plus_the_weight_times_that_of_the_others() -> None:
    own, other = list(noise(1, 2)), list(noise(2, 2))
    plain = spec_of("squeezeseg", dropout=0.0)
    one, first = gradient_after(plain, Lesson(scans=own))
    two, second = gradient_after(plain, Lesson(scans=other))
    numbers, both = gradient_after(plain, Lesson(scans=own, others=other, weight=0.25))
    assert numbers["loss"] == pytest.approx(float(one["loss"]) + 0.25 * float(two["loss"]), rel=1e-6)
    assert numbers["loss_other"] == pytest.approx(0.25 * float(two["loss"]), rel=1e-6)
    for name in first:
        torch.testing.assert_close(both[name], first[name] + 0.25 * second[name], rtol=1e-4, atol=1e-7)


def test_of_real_scans_with_labels_the_labelled_pixels_alone_count() -> None:
    spec = arm(LABELLED, "squeezeseg", dropout=0.0)  # without batch normalisation, which sees every pixel
    own, other = list(noise(1, 2)), list(noise(2, 2))
    learnt = learnt_by(spec, own, other)
    assert learnt.scans == own + other and not learnt.others and not learnt.numbers
    _, alone = gradient_after(spec, Lesson(scans=own))
    _, bare = gradient_after(spec, learnt_by(spec, own, unlabelled_noise(2, 2)))
    _, taught = gradient_after(spec, learnt)
    for name in alone:
        torch.testing.assert_close(bare[name], alone[name], rtol=1e-4, atol=1e-7)
    assert any(float((taught[name] - alone[name]).abs().max()) > 1e-3 for name in alone)


def test_pixels_below_the_threshold_have_no_label_and_the_surest_have_the_teachers() -> None:
    spec, scans = arm(SELF_TRAINING), unlabelled_noise(3, 2)
    state = state_of(spec)
    assert state.teacher is not None
    images = torch.from_numpy(np.stack([scan.image for scan in scans]))
    masks = torch.from_numpy(np.stack([scan.mask for scan in scans]))
    with torch.no_grad():
        chances = state.teacher(state.normalization.apply(images, masks), masks)[:, 1:].softmax(1)
    highest = chances.max(1)
    threshold = float(highest.values[masks].median())
    spec = arm(taught_by(Teacher(threshold=threshold)))
    labels = np.stack([scan.truth_image for scan in lesson(spec, state, Batch(own=[], other=scans), CPU).others])
    clear = ((highest.values - threshold).abs() > 1e-5).numpy() & masks.numpy()
    expected = np.where(highest.values.numpy() >= threshold, highest.indices.numpy() + 1, 0)
    assert np.array_equal(labels[clear], expected[clear]) and not labels[~masks.numpy()].any()
    share = lesson(spec, state, Batch(own=[], other=scans), CPU).numbers["pseudo_labelled"]
    assert share == (labels > 0).sum() / masks.sum().item() and 0.4 < share < 0.6


# -- the teacher ------------------------------------------------------------------------------------------------------


class Both(ScanReader):
    """Noise for every stream, with points where they are asked for."""

    def __init__(self, seed: int):
        self._seed = seed

    def training_stream(self, scans: Any, *_: object) -> Iterator[TrainingScan]:  # type: ignore[override]
        yield from noise(self._seed, len(scans))

    def unlabelled_stream(self, scans: Any, *_: object) -> Iterator[Drawn]:  # type: ignore[override]
        yield from unlabelled_noise(self._seed, len(scans))

    def mixing_stream(self, scans: Any, *_: object, labelled: bool) -> Iterator[PreparedScan]:  # type: ignore[override]
        for number in range(len(scans)):
            yield cloud(self._seed + number, labelled=labelled)


def cloud(seed: int, *, labelled: bool = True) -> PreparedScan:
    rng = np.random.default_rng(seed)
    points = (rng.normal(size=(900, 4)) * (8, 8, 1, 1) - (0, 0, 1.5, 0)).astype(np.float32)
    truth = rng.integers(0, 20, len(points)).astype(np.uint8) * np.uint8(labelled)
    return PreparedScan(canvas=project(points, SENSOR), points=points, truth=truth)


def train(spec: RunSpec, state: TrainingState, **more: Any) -> dict[str, float]:
    other = Scans(files=[None] * 3, reader=Both(90 + state.epoch))  # type: ignore[list-item]
    return loop.train_epoch(spec, state, [None] * 4, Both(state.epoch), CPU, other=other, **more)  # type: ignore[list-item]


def parameters(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("joint", ARMS, ids=lambda joint: joint.word)
def test_every_arm_trains_and_says_how_much_was_labelled(joint: Joint) -> None:
    spec = arm(joint)
    state = state_of(spec)
    before = bits(state.model)
    numbers = train(spec, state)
    assert state.epoch == 1 and not same(before, bits(state.model))
    assert ("pseudo_labelled" in numbers) == ("loss_other" in numbers) == (joint.teacher is not None)
    assert (state.teacher is not None) == (joint.teacher is not None)


def test_a_teacher_with_decay_0_is_the_student_of_the_last_update_whenever_it_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = arm(taught_by(Teacher(decay=0.0, threshold=0.0)), dropout=0.0)
    state, asked = state_of(spec), []

    def noted(spec: RunSpec, state: TrainingState, *rest: Any) -> Lesson:
        assert state.teacher is not None and not state.teacher.training
        asked.append(same(bits(state.teacher), bits(state.model)))
        return lesson(spec, state, *rest)

    monkeypatch.setattr(loop, "lesson", noted)
    train(spec, state)
    assert asked == [True] * 5


def test_a_teacher_with_decay_1_stays_the_milestone_and_one_between_lags_behind() -> None:
    found = {}
    for decay in (1.0, 0.5):
        spec = arm(taught_by(Teacher(decay=decay, threshold=0.0)))
        state = state_of(spec)
        begun = parameters(state.model)
        train(spec, state)
        assert state.teacher is not None and not same(begun, parameters(state.model))
        assert same(dict(state.teacher.named_buffers()), dict(state.model.named_buffers()))
        found[decay] = same(begun, parameters(state.teacher)), same(parameters(state.model), parameters(state.teacher))
    assert found == {1.0: (True, False), 0.5: (False, False)}


def test_what_the_teacher_says_draws_no_random_number() -> None:
    spec = arm(SELF_TRAINING)
    state = state_of(spec)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    lesson(spec, state, Batch(own=list(noise(1, 2)), other=unlabelled_noise(2, 1)), CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert all(p.grad is None for p in state.teacher.parameters())  # type: ignore[union-attr]


# -- mixing -----------------------------------------------------------------------------------------------------------


def test_shown_points_have_their_pixel_s_label_and_hidden_ones_none() -> None:
    scan = cloud(1)
    labels = np.where(scan.mask, 1 + np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 19, 0).astype(np.uint8)
    found = with_labels(scan, labels)
    assert isinstance(found, PreparedScan) and np.array_equal(found.truth_image, labels)
    shown = np.zeros(len(scan.points), bool)
    shown[scan.canvas.index[scan.mask]] = True
    assert found.truth[shown].all() and not found.truth[~shown].any() and (~shown).any()


@pytest.mark.parametrize("joint", [LASERMIX, POLARMIX, LABELLED_MIX], ids=lambda joint: joint.word)
def test_a_mixed_scan_has_points_and_labels_of_both_and_the_own_scans_stay(joint: Joint) -> None:
    joint = dataclasses.replace(joint, polarmix=PolarMix(swap=1.0)) if joint.mixing == "polarmix" else joint
    own, other = [cloud(1), cloud(2)], [cloud(k, labelled=joint.labels == "real") for k in (3, 4, 5)]
    kept = copy.deepcopy((own, other))
    spec = arm(joint)
    learnt = lesson(spec, state_of(spec), Batch(own=list(own), other=list(other), first_other=7), CPU)
    mixed = learnt.scans[2:] if joint.labels == "real" else learnt.others
    assert list(learnt.scans[:2]) == own and len(mixed) == 3
    for before, after in zip([*kept[0], *kept[1]], [*own, *other], strict=True):
        assert np.array_equal(before.points, after.points) and np.array_equal(before.truth, after.truth)
    for number, scan in enumerate(mixed):
        images = own[number % 2].image, other[number].image
        ranges = set(scan.image[0][scan.mask].tolist())
        from_own, from_other = (len(ranges & set(image[0].ravel().tolist())) for image in images)
        assert from_own > 20 and from_other > 20 and scan.truth_image.any()


def test_each_draw_is_mixed_by_a_seed_of_its_own() -> None:
    spec, own, other = arm(POLARMIX), [cloud(1)], [cloud(3, labelled=False)]

    def mixed(first: int, epoch: int = 0) -> bytes:
        state = state_of(spec)
        state.epoch = epoch
        return (
            lesson(spec, state, Batch(own=list(own), other=list(other), first_other=first), CPU)
            .others[0]
            .image.tobytes()
        )

    assert mixed(0) == mixed(0) and len({mixed(0), mixed(1), mixed(0, 1)}) == 3

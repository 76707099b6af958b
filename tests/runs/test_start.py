"""What a run takes over from the milestone that it starts from: each choice of `recipe.start`, and its report."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors

from lidartune.errors import UserError
from lidartune.runs.ledger import EpochDone
from lidartune.runs.spec import RunSpec, Start
from lidartune.runs.store import Store
from lidartune.runs.trajectory import Trajectory
from lidartune.streetworld import WorldFolder
from lidartune.training import begin
from lidartune.training.at_start import AtStart
from lidartune.training.recipe import Ema
from lidartune.training.state import TrainingState

from .conftest import TinyStudy
from .test_inside import open_study

SGD: dict[str, Any] = {"updates_per_epoch": 2, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
ADAMW = SGD | {"optimizer": "adamw", "learning_rate": 0.002}
EPOCH = 2


@dataclasses.dataclass
class Pretrained:
    study: TinyStudy
    results: Path
    spec: RunSpec

    def run_with(self, freeze: str = "none", epoch: int = EPOCH, **recipe: Any) -> RunSpec:
        """A fine-tuning on real scans from the pretraining's milestone."""
        works = self.study.plan.works.values()
        finetuned = next(work.spec for work in works if work.spec.start and work.spec.domain == "real")
        return dataclasses.replace(
            finetuned,
            start=Start(run=self.spec.folder, epoch=epoch),
            freeze=freeze,  # type: ignore[arg-type]
            recipe=dataclasses.replace(self.spec.recipe, **recipe),
        )

    def trajectory(self, spec: RunSpec) -> Trajectory:
        return self.study.trajectory_of(spec, self.results)

    def begun(self, spec: RunSpec) -> TrainingState:
        return self.trajectory(spec)._begin()

    def epoch_0(self, spec: RunSpec) -> tuple[dict[str, Any], list[EpochDone]]:
        done: list[EpochDone] = []
        self.trajectory(spec).carry_out([0], done.append)
        return Store(self.results).read_json(spec.folder, 0, "test", "scores.json"), done

    def zero_shot(self) -> dict[str, Any]:
        return Store(self.results).read_json(self.spec.folder, EPOCH, "test", "scores.json")

    def tensors(self, file: str = "weights.safetensors") -> dict[str, np.ndarray]:
        return load_tensors(Store(self.results).read(self.spec.folder, EPOCH, "state", file))


def pretrained_with(world: WorldFolder, results: Path, recipe: dict[str, Any]) -> Pretrained:
    study = open_study(world, recipe)
    specs = (work.spec for work in study.plan.works.values())
    spec = next(spec for spec in specs if spec.domain == "synthetic" and not spec.start)
    study.trajectory_of(spec, results).carry_out([EPOCH], lambda done: None)
    return Pretrained(study, results, spec)


@pytest.fixture(scope="module", params=["sgd", "adamw"])
def pretrained(
    request: pytest.FixtureRequest, tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory
) -> Pretrained:
    recipe = {"sgd": SGD, "adamw": ADAMW}[request.param]
    return pretrained_with(tiny_world, tmp_path_factory.mktemp("pretrained"), recipe)


@pytest.fixture(scope="module")
def plain(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrained_with(tiny_world, tmp_path_factory.mktemp("plain"), SGD)


def scores(found: dict[str, Any]) -> list[Any]:
    return [found[domain] for domain in ("synthetic", "real")]


# -- head and normalisation -------------------------------------------------------------------------------------------


def test_epoch_0_is_the_milestone_s_score_and_with_a_new_head_it_is_not(plain: Pretrained) -> None:
    kept, _ = plain.epoch_0(plain.run_with())
    anew, _ = plain.epoch_0(plain.run_with(start=AtStart(head="new")))
    assert scores(kept) == scores(plain.zero_shot()) != scores(anew)


def test_a_new_head_is_drawn_from_the_seed_and_nothing_else_is(plain: Pretrained) -> None:
    spec = plain.run_with(start=AtStart(head="new"))
    train = plain.study.data.train_fingerprint("real", "all", 1)
    other = dataclasses.replace(spec, seed=1, labelled_scans="all", train=train)
    first, again, elsewhere = (plain.begun(s).model.state_dict() for s in (spec, spec, other))
    milestone = plain.tensors()
    for name, tensor in first.items():
        assert np.array_equal(tensor.numpy(), again[name].numpy())
        assert np.array_equal(tensor.numpy(), milestone[name]) == (not name.startswith("head."))
        assert np.array_equal(tensor.numpy(), elsewhere[name].numpy()) == (not name.startswith("head."))


def test_the_normalisation_is_carried_or_measured_on_the_run_s_own_scans(plain: Pretrained) -> None:
    carried = plain.begun(plain.run_with(start=AtStart(normalization="carried")))
    own = plain.begun(plain.run_with(start=AtStart(normalization="own")))
    from_nothing = plain.begun(dataclasses.replace(plain.run_with(), start=None))
    milestone = Store(plain.results).read_json(plain.spec.folder, EPOCH, "state", "state.json")
    assert list(carried.normalization.means) == milestone["means"]
    assert own.normalization == from_nothing.normalization != carried.normalization


# -- optimiser --------------------------------------------------------------------------------------------------------


def memories(state: TrainingState) -> dict[str, dict[str, np.ndarray]]:
    names = [name for name, parameter in state.model.named_parameters() if parameter.requires_grad]
    return {
        names[number]: {key: value.numpy() for key, value in entry.items() if value is not None}
        for number, entry in state.optimizer.state_dict()["state"].items()
    }


def test_a_kept_optimiser_has_the_milestone_s_memory_of_every_parameter(pretrained: Pretrained) -> None:
    before = memories(pretrained.trajectory(pretrained.spec).load(EPOCH))
    assert memories(pretrained.begun(pretrained.run_with())) == {}
    after = memories(pretrained.begun(pretrained.run_with(start=AtStart(optimizer="kept"))))
    assert before and before.keys() == after.keys()
    for name, entry in before.items():
        assert entry.keys() == after[name].keys()
        assert all(np.array_equal(entry[key], after[name][key]) for key in entry)


@pytest.mark.parametrize("freeze", ["encoder", "batchnorm", "first_block"])
def test_what_a_policy_trains_keeps_its_memory_by_name(pretrained: Pretrained, freeze: str) -> None:
    before = memories(pretrained.trajectory(pretrained.spec).load(EPOCH))
    state = pretrained.begun(pretrained.run_with(freeze, start=AtStart(optimizer="kept")))
    after = memories(state)
    assert after and after.keys() < before.keys()
    for name, entry in after.items():
        assert all(np.array_equal(entry[key], before[name][key]) for key in entry)
    assert state.load is not None and state.load.optimizer_fresh == ()


@pytest.mark.parametrize("freeze", ["encoder", "batchnorm"])
def test_what_the_milestone_s_run_had_frozen_begins_without_a_memory_and_trains_as_with_a_fresh_optimiser(
    pretrained: Pretrained, freeze: str
) -> None:
    middle = pretrained.run_with(freeze)
    pretrained.trajectory(middle).carry_out([1], lambda done: None)
    last = dataclasses.replace(
        middle,
        start=Start(run=middle.folder, epoch=1),
        freeze="none",
        recipe=dataclasses.replace(middle.recipe, updates_per_epoch=1, start=AtStart(optimizer="kept")),
    )
    state = pretrained.begun(last)
    assert state.load is not None
    fresh = set(state.load.optimizer_fresh)
    assert fresh and state.load.optimizer_kept > 0
    begun = dataclasses.replace(last, recipe=dataclasses.replace(last.recipe, start=AtStart()))
    for spec in (last, begun):
        pretrained.trajectory(spec).carry_out([1], lambda done: None)
    kept, anew = (
        load_tensors(Store(pretrained.results).read(spec.folder, 1, "state", "weights.safetensors"))
        for spec in (last, begun)
    )
    differ = {name for name in kept if not np.array_equal(kept[name], anew[name])}
    assert differ, "a memory makes another first step"
    assert not differ & fresh, "without one the first step is that of a fresh optimiser"


def test_an_optimiser_of_another_kind_cannot_be_kept(plain: Pretrained) -> None:
    spec = plain.run_with(optimizer="adamw", start=AtStart(optimizer="kept"))
    with pytest.raises(UserError, match="cannot be kept"):
        plain.begun(spec)


# -- learning rate ----------------------------------------------------------------------------------------------------


def rate_of_first_epoch(pretrained: Pretrained, **recipe: Any) -> float:
    spec = pretrained.run_with(**({"decay_per_epoch": 0.5, "warmup_updates": 3} | recipe))
    pretrained.trajectory(spec).carry_out([1], lambda done: None)
    row = Store(pretrained.results).read_json(spec.folder, 1, "metrics", "metrics.json")
    return row["train"]["learning_rate"]


@pytest.mark.parametrize(
    ("start", "factor"),
    [
        (AtStart(), 2 / 3 * 0.5**0.5),
        (AtStart(warmup=False), 0.5**0.5),
        (AtStart(learning_rate="continued", warmup=False), 0.5**2.5),
        (AtStart(learning_rate="continued"), 2 / 3 * 0.5**2.5),
        (AtStart(learning_rate="scaled", learning_rate_factor=0.1, warmup=False), 0.1 * 0.5**0.5),
    ],
    ids=["restarted", "without warm-up", "continued", "continued after a warm-up", "scaled"],
)
def test_the_learning_rate_at_the_second_update_is_what_was_chosen(
    plain: Pretrained, start: AtStart, factor: float
) -> None:
    """The milestone has 4 updates behind it, 2 an epoch."""
    assert rate_of_first_epoch(plain, start=start) == pytest.approx(0.05 * factor)


def test_what_was_continued_goes_on_counting_in_the_next_run_and_after_an_interruption(plain: Pretrained) -> None:
    start = AtStart(learning_rate="continued", warmup=False)
    second = plain.run_with(decay_per_epoch=0.5, start=start)
    plain.trajectory(second).carry_out([1], lambda done: None)
    plain.trajectory(second).carry_out([2], lambda done: None)  # from its kept state
    row = Store(plain.results).read_json(second.folder, 2, "metrics", "metrics.json")
    assert row["train"]["learning_rate"] == pytest.approx(0.05 * 0.5**3.5)
    third = dataclasses.replace(second, start=Start(run=second.folder, epoch=2))
    assert plain.begun(third).behind == 8


# -- what is handed on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "file", "equal"),
    [
        ({"ema": Ema(decay=0.9)}, "weights.safetensors", False),
        ({"ema": Ema(decay=0.9, use="milestones")}, "ema.safetensors", True),
        ({"precise_batchnorm": 4}, "scored.safetensors", True),
        ({"ema": Ema(decay=0.9, use="milestones"), "precise_batchnorm": 4}, "scored.safetensors", True),
    ],
    ids=["average for scores", "average handed on", "precise", "both"],
)
def test_a_run_starts_from_what_the_recipe_hands_on(
    tiny_world: WorldFolder, tmp_path: Path, recipe: dict[str, Any], file: str, equal: bool
) -> None:
    pretrained = pretrained_with(tiny_world, tmp_path, SGD | recipe)
    spec = pretrained.run_with()
    begun = pretrained.begun(spec).model.state_dict()
    assert all(np.array_equal(begun[name].numpy(), tensor) for name, tensor in pretrained.tensors(file).items())
    found, _ = pretrained.epoch_0(spec)
    assert (scores(found) == scores(pretrained.zero_shot())) == equal


# -- the report -------------------------------------------------------------------------------------------------------


def test_the_load_report_counts_every_tensor_and_says_why_one_is_new(plain: Pretrained) -> None:
    spec = plain.run_with(start=AtStart(head="new", optimizer="kept"))
    _, done = plain.epoch_0(spec)
    report = Store(plain.results).read_json(spec.folder, 0, "metrics", "load.json")
    content = Store(plain.results).read(plain.spec.folder, EPOCH, "state", "weights.safetensors")
    parts = [name.partition(".")[0] for name in load_tensors(content)]
    encoder, decoder = parts.count("backbone"), parts.count("decoder")
    assert report["placed"] == {"encoder": encoder, "decoder": decoder, "head": 0, "crf": 0}
    assert report["reinitialized"] == {"encoder": 0, "decoder": 0, "head": 2, "crf": 0}
    assert report["why"] == {"head": "recipe.start.head is new"}
    assert (report["run"], report["epoch"]) == (plain.spec.folder, EPOCH)
    assert report["sha256"] == hashlib.sha256(content).hexdigest()
    note = str(next(epoch.notes for epoch in done if epoch.epoch == 0)[0])
    assert f"starts from {plain.spec.folder}, epoch 2" in note and "2 of the head drawn anew" in note
    assert "optimiser kept" in note
    row = Store(plain.results).read_json(spec.folder, 0, "metrics", "metrics.json")
    assert row["notes"][0] == note


def test_a_run_from_nothing_has_no_load_report(plain: Pretrained) -> None:
    with pytest.raises(UserError, match="not in the store"):
        Store(plain.results).read_json(plain.spec.folder, 0, "metrics", "load.json")


def test_classes_that_are_never_seen_are_said_once(
    plain: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = begin.class_counts
    monkeypatch.setattr(begin, "class_counts", lambda labels: counts(labels) * (np.arange(20) != 3))
    done: list[EpochDone] = []
    plain.study.trajectory_of(plain.spec, tmp_path).carry_out([EPOCH], done.append)
    said = [str(note) for epoch in done for note in epoch.notes]
    assert said == ["never seen in the 4 training scans: motorcycle"]
    assert [epoch.epoch for epoch in done if epoch.notes] == [0]


def test_class_weights_counted_on_the_other_domain_are_that_domain_s(plain: Pretrained) -> None:
    data = plain.study.data
    spec = dataclasses.replace(
        plain.spec,
        recipe=dataclasses.replace(plain.spec.recipe, class_weights_counted_on="real"),
        other=data.other_fingerprint("real", labelled=True),
    )
    train = data.train_fingerprint("real", "all", 0)
    on_real = dataclasses.replace(plain.run_with(), start=None, labelled_scans="all", train=train)
    own, counted, real = (plain.begun(s).class_weights for s in (plain.spec, spec, on_real))
    assert np.array_equal(counted, real) and not np.array_equal(own, counted)

"""A run is a pure function of its spec: however it is interrupted, extended or started, the same bits come out."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_tensors

from lidartune.errors import UserError
from lidartune.runs.ledger import EpochDone
from lidartune.runs.store import Kind, Store
from lidartune.runs.trajectory import Trajectory
from lidartune.training.state import TrainingState
from lidartune.training.trouble import TrainingDiverged
from lidartune.transfer.plan import Milestone

from .conftest import CELL, TinyStudy


class Killed(Exception):
    pass


def results_of(results: Path, run: str, epoch: int) -> dict[str, bytes]:
    """All that a run left at an epoch, but for its timing."""
    store = Store(results)
    files = {("state", name) for name in ("weights.safetensors", "optimizer.safetensors", "state.json")}
    files |= {("metrics", "metrics.json"), ("test", "scores.json")}
    return {name: store.read(run, epoch, kind, name) for kind, name in files}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pretraining(tiny_study: TinyStudy) -> Milestone:
    return tiny_study.plan.roles[CELL]["pretrained"]


@pytest.fixture(scope="module")
def straight(tiny_study: TinyStudy, pretraining: Milestone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs at one go, with a milestone at 2."""
    results = tmp_path_factory.mktemp("straight")
    tiny_study.carry_out(pretraining, results, [2, 3])
    return results


def test_two_goes_give_the_same_bits(
    tiny_study: TinyStudy, pretraining: Milestone, straight: Path, tmp_path: Path
) -> None:
    tiny_study.carry_out(pretraining, tmp_path, [2, 3])
    assert results_of(tmp_path, pretraining.run, 3) == results_of(straight, pretraining.run, 3)


def test_a_longer_run_goes_on_from_a_shorter_one_exactly(
    tiny_study: TinyStudy, pretraining: Milestone, straight: Path, tmp_path: Path
) -> None:
    tiny_study.carry_out(pretraining, tmp_path, [2])
    done = tiny_study.carry_out(pretraining, tmp_path, [3])
    assert [epoch.epoch for epoch in done] == [3], "committed epochs are not trained again"
    assert results_of(tmp_path, pretraining.run, 3) == results_of(straight, pretraining.run, 3)
    assert results_of(tmp_path, pretraining.run, 2) == results_of(straight, pretraining.run, 2), "the milestone stays"


@pytest.mark.parametrize(
    ("kind", "epoch"),
    [("metrics", 1), ("state", 1), ("timing", 1), ("metrics", 2), ("test", 2), ("state", 2), ("timing", 2)],
)
def test_killed_before_any_commit_it_goes_on_to_the_same_bits(
    tiny_study: TinyStudy,
    pretraining: Milestone,
    straight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    epoch: int,
) -> None:
    commit = Store.commit

    def killed(self: Store, run: str, at: int, what: str, files: dict[str, bytes]) -> None:
        if (what, at) == (kind, epoch):
            raise Killed
        commit(self, run, at, what, files)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", killed)
        with pytest.raises(Killed):
            tiny_study.carry_out(pretraining, tmp_path, [2, 3])
    tiny_study.carry_out(pretraining, tmp_path, [2, 3])
    assert results_of(tmp_path, pretraining.run, 3) == results_of(straight, pretraining.run, 3)


def test_killed_while_it_takes_away_a_state_nothing_is_left_over(
    tiny_study: TinyStudy, pretraining: Milestone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    discard = Store.discard

    def killed(self: Store, run: str, epoch: int, kind: Kind) -> None:
        if epoch == 1:
            raise Killed
        discard(self, run, epoch, kind)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "discard", killed)
        with pytest.raises(Killed):
            tiny_study.carry_out(pretraining, tmp_path, [3])
    tiny_study.carry_out(pretraining, tmp_path, [3])
    assert Store(tmp_path).epochs(pretraining.run, "state") == [3]


def test_a_state_that_is_taken_away_as_soon_as_it_is_there_is_kept_again(
    tiny_study: TinyStudy, pretraining: Milestone, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody clears up while the run is at work: it does not wait for ever for what it holds itself."""
    towards, taken, looks = Trajectory._towards, list[int](), itertools.count()

    def looking(self: Trajectory, target: int, state: TrainingState | None) -> TrainingState | None:
        assert next(looks) < 20, "it looks again and again"
        return towards(self, target, state)

    def clear_up(done: EpochDone) -> None:
        if done.kept and not taken:
            Store(tmp_path).discard(pretraining.run, done.epoch, "state")
            taken.append(done.epoch)

    monkeypatch.setattr(Trajectory, "_towards", looking)
    tiny_study.trajectory(pretraining, tmp_path).carry_out([2], clear_up)
    assert taken == [2] and results_of(tmp_path, pretraining.run, 2) == results_of(straight, pretraining.run, 2)


def test_one_ulp_in_the_kept_state_would_be_seen(
    tiny_study: TinyStudy, pretraining: Milestone, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_study.carry_out(pretraining, tmp_path, [2])
    load = Trajectory.load

    def nudged(self: Trajectory, epoch: int) -> object:
        state = load(self, epoch)
        weight = next(state.model.parameters()).data.view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(torch.inf))
        return state

    monkeypatch.setattr(Trajectory, "load", nudged)
    tiny_study.carry_out(pretraining, tmp_path, [3])
    assert results_of(tmp_path, pretraining.run, 3) != results_of(straight, pretraining.run, 3)


def test_finetuning_begins_at_the_zero_shot_score_of_its_milestone(
    tiny_study: TinyStudy, pretraining: Milestone, straight: Path
) -> None:
    finetuning = tiny_study.plan.roles[CELL]["start"]
    tiny_study.carry_out(finetuning, straight, [0])
    store = Store(straight)
    start = store.read_json(finetuning.run, 0, "test", "scores.json")
    zero_shot = store.read_json(pretraining.run, 2, "test", "scores.json")
    assert start["real"] == zero_shot["real"] and start["synthetic"] == zero_shot["synthetic"]


def test_every_epoch_is_scored_on_both_domains_from_epoch_0(
    tiny_study: TinyStudy, pretraining: Milestone, straight: Path
) -> None:
    store = Store(straight)
    assert store.epochs(pretraining.run, "metrics") == [0, 1, 2, 3]
    for epoch in range(4):
        row = store.read_json(pretraining.run, epoch, "metrics", "metrics.json")
        assert row["updates"] == 3 * epoch
        for domain in ("synthetic", "real"):
            assert np.sum(row["validation"][domain]["points"]) > 0


def test_only_milestones_keep_their_state(pretraining: Milestone, straight: Path) -> None:
    assert Store(straight).epochs(pretraining.run, "state") == [2, 3]
    assert Store(straight).epochs(pretraining.run, "test") == [2, 3]


def test_a_milestone_of_one_study_survives_another_study_that_passes_by(
    tiny_study: TinyStudy, pretraining: Milestone, tmp_path: Path
) -> None:
    tiny_study.carry_out(pretraining, tmp_path, [1])
    tiny_study.carry_out(pretraining, tmp_path, [3])
    assert Store(tmp_path).epochs(pretraining.run, "state") == [1, 3]


def test_scores_count_every_labelled_point(tiny_study: TinyStudy, pretraining: Milestone, straight: Path) -> None:
    scores = Store(straight).read_json(pretraining.run, 2, "test", "scores.json")
    for domain in ("synthetic", "real"):
        data = tiny_study.data.domains[domain]
        labelled = sum(int((data.dataset.read(scan)[1] > 0).sum()) for scan in data.test)
        for name in ("points", "no_vote", "ceiling"):
            assert np.sum(scores[domain][name][1:]) == labelled
        assert np.sum([np.array(block["points"]) for block in scores[domain]["blocks"]]) == np.sum(
            scores[domain]["points"]
        )


def test_a_missing_milestone_is_named(tiny_study: TinyStudy, pretraining: Milestone, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=pretraining.run):
        tiny_study.carry_out(tiny_study.plan.roles[CELL]["finetuned"], tmp_path, [1])


def test_a_diverged_loss_stops_the_run_and_names_the_batch(
    open_with: Callable[..., TinyStudy], tmp_path: Path
) -> None:
    recipe = {"updates_per_epoch": 3, "batch_size": 1, "learning_rate": 1e30}
    study = open_with(recipe=recipe)
    with pytest.raises(TrainingDiverged, match=r"loss became .*scans 0\d/00000\d.*lower recipe.learning_rate"):
        study.carry_out(study.plan.roles[CELL]["pretrained"], tmp_path, [2])


def test_a_channel_that_never_varies_is_no_trouble(open_with: Callable[..., TinyStudy], tmp_path: Path) -> None:
    study = open_with()
    trajectory = study.trajectory(study.plan.roles[CELL]["pretrained"], tmp_path)
    for kept in trajectory.data.readers["synthetic"].training_stream(trajectory.data.train, trajectory.spec.canvas):
        kept.image[4] = 0.0
    trajectory.carry_out([1], lambda done: None)
    row = trajectory.store.read_json(trajectory.spec.folder, 1, "metrics", "metrics.json")
    assert np.isfinite(row["train"]["loss"])


def test_weights_that_became_infinite_in_the_last_update_are_no_result(
    open_with: Callable[..., TinyStudy], tmp_path: Path
) -> None:
    study = open_with(recipe={"updates_per_epoch": 1, "batch_size": 1, "learning_rate": 1e38})
    with pytest.raises(TrainingDiverged, match="lower recipe.learning_rate"):
        study.carry_out(study.plan.roles[CELL]["pretrained"], tmp_path, [1])
    assert Store(tmp_path).epochs(study.plan.roles[CELL]["pretrained"].run, "state") == []


def test_milestones_that_are_there_are_announced_again(
    tiny_study: TinyStudy, pretraining: Milestone, straight: Path
) -> None:
    done = tiny_study.carry_out(pretraining, straight, [2, 3])
    assert {epoch.epoch for epoch in done if epoch.kept} == {2, 3}


def test_an_encoder_that_is_frozen_does_not_move_and_the_rest_does(
    open_with: Callable[..., TinyStudy], straight: Path
) -> None:
    frozen = dataclasses.replace(CELL, freeze="encoder")
    study = open_with(frozen, CELL)
    finetuned = study.plan.roles[frozen]["finetuned"]
    study.carry_out(finetuned, straight, [finetuned.epoch])
    store, before = Store(straight), study.plan.roles[frozen]["pretrained"]
    old = load_tensors(store.read(before.run, before.epoch, "state", "weights.safetensors"))
    new = load_tensors(store.read(finetuned.run, finetuned.epoch, "state", "weights.safetensors"))
    moved = {name for name in old if not np.array_equal(old[name], new[name])}
    assert moved and all(name.startswith(("decoder.", "head.")) for name in moved)
    assert {name.partition(".")[0] for name in moved} == {"decoder", "head"}


def test_epochs_report_their_progress(tiny_study: TinyStudy, pretraining: Milestone, tmp_path: Path) -> None:
    done: list[EpochDone] = tiny_study.carry_out(pretraining, tmp_path, [2])
    assert [(epoch.epoch, epoch.kept) for epoch in done] == [(0, False), (1, False), (2, True)]
    assert done[1].scans_per_second > 0

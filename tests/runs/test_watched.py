"""What is watched of a run, from its first update to TensorBoard's own HTTP API, across an interruption."""

from __future__ import annotations

import json
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lidartune.report.tensorboard import StudyWriter
from lidartune.report.tensorboard.values import png_size
from lidartune.runs.ledger import has_pictures
from lidartune.runs.store import Store
from lidartune.streetworld import WorldFolder
from tests.report.tensorboard_api import Api

from .killed import CELL
from .test_inside import BASE, open_study, stopped_after
from .test_trajectory import Killed

EPOCHS = 4
GROUPS = ("encoder", "decoder", "head")


class Watched:
    """A pretraining that was stopped inside its second epoch and went on, its events written while it ran."""

    def __init__(self, world: WorldFolder, root: Path, patches: pytest.MonkeyPatch):
        study = open_study(world, BASE | {"loss": {"lovasz": 1.0}, "group_learning_rates": {"encoder": 0.1}})
        self.milestone = study.plan.roles[CELL]["pretrained"]
        self.run, self.store, self.root = self.milestone.run, Store(root), root
        self.folder = root / "study"
        self.folder.mkdir()
        cell = {
            "backbone": "b", "width": 64, "pretrain_epochs": EPOCHS, "freeze": "none", "labelled_scans": 2, "seed": 0,
            "roles": {"pretrained": {"run": self.run, "epoch": EPOCHS}},
        }  # fmt: skip
        plan = {
            "schema": 1, "classes": [f"c{n}" for n in range(20)], "cells": [cell],
            "updates_per_epoch": 6, "finetune_epochs": 1,
        }  # fmt: skip
        (self.folder / "plan.json").write_text(json.dumps(plan))
        trajectory = study.trajectory(self.milestone, root, checkpoint_minutes=0)
        with patches.context() as patch:
            stopped_after(patch, 2 * 6)
            writer = StudyWriter(self.folder, root / "runs")
            with pytest.raises(Killed):
                trajectory.carry_out([EPOCHS], lambda done: writer.epoch(self.run, done.epoch))
        assert self.store.insides(self.run, 2), "stopped inside the second epoch"
        writer = StudyWriter(self.folder, root / "runs")
        trajectory = study.trajectory(self.milestone, root, checkpoint_minutes=0)
        trajectory.carry_out([EPOCHS], lambda done: writer.epoch(self.run, done.epoch))
        self.shown = writer.names[self.run]

    def json(self, epoch: int, kind: Any, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.store.read_json(self.run, epoch, kind, name)
        return found


@pytest.fixture(scope="module")
def watched(tiny_world: WorldFolder, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return Watched(tiny_world, tmp_path_factory.mktemp("watched"), pytest.MonkeyPatch())


@pytest.fixture(scope="module")
def api(watched: Watched) -> Iterator[Api]:
    yield Api(watched.folder / "tensorboard")


def test_a_row_holds_what_is_watched_and_no_times(watched: Watched) -> None:
    row = watched.json(2, "metrics", "metrics.json")
    wanted = {"loss", "loss_nll", "loss_lovasz", "gradient_norm", "gradient_norm_largest", "learning_rate"}
    wanted |= {f"{name}_{group}" for name in ("learning_rate", "update_ratio") for group in GROUPS}
    assert set(row["train"]) == wanted and all(np.isfinite(v) and v > 0 for v in row["train"].values())
    assert row["train"]["learning_rate_encoder"] == pytest.approx(0.1 * row["train"]["learning_rate_head"])
    assert row["train"]["gradient_norm_largest"] >= row["train"]["gradient_norm"]
    assert set(row) == {"epoch", "updates", "train", "validation"}


def test_times_and_memory_are_in_a_record_of_their_own(watched: Watched) -> None:
    timing = watched.json(3, "timing", "timing.json")
    assert timing["scans"] == 8 and set(timing["seconds"]) == {"train", "score"} and timing["peak_memory_mib"] > 50
    assert timing["scans_per_second"] == pytest.approx(8 / timing["seconds"]["train"])
    assert timing["seconds_left"] == pytest.approx(sum(timing["seconds"].values())), "one epoch like this one"
    assert watched.json(4, "timing", "timing.json")["seconds_left"] == 0
    half = watched.json(2, "timing", "timing.json")
    assert half["scans"] == 4, "those of the half that was left"
    whole = 2 * half["seconds"]["train"] + half["seconds"]["score"]
    assert half["seconds_left"] == pytest.approx(2 * whole), "two epochs, each of two halves"


def test_tensorboard_s_api_shows_every_number_once_an_epoch(watched: Watched, api: Api) -> None:
    name = watched.shown
    tags = set(api("scalars/tags")[name])
    assert {"loss terms/nll", "loss terms/lovasz", "gradient norm/mean", "gradient norm/largest", "train/loss"} <= tags
    assert {f"{kind}/{group}" for kind in ("learning rate", "update over weights") for group in GROUPS} <= tags
    for domain in ("synthetic", "real"):
        assert {f"miou validation/{domain} {level}" for level in ("points", "pixels")} <= tags
        assert any(tag.startswith(f"per class {domain}/") for tag in tags)
    assert {"timing/scans per second", "timing/seconds to train", "timing/seconds to score"} <= tags
    assert {"timing/seconds left", "timing/peak memory of the process (MiB)"} <= tags
    for tag in tags:
        steps = Counter(step for _, step, _ in api("scalars/scalars", run=name, tag=tag))
        assert set(steps.values()) == {1} and set(steps) <= set(range(EPOCHS + 1)), tag
        if tag.startswith(("train/", "loss terms/", "gradient norm/", "update over weights/")):
            assert sorted(steps) == [1, 2, 3, 4], tag
    shown = api("scalars/scalars", run=name, tag="gradient norm/largest")
    rows = [watched.json(epoch, "metrics", "metrics.json")["train"] for epoch in (1, 2, 3, 4)]
    assert [v for _, _, v in shown] == pytest.approx([row["gradient_norm_largest"] for row in rows], rel=1e-6)


def test_tensorboard_s_api_shows_the_pictures_of_fixed_scans(watched: Watched, api: Api) -> None:
    (name,) = api("images/tags")
    assert name == watched.shown
    wanted = {"validation": [0, 4], "test": [4]}
    for domain in ("synthetic", "real"):
        for split, epochs in wanted.items():
            tag = f"{split}/{domain}: range, prediction, truth"
            found = api("images/images", run=name, tag=tag, sample="0")
            assert [image["step"] for image in found] == epochs, tag
            png = api("images/individualImage", **dict(urllib.parse.parse_qsl(found[0]["query"])))
            assert png_size(png) is not None


def test_tensorboard_s_api_shows_precision_and_recall_of_the_test_scans(watched: Watched, api: Api) -> None:
    counted = watched.json(EPOCHS, "test", "probabilities.json")
    confusion = np.array(watched.json(EPOCHS, "test", "scores.json")["real"]["no_vote"])
    right, wrong = (np.array(counted["real"][name]) for name in ("right", "wrong"))
    # One scan in four is counted; each of its labelled points once for every class.
    per_class = (right + wrong).sum(1)
    assert right.shape == (19, 51) and (per_class == right.sum()).all() and 0 < right.sum() <= confusion[1:].sum()
    tags = api("pr_curves/tags")[watched.shown]
    there = {f"test real/c{n}" for n in range(1, 20) if right[n - 1].any()}
    assert there == {tag for tag in tags if tag.startswith("test real/")}
    number = int(np.argmax(right.sum(1))) + 1
    (curve,) = api("pr_curves/pr_curves", run=watched.shown, tag=f"test real/c{number}")[watched.shown]
    assert curve["step"] == EPOCHS and curve["recall"][0] == 1.0
    assert curve["true_positives"][0] == right[number - 1].sum()
    assert curve["false_positives"][3] == wrong[number - 1, 3:].sum()
    assert sorted(curve["recall"], reverse=True) == curve["recall"]


def test_pictures_of_validation_scans_are_few() -> None:
    assert [epoch for epoch in range(64) if has_pictures(epoch)] == [0, 4, 16]

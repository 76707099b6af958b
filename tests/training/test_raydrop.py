"""Canvases that lose pixels in training: how many, the same on every way to the end, and no label of a real scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lidartune.runs.store import Store
from lidartune.training.begin import Scans
from lidartune.training.loader import TrainingScan
from lidartune.training.raydrop import counted_probability, with_raydrop
from lidartune.transfer.plan import Milestone
from tests.runs.conftest import CELL, TinyStudy, open_tiny, tiny_config

RECIPE: dict[str, Any] = {"updates_per_epoch": 3, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
WAYS = ["global", "per_pixel"]


def open_with(world: Any, raydrop: str) -> TinyStudy:
    return open_tiny(tiny_config(world, recipe=RECIPE | {"raydrop": raydrop}))


def scans_of(study: TinyStudy, results: Path) -> tuple[Scans, Scans]:
    """The pretraining's own scans and those of real."""
    data = study.trajectory(study.plan.roles[CELL]["pretrained"], results).data
    return (
        Scans(files=data.train, reader=data.readers["synthetic"]),
        Scans(files=data.other, reader=data.readers["real"]),
    )


@pytest.mark.parametrize("raydrop", WAYS)
def test_canvases_lose_as_many_pixels_as_are_missing_on_real_ones(
    tiny_world: Any, tmp_path: Path, raydrop: str
) -> None:
    study = open_with(tiny_world, raydrop)
    spec, (own, real) = study.spec("pretrained"), scans_of(study, tmp_path)
    assert all(scan.labels is None for scan in real.files)
    probability = counted_probability(spec, own, real)
    assert np.shape(probability) == (() if raydrop == "global" else (16, 64))
    draws = [scan for scan in own.reader.training_stream([*own.files] * 25, spec.canvas)]
    fill = {
        "before": np.mean([scan.mask.mean() for scan in draws]),
        "after": np.mean([s.mask.mean() for s in with_raydrop(draws, probability, 0, 1, 0)]),
        "wanted": np.mean([s.mask.mean() for s in real.reader.unlabelled_stream(real.files, spec.canvas)]),
    }
    assert fill["before"] > fill["wanted"] + 0.02, "else there is nothing to lose"
    assert fill["after"] == pytest.approx(fill["wanted"], abs=0.02 if raydrop == "global" else 0.06)


def test_a_draw_loses_the_same_pixels_wherever_the_stream_begins(tiny_world: Any, tmp_path: Path) -> None:
    study = open_with(tiny_world, "global")
    own, _ = scans_of(study, tmp_path)
    drawn = list(own.reader.training_stream([own.files[0]] * 4, study.spec("pretrained").canvas))

    def masks(scans: list[TrainingScan], epoch: int, first: int) -> list[bytes]:
        return [scan.mask.tobytes() for scan in with_raydrop(scans, 0.4, 7, epoch, first)]

    whole = masks(drawn, 3, 0)
    assert len(set(whole)) == 4 and masks(drawn[2:], 3, 2) == whole[2:] and not set(whole) & set(masks(drawn, 4, 0))
    for scan in with_raydrop(drawn, 0.4, 7, 3, 0):
        assert (scan.image[:, ~scan.mask] == -1).all() and not scan.truth_image[~scan.mask].any()


@pytest.mark.parametrize("raydrop", WAYS)
def test_it_trains_another_network_and_an_interrupted_run_ends_the_same(
    tiny_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raydrop: str
) -> None:
    study = open_with(tiny_world, raydrop)
    milestone = study.plan.roles[CELL]["pretrained"]
    found = {}
    for way in ("at once", "epoch by epoch", "inside"):
        results = tmp_path / way
        if way == "epoch by epoch":
            study.carry_out(milestone, results, [1])
        if way == "inside":
            commit = Store.commit_inside

            def stopped(store: Store, *rest: Any, commit: Any = commit) -> None:
                commit(store, *rest)
                raise KeyboardInterrupt

            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                patched.setattr(Store, "commit_inside", stopped)
                study.trajectory(milestone, results, checkpoint_minutes=0).carry_out([2], lambda done: None)
        study.carry_out(milestone, results, [2])
        found[way] = Store(results).read(milestone.run, 2, "state", "weights.safetensors")
    assert len(set(found.values())) == 1
    plain = open_with(tiny_world, "off")
    where: Milestone = plain.plan.roles[CELL]["pretrained"]
    plain.carry_out(where, tmp_path / "plain", [2])
    assert where.run != milestone.run
    assert Store(tmp_path / "plain").read(where.run, 2, "state", "weights.safetensors") != found["at once"]


def test_a_run_on_real_scans_loses_none_and_is_the_same_run(tiny_world: Any) -> None:
    with_it, without = (open_with(tiny_world, way) for way in ("global", "off"))
    assert with_it.plan.roles[CELL]["scratch"] == without.plan.roles[CELL]["scratch"]
    assert with_it.spec("scratch").other == "" and with_it.spec("pretrained").other.startswith("points-")

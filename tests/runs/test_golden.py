"""Small runs whose figures are written down: when they change, the same spec gives another result.

Then raise SEMANTICS in lidartune/runs/spec.py, so that stored results are not mixed with new ones, and put the new
figures here. The tolerance leaves room for other processors, not for other computations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lidartune.config import from_dict
from lidartune.runs.spec import SEMANTICS
from lidartune.runs.store import Store
from lidartune.scans import write_labels, write_points
from lidartune.training.joint import Teacher
from lidartune.transfer.plan import Milestone
from lidartune.transfer.roles import LADDER_ROLE

from .conftest import CELL, TinyStudy, open_tiny

GOLDEN: dict[str, dict[str, list[float]]] = {
    "plain": {"loss": [2.4287, 0.8083], "right": [376.0, 1396.0, 1540.0]},
    "everything on": {
        "loss": [5.3704, 4.6109, 4.4501],
        "right": [256.0, 245.0, 409.0, 396.0, 754.0, 758.0, 898.0, 901.0],
    },
    "adapted": {
        "measured": [6.1437, -0.0003, 0.0005, -0.9454, 0.283, 3.4313, 4.9083, 4.9037, 0.698, 0.0692, 0.1864, -0.8207],
        "shares": [0.3184, 0.3396, 0.342, 0.4094, 0.0, 0.5906],
        "right": [1035.0, 1017.0],
    },
    "lasermix": {"loss": [0.9212], "right": [1695.0, 1713.0], "shares": [0.9659]},
}
TOLERANCES: dict[str, dict[str, float]] = {
    "loss": {"rel": 2e-3},
    "measured": {"rel": 2e-3, "abs": 2e-3},
    "shares": {"abs": 0.01},
    "right": {"rel": 0.1, "abs": 20},
}
SEMANTICS_OF_THESE = 1
PLAIN: dict[str, Any] = {"updates_per_epoch": 4, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1}
EVERYTHING: dict[str, Any] = {
    "updates_per_epoch": 4,
    "batch_size": 3,
    "optimizer": "adamw",
    "learning_rate": 0.002,
    "warmup_updates": 3,
    "decay_per_epoch": 0.8,
    "weight_decay": 0.01,
    "class_weights": "effective_number",
    "effective_number_beta": 0.999,
    "class_weights_counted_on": "real",
    "batchnorm_momentum": 0.1,
    "dropout": 0.2,
    "sampling": "sequences",
    "augmentation": {"rotate": True, "flip": 0.5, "drop": 0.2, "jitter_m": 0.02},
    "group_learning_rates": {"encoder": 0.5, "head": 2.0},
    "loss": {"nll": 1.0, "focal": 0.5, "lovasz": 1.0, "label_smoothing": 0.1},
    "accumulation": 2,
    "clip_gradient_norm": 1.0,
    "ema": {"decay": 0.7, "use": "milestones"},
    "precise_batchnorm": 3,
    "raydrop": "per_pixel",
}
AT_START: dict[str, Any] = {"start": {"optimizer": "kept", "learning_rate": "continued", "warmup": False}}


def write_dataset(root: Path, ids: tuple[int, ...], seed: int) -> None:
    """Six sequences of two scans: rings of points on a floor and on walls, made by numpy alone."""
    rng = np.random.default_rng(seed)
    for sequence in range(6):
        for scan in range(2):
            azimuth, elevation = np.meshgrid(np.linspace(-np.pi, np.pi, 128, False), np.linspace(-0.42, 0.04, 16))
            floor = np.minimum(1.7 / np.maximum(np.sin(-elevation), 1e-3), 60.0)
            wall = 8.0 + 6.0 * np.sin(3 * azimuth + rng.uniform(0, 6))
            range_m = np.minimum(floor, wall) + rng.normal(0, 0.02, azimuth.shape)
            hit = (wall < floor).astype(int) + (np.sin(9 * azimuth) > 0.7) * (wall < floor)
            flat = np.cos(elevation)
            xyz = range_m * np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
            points = np.concatenate([xyz, 0.2 + 0.1 * hit[None]]).reshape(4, -1).T
            folder = root / f"{sequence:02d}"
            write_points(folder / "velodyne" / f"{scan:06d}.bin", points)
            write_labels(folder / "labels" / f"{scan:06d}.label", np.array(ids)[hit.reshape(-1)])


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    write_dataset(folder / "synthetic", (8, 18, 20), 0)
    write_dataset(folder / "real", (40, 50, 70), 1)
    return folder


def opened(datasets: Path, recipe: Mapping[str, Any], ladder: Sequence[str] = (), **second: Any) -> TinyStudy:
    splits = {"train": [0, 1, 2, 3], "validation": [4], "test": [5]}
    values = {
        "name": "golden",
        "domains": {
            "synthetic": {"root": str(datasets / "synthetic"), "taxonomy": "synlidar", "splits": splits},
            "real": {"root": str(datasets / "real"), "taxonomy": "semantic-kitti", "splits": splits},
        },
        "canvas": {"height": 16},
        "channels": 0.125,
        "finetune_epochs": 1,
        "grid": {"width": [64], "labelled_scans": [2], "seed": [0]},
        "recipe": dict(recipe),
        "recipe_second_stage": second,
        "ladder": list(ladder),
    }
    return open_tiny(from_dict(values))


def rows(results: Path, milestone: Milestone) -> list[dict[str, Any]]:
    store = Store(results)
    return [store.read_json(milestone.run, e, "metrics", "metrics.json") for e in range(milestone.epoch + 1)]


def right(row: dict[str, Any], domain: str) -> float:
    """Pixels of the validation scans whose class is right."""
    return float(np.trace(np.array(row["validation"][domain]["pixels"])[1:, 1:]))


def figures(found: Sequence[dict[str, Any]], *domains: str) -> dict[str, list[float]]:
    """Losses by epoch, and how many pixels are right, by epoch and domain."""
    losses = [round(row["train"]["loss"], 4) for row in found if "train" in row]
    return {"loss": losses, "right": [right(row, domain) for row in found for domain in domains]}


def adapted_figures(row: dict[str, Any]) -> dict[str, list[float]]:
    """What the adaptation has measured, and how many pixels are right, by domain."""
    found = row["adaptation"]
    layers = found["batchnorm"]
    measured = [*found["statistics"]["means"], *found["statistics"]["stds"]]
    measured += [float(np.mean([layer[moved] for layer in layers])) for moved in ("mean", "log_std")]
    classes = np.flatnonzero(found["prior"]["taught"])
    return {
        "measured": [round(value, 4) for value in measured],
        "shares": [round(found["prior"][prior][c], 4) for prior in ("taught", "target") for c in classes],
        "right": [right(row, "synthetic"), right(row, "real")],
    }


def check(name: str, found: dict[str, list[float]]) -> None:
    assert SEMANTICS == SEMANTICS_OF_THESE, f"figures of semantics {SEMANTICS_OF_THESE} are to be put down anew"
    assert found.keys() == GOLDEN[name].keys(), found
    for figure, values in GOLDEN[name].items():
        assert found[figure] == pytest.approx(values, **TOLERANCES[figure]), (figure, found)


def test_the_same_spec_gives_the_figures_that_are_written_down(datasets: Path, tmp_path: Path) -> None:
    study = opened(datasets, PLAIN)
    pretrained = study.plan.roles[CELL]["pretrained"]
    study.carry_out(pretrained, tmp_path, [2])
    check("plain", figures(rows(tmp_path, pretrained), "synthetic"))


def test_so_do_a_run_with_everything_on_and_one_that_goes_on_from_it(datasets: Path, tmp_path: Path) -> None:
    study = opened(datasets, EVERYTHING, **AT_START)
    roles = study.plan.roles[CELL]
    study.carry_out(roles["pretrained"], tmp_path, [2])
    study.carry_out(roles["finetuned"], tmp_path, [1])
    check(
        "everything on",
        figures(rows(tmp_path, roles["pretrained"]) + rows(tmp_path, roles["finetuned"])[1:], "synthetic", "real"),
    )


def test_so_does_an_adapted_network(datasets: Path, tmp_path: Path) -> None:
    study = opened(datasets, PLAIN, ["combined_prior_em"])
    adapted = study.plan.roles[CELL][LADDER_ROLE + "combined_prior_em"]
    start = study.plan.works[adapted.run].spec.start
    assert start is not None
    study.carry_out(Milestone(run=start.run, epoch=start.epoch), tmp_path, [start.epoch])
    study.carry_out(adapted, tmp_path, [0])
    check("adapted", adapted_figures(rows(tmp_path, adapted)[0]))


def test_so_does_a_network_that_is_trained_on_with_mixed_scans(datasets: Path, tmp_path: Path) -> None:
    study = opened(datasets, PLAIN | {"batch_size": 3}, ["lasermix"])
    milestone = study.plan.roles[CELL][LADDER_ROLE + "lasermix"]
    spec = study.plan.works[milestone.run].spec
    assert spec.start is not None and spec.joint is not None
    study.carry_out(Milestone(run=spec.start.run, epoch=spec.start.epoch), tmp_path, [spec.start.epoch])
    sure = replace(spec, joint=replace(spec.joint, teacher=Teacher(decay=0.8, threshold=0.3)))
    study.trajectory_of(sure, tmp_path).carry_out([1], lambda done: None)
    row = rows(tmp_path, Milestone(run=sure.folder, epoch=1))[1]
    shares = {"shares": [round(row["train"]["pseudo_labelled"], 4)]}
    check("lasermix", figures([row], "synthetic", "real") | shares)

"""A small run whose figures are written down: when they change, the same spec gives another result.

Then raise SEMANTICS in lidartune/runs/spec.py, so that stored results are not mixed with new ones, and put the new
figures here. The tolerance leaves room for other processors, not for other computations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lidartune.config import from_dict
from lidartune.runs.spec import SEMANTICS
from lidartune.runs.store import Store
from lidartune.scans import write_labels, write_points

from .conftest import CELL, open_tiny

GOLDEN = {
    "semantics": 1,
    "loss": [2.4287, 0.8083],
    "right": [376.0, 1396.0, 1540.0],
}


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


def test_the_same_spec_gives_the_figures_that_are_written_down(tmp_path: Path) -> None:
    write_dataset(tmp_path / "synthetic", (8, 18, 20), 0)
    write_dataset(tmp_path / "real", (40, 50, 70), 1)
    splits = {"train": [0, 1, 2, 3], "validation": [4], "test": [5]}
    config = from_dict(
        {
            "name": "golden",
            "domains": {
                "synthetic": {"root": str(tmp_path / "synthetic"), "taxonomy": "synlidar", "splits": splits},
                "real": {"root": str(tmp_path / "real"), "taxonomy": "semantic-kitti", "splits": splits},
            },
            "canvas": {"height": 16},
            "channels": 0.125,
            "finetune_epochs": 1,
            "grid": {"width": [64], "labelled_scans": [2], "seed": [0]},
            "recipe": {"updates_per_epoch": 4, "batch_size": 2, "learning_rate": 0.05, "batchnorm_momentum": 0.1},
        }
    )
    study = open_tiny(config)
    pretrained = study.plan.roles[CELL]["pretrained"]
    study.carry_out(pretrained, tmp_path / "results", [2])
    store = Store(tmp_path / "results")
    rows = [store.read_json(pretrained.run, epoch, "metrics", "metrics.json") for epoch in range(3)]
    right = [float(np.trace(np.array(r["validation"]["synthetic"]["pixels"])[1:, 1:])) for r in rows]
    found = {
        "semantics": SEMANTICS,
        "loss": [round(row["train"]["loss"], 4) for row in rows[1:]],
        "right": right,
    }
    assert found["semantics"] == GOLDEN["semantics"], found
    assert found["loss"] == pytest.approx(GOLDEN["loss"], rel=2e-3), found
    assert found["right"] == pytest.approx(GOLDEN["right"], rel=0.1, abs=20), found

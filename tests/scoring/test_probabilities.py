from __future__ import annotations

import numpy as np
import pytest
import torch

from lidartune.backbones import build
from lidartune.canvas import Sensor, project
from lidartune.scoring.images import class_images, probable_images
from lidartune.scoring.probabilities import PROBABILITY_STEPS, ProbabilityCounts
from lidartune.training.state import Normalization

SENSOR = Sensor(height=16, width=64, fov_up_deg=3.0, fov_down_deg=-25.0)
NORMALIZATION = Normalization(means=(10.0, 0.0, 0.0, -1.0, 0.3), stds=(10.0, 10.0, 10.0, 1.0, 0.2))


def scan(points: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    azimuth, elevation, range_m = rng.uniform([-3, -0.4, 3], [3, 0.05, 50], (points, 3)).T
    xyz = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
    cloud = np.stack([*(range_m * axis for axis in xyz), rng.uniform(0, 1, points)], axis=1).astype(np.float32)
    cloud[:7] = 0  # on no pixel
    return cloud, rng.integers(0, 20, points).astype(np.uint8)


def test_counts_are_those_of_a_loop_over_points_and_classes() -> None:
    points, truth = scan()
    canvas = project(points, SENSOR)
    levels = np.random.default_rng(1).integers(0, PROBABILITY_STEPS + 1, (19, 16, 64)).astype(np.uint8)
    counts = ProbabilityCounts(20)
    counts.add(levels, canvas, truth)
    wanted = np.zeros((2, 19, PROBABILITY_STEPS + 1), dtype=np.int64)
    for n, true in enumerate(truth):
        for c in range(1, 20) if true else ():
            level = levels[c - 1, canvas.row[n], canvas.column[n]] if canvas.row[n] >= 0 else 0
            wanted[int(true == c), c - 1, level] += 1
    assert (counts.counts == wanted).all() and wanted[:, :, 0].sum() > 19 * 3
    assert counts.as_dict()["right"] == wanted[1].tolist()


def test_classes_are_the_same_with_their_probabilities_and_those_sum_to_one() -> None:
    points, truth = scan()
    canvas = project(points, SENSOR)
    torch.manual_seed(0)
    model = build("squeezesegv2", channels=0.25).eval()
    images, levels = probable_images(model, NORMALIZATION, [canvas], torch.device("cpu"))
    assert (images == class_images(model, NORMALIZATION, [canvas], torch.device("cpu"))).all()
    # Whole steps below each of 19 probabilities, which sum to all steps.
    assert levels.shape == (1, 19, 16, 64) and levels.dtype == np.uint8
    total = levels[0].sum(0, dtype=int)
    assert total.max() <= PROBABILITY_STEPS and total.min() > PROBABILITY_STEPS - 19
    chosen = np.take_along_axis(levels[0], images[0][None].astype(int) - 1, axis=0)[0]
    assert (chosen == levels[0].max(0)).all()


def test_what_does_not_fit_is_refused() -> None:
    points, truth = scan()
    canvas = project(points, SENSOR)
    counts = ProbabilityCounts(20)
    with pytest.raises(ValueError, match="probabilities"):
        counts.add(np.zeros((18, 16, 64), dtype=np.uint8), canvas, truth)
    with pytest.raises(ValueError, match="points"):
        counts.add(np.zeros((19, 16, 64), dtype=np.uint8), canvas, truth[:-1])
    # A probability that is no number comes to anything: it counts as 0.
    counts.add(np.full((19, 16, 64), 255, dtype=np.uint8), canvas, truth)
    assert counts.counts[:, :, 0].sum() == 19 * (truth > 0).sum()

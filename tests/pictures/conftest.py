"""A scan of the tiny world with a prediction that is wrong where somebody looking at it must see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lidartune.canvas import Sensor
from lidartune.pictures.labelled import LabelledScan, label_path, read_labelled_scan
from lidartune.scans import load_taxonomy
from lidartune.streetworld import WorldFolder

ROAD, SIDEWALK = 9, 11
SENSOR = Sensor(16, 256, 3.0, -25.0)


@pytest.fixture(scope="session")
def scan_path(tiny_world: WorldFolder) -> Path:
    return sorted(tiny_world.real.glob("sequences/*/velodyne/*.bin"))[0]


@pytest.fixture(scope="session")
def scan(scan_path: Path) -> LabelledScan:
    """Truth and prediction; the road behind the sensor (x < 0) is predicted as sidewalk."""
    taxonomy = load_taxonomy("semantic-kitti")
    read = read_labelled_scan(scan_path, taxonomy=taxonomy, labels=label_path(scan_path))
    assert read.truth is not None
    prediction = np.where((read.truth == ROAD) & (read.points[:, 0] < 0), SIDEWALK, read.truth).astype(np.uint8)
    prediction[read.truth == 0] = ROAD
    return LabelledScan(
        title=read.title, points=read.points, truth=read.truth, prediction=prediction, taxonomy=taxonomy
    )

"""Point clouds for the canvas tests: hypothesis strategies with odd values, and the real scans where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lidartune.canvas import Sensor

SHARED = Path(os.environ.get("LIDARTUNE_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


def real_scan(name: str = "semantic-kitti-mini/sequences/00/velodyne/000000.bin") -> Path:
    """The path of a real scan beside the checkout; skips the test where there is none."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"no real scan at {path} (LIDARTUNE_SHARED_DATA)")
    return path


ODD = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-45, 1e-20, 3e38, np.nan, np.inf, -np.inf])
PLAIN = st.integers(-20, 20).map(lambda n: n / 4) | st.floats(-50, 50, width=32)


@st.composite
def clouds(draw: st.DrawFn, odd: bool = True) -> np.ndarray:
    """(N, 4) float32 with repeated values, so that pixels and ranges collide."""
    values = draw(hnp.arrays(np.float64, (draw(st.integers(0, 40)), 4), elements=PLAIN | ODD if odd else PLAIN))
    return values.astype(np.float32)


@st.composite
def sensors(draw: st.DrawFn) -> Sensor:
    """Small grids, also such as do not straddle the horizon."""
    down, up = sorted(draw(st.lists(st.integers(-90, 90), min_size=2, max_size=2, unique=True)))
    return Sensor(draw(st.integers(1, 9)), draw(st.integers(1, 16)), up, down)


def street(count: int = 5000, seed: int = 0) -> np.ndarray:
    """Ground, walls and some boxes, seen from 1.73 m above the ground."""
    rng = np.random.default_rng(seed)
    azimuth = rng.uniform(-np.pi, np.pi, count)
    elevation = np.radians(rng.uniform(-24.9, 2.9, count))
    ground = np.where(elevation < -0.01, 1.73 / np.maximum(np.sin(-elevation), 1e-3), np.inf)
    wall = np.minimum(8 / np.maximum(np.abs(np.sin(azimuth)), 1e-3), 60)
    box = np.where(np.sin(azimuth * 9) > 0.8, 6.0, np.inf)
    distance = np.minimum(np.minimum(ground, wall), box) + rng.normal(0, 0.01, count)
    xyz = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    return np.stack([*(distance * c for c in xyz), rng.uniform(0, 1, count)], axis=1).astype(np.float32)

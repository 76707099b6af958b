"""Small datasets made by hand: rays of a sensor that is known, over a flat road with walls."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from lidartune.cli.check import check
from lidartune.scans import open_dataset, write_labels, write_points
from lidartune.survey.survey import Survey, survey_dataset

ROAD, BUILDING = 40, 50


def ray_scan(
    *, beams: int = 16, columns: int = 300, up_deg: float = 10.0, down_deg: float = -20.0, height_m: float = 2.0,
    seed: int = 0, levels: int = 100,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Points (N, 4) and SemanticKITTI ids (N,), ring by ring from the top: the road below, walls 30 m away.

    Remission is a multiple of 1 / levels.
    """
    rng = np.random.default_rng(seed)
    elevation = np.repeat(np.deg2rad(np.linspace(up_deg, down_deg, beams)), columns)
    azimuth = np.tile(np.pi - (np.arange(columns) + 0.5) * 2 * np.pi / columns, beams)
    with np.errstate(divide="ignore"):
        reach = np.where(elevation < 0, height_m / -np.sin(elevation), np.inf)
    wall = 30.0 / np.cos(elevation)
    ids = np.where(reach < wall, ROAD, BUILDING)
    reach = np.minimum(reach, wall)
    xyz = reach[:, None] * np.column_stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )
    remission = rng.integers(0, levels, len(xyz)) / levels
    return np.column_stack([xyz, remission]).astype(np.float32), ids.astype(np.uint32)


def write_scan(root: Path, sequence: int, name: int, points: np.ndarray, ids: np.ndarray | None) -> None:
    """One scan in SemanticKITTI's layout."""
    folder = root / "sequences" / f"{sequence:02d}"
    write_points(folder / "velodyne" / f"{name:06d}.bin", points)
    if ids is not None:
        write_labels(folder / "labels" / f"{name:06d}.label", ids)


def write_dataset(root: Path, sequences: tuple[int, ...] = (0, 8), scans: int = 2, **sensor: float) -> Path:
    """Sequences of `ray_scan`s that differ in their remission; returns the root."""
    for sequence in sequences:
        for name in range(scans):
            write_scan(root, sequence, name, *ray_scan(seed=100 * sequence + name, **sensor))  # type: ignore[arg-type]
    return root


def looked_at(root: Path, taxonomy: str = "semantic-kitti", scans: int | None = None) -> Survey:
    return survey_dataset(open_dataset(root, taxonomy), scans_per_sequence=scans, processes=1, progress=False)


def run_check(*arguments: object) -> Result:
    """The command in this process; its exit status is `return_value`, its error `exception`."""
    return CliRunner().invoke(check, [str(a) for a in arguments], standalone_mode=False)


def copy(world: Path, to: Path) -> Path:
    shutil.copytree(world, to)
    return to

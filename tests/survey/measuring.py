"""`lidartune stats` on small made-up datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from click.testing import CliRunner, Result

from lidartune.cli.stats import stats
from lidartune.scans import Taxonomy, write_labels, write_points

CANVAS = ["--width", "256", "--height", "16"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(stats, [str(a) for a in arguments], catch_exceptions=False, prog_name="lidartune stats")


def measured(folder: Path, taxonomy: str | Path, output: Path, *options: object) -> dict:
    result = run(folder, "--taxonomy", taxonomy, "-o", output, *CANVAS, "--processes", 1, *options)
    assert result.exit_code == 0, result.output
    return yaml.safe_load(output.read_text())


def written(taxonomy: Taxonomy, folder: Path, seed: int = 0, *, sequences: int = 2, scans: int = 3) -> Path:
    """A dataset in which every raw id of a taxonomy occurs, some of the points unusable."""
    rng = np.random.default_rng(seed)
    ids = np.array(sorted(taxonomy.learning_map), np.uint32)
    for sequence in range(sequences):
        for scan in range(scans):
            points = rng.normal(0, [15, 15, 2, 0.3], (300 + 20 * scan, 4)).astype(np.float32)
            points[0], points[1, 3] = 0, np.nan
            place = folder / "sequences" / f"{sequence:02d}"
            write_points(place / "velodyne" / f"{scan:06d}.bin", points)
            write_labels(place / "labels" / f"{scan:06d}.label", rng.choice(ids, len(points)))
    return folder

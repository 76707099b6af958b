"""What a run is scored by: every matrix against counting point by point and pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lidartune.canvas import Sensor, project
from lidartune.scans import NUM_CLASSES, ScanFile
from lidartune.scoring.evaluate import score_briefly, score_fully
from lidartune.training.loader import PreparedScan

SENSOR = Sensor(8, 32, 3.0, -25.0)
LENGTHS = {"00": 3, "01": 4}
BLOCK = 2
Matrix = list[list[int]]


@pytest.fixture(scope="module")
def files() -> list[ScanFile]:
    return [
        ScanFile(sequence, f"{number:06d}", Path("nowhere.bin"), None)
        for sequence, length in LENGTHS.items()
        for number in range(length)
    ]


@pytest.fixture(scope="module")
def scans(files: list[ScanFile]) -> list[PreparedScan]:
    rng = np.random.default_rng(0)
    prepared = []
    for _ in files:
        points = rng.normal(0, 1, (400, 4)).astype(np.float32) * [10, 10, 1, 1]
        points[:20, :3] = 0  # on no pixel
        points = points.astype(np.float32)
        truth = rng.integers(0, NUM_CLASSES, len(points)).astype(np.uint8)
        prepared.append(PreparedScan(canvas=project(points, SENSOR), points=points, truth=truth))
    return prepared


@pytest.fixture(scope="module")
def images(scans: list[PreparedScan]) -> dict[int, np.ndarray]:
    """Predictions, also on empty pixels, by the scan's id."""
    rng = np.random.default_rng(1)
    return {id(scan): rng.integers(1, NUM_CLASSES, scan.mask.shape).astype(np.uint8) for scan in scans}


def counted(pairs: Iterator[tuple[int, int]]) -> Matrix:
    """Rows are truth, columns predicted."""
    matrix = [[0] * NUM_CLASSES for _ in range(NUM_CLASSES)]
    for truth, predicted in pairs:
        matrix[truth][predicted] += 1
    return matrix


def added(matrices: list[Matrix]) -> Matrix:
    return np.sum(matrices, axis=0).tolist()


def voted(scan: PreparedScan, image: np.ndarray) -> Iterator[tuple[int, int]]:
    """Each point takes the class most of its voting pixels have, the lowest of several; its own pixel's without any."""
    flat = image.ravel()
    for point, truth in enumerate(scan.truth):
        row, column = scan.canvas.row[point], scan.canvas.column[point]
        if row < 0:
            yield int(truth), 0
            continue
        votes = [int(flat[pixel]) for pixel in scan.neighbour_index[point] if 0 <= pixel < flat.size]
        votes = [vote for vote in votes if vote > 0]
        yield int(truth), min(set(votes), key=lambda c: (-votes.count(c), c)) if votes else int(image[row, column])


def of_pixels(scan: PreparedScan, image: np.ndarray) -> Iterator[tuple[int, int]]:
    height, width = scan.canvas.index.shape
    for row in range(height):
        for column in range(width):
            point = scan.canvas.index[row, column]
            if point >= 0:
                yield int(scan.truth[point]), int(image[row, column])


def of_own_pixels(scan: PreparedScan, image: np.ndarray) -> Iterator[tuple[int, int]]:
    for truth, row, column in zip(scan.truth, scan.canvas.row, scan.canvas.column, strict=True):
        yield int(truth), int(image[row, column]) if row >= 0 else 0


def true_image(scan: PreparedScan) -> np.ndarray:
    return np.array([[scan.truth[i] if i >= 0 else 0 for i in row] for row in scan.canvas.index])


Count = Callable[[PreparedScan, np.ndarray], Iterator[tuple[int, int]]]


def test_a_brief_score_counts_points_after_the_vote_and_pixels(
    scans: list[PreparedScan], images: dict[int, np.ndarray]
) -> None:
    found = score_briefly(lambda scan: images[id(scan)], scans)
    assert found == {
        "points": added([counted(voted(scan, images[id(scan)])) for scan in scans]),
        "pixels": added([counted(of_pixels(scan, images[id(scan)])) for scan in scans]),
    }


def test_a_full_score_counts_four_ways_and_by_blocks(
    files: list[ScanFile], scans: list[PreparedScan], images: dict[int, np.ndarray]
) -> None:
    found = score_fully(lambda scan: images[id(scan)], files, iter(scans), block=BLOCK)
    points = [counted(voted(scan, images[id(scan)])) for scan in scans]
    others = {
        "pixels": added([counted(of_pixels(scan, images[id(scan)])) for scan in scans]),
        "no_vote": added([counted(of_own_pixels(scan, images[id(scan)])) for scan in scans]),
        "ceiling": added([counted(voted(scan, true_image(scan))) for scan in scans]),
    }
    wanted = others | {"points": added(points)}
    for name, matrix in wanted.items():
        assert found[name] == matrix, name
    assert len({str(matrix) for matrix in wanted.values()}) == 4, "no two of them are the same"
    assert found["blocks"] == [
        {"sequence": "00", "first": "000000", "last": "000001", "points": added(points[0:2])},
        {"sequence": "00", "first": "000002", "last": "000002", "points": points[2]},
        {"sequence": "01", "first": "000000", "last": "000001", "points": added(points[3:5])},
        {"sequence": "01", "first": "000002", "last": "000003", "points": added(points[5:7])},
    ]
    assert found.keys() == {*wanted, "blocks"}


@pytest.mark.parametrize("missing", [1, -1])
def test_scans_that_are_not_those_of_the_files_are_no_score(
    files: list[ScanFile], scans: list[PreparedScan], images: dict[int, np.ndarray], missing: int
) -> None:
    some = (files[:-1], scans) if missing > 0 else (files, scans[:-1])
    with pytest.raises(ValueError, match="zip"):
        score_fully(lambda scan: images[id(scan)], *some, block=BLOCK)

"""How much faster projection and neighbour vote are than their plain formulations, measured in interleaved runs.

    python benchmarks/canvas.py [--scan FILE.bin] [--widths 512 1024 2048] [--threads 1 2] [--repeats 15]

"plain" is what the definitions say, in whole-array numpy (sort by range, let the nearest overwrite) and torch (unfold,
topk, scatter_add). Projection has one thread; the vote's lines say how many threads both plain torch and ours had.
"clean" votes on the true classes (of the .label file beside the scan's folder, else made up), "noisy" on the same with
5 % of the pixels drawn anew. Times are medians in milliseconds; compare the ratios, absolute times drift with the
machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from lidartune.canvas import Canvas, Sensor, neighbour_vote, neighbours, project, vote
from lidartune.scans import load_taxonomy, read_labels, read_points


def street(count: int = 124_000) -> tuple[np.ndarray, np.ndarray]:
    """Points, ring by ring, of 64 beams over ground, two walls and boxes along them; and their classes."""
    beams = 64
    rng = np.random.default_rng(0)
    azimuth = np.tile(np.linspace(np.pi, -np.pi, count // beams, endpoint=False), beams)
    elevation = np.radians(np.repeat(np.linspace(2.9, -24.9, beams), count // beams))
    ground = np.where(elevation < 0, 1.73 / np.maximum(np.sin(-elevation), 1e-3), np.inf)
    wall = np.minimum(8 / np.maximum(np.abs(np.sin(azimuth)), 1e-3), 80)
    box = np.where(np.sin(azimuth * 23) > 0.7, 7.0, np.inf)
    surfaces = np.stack([ground, wall, box])
    distance = surfaces.min(axis=0) + rng.normal(0, 0.02, azimuth.size)
    xyz = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    points = np.stack([*(distance * c for c in xyz), rng.random(azimuth.size)], axis=1).astype(np.float32)
    return points, np.array([9, 13, 1], np.uint8)[surfaces.argmin(axis=0)]


def labelled_scan(scan: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points and classes; where no labels lie beside the scan, classes by squares of 4 m."""
    points = read_points(scan)
    labels = scan.parent.parent / "labels" / f"{scan.stem}.label"
    if labels.is_file():
        return points, load_taxonomy("semantic-kitti").to_common(read_labels(labels)).astype(np.uint8)
    x, y = np.floor(points[:, :2] / 4).astype(int).T
    return points, (1 + (x + 5 * y) % 19).astype(np.uint8)


def plain_project(points: np.ndarray, sensor: Sensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, index, rows and columns: farthest first, so that the nearest is written last."""
    depth = np.linalg.norm(points[:, :3], axis=1)
    yaw = -np.arctan2(points[:, 1], points[:, 0])
    pitch = np.arcsin(points[:, 2] / depth)
    up, down = np.radians(sensor.fov_up_deg), np.radians(sensor.fov_down_deg)
    u = np.floor(0.5 * (yaw / np.pi + 1.0) * sensor.width)
    v = np.floor((1.0 - (pitch - down) / (up - down)) * sensor.height)
    columns = np.clip(u, 0, sensor.width - 1).astype(np.int32)
    rows = np.clip(v, 0, sensor.height - 1).astype(np.int32)
    order = np.argsort(depth)[::-1]
    image = np.full((5, sensor.height, sensor.width), -1, np.float32)
    index = np.full((sensor.height, sensor.width), -1, np.int32)
    at = rows[order], columns[order]
    image[0][at] = depth[order]
    for channel in range(4):
        image[channel + 1][at] = points[order, channel]
    index[at] = order
    return image, index, rows, columns


def plain_vote(canvas: Canvas, points: np.ndarray, class_image: np.ndarray) -> np.ndarray:
    """k 5, window 5, sigma 1, cutoff 1 m, over unfolded windows."""
    ranges = torch.from_numpy(np.where(canvas.mask, canvas.image[0], np.inf))
    own = torch.from_numpy(np.linalg.norm(points[:, :3], axis=1))
    flat = torch.from_numpy(canvas.row.astype(np.int64) * canvas.index.shape[1] + canvas.column)

    def windows(image: torch.Tensor, outside: float) -> torch.Tensor:
        wrapped = functional.pad(image[None, None], (2, 2, 0, 0), mode="circular")
        padded = functional.pad(wrapped, (0, 0, 2, 2), value=outside)
        return functional.unfold(padded, 5)[0][:, flat]

    near = windows(ranges, float("inf"))
    near[12] = own
    offsets = torch.arange(5) - 2
    gauss = torch.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / 2.0)
    distance = (near - own).abs() * (1 - gauss / gauss.sum()).reshape(25, 1)
    smallest, which = distance.topk(5, dim=0, largest=False)
    classes = windows(torch.from_numpy(class_image).float(), 0.0).long().gather(0, which)
    classes[smallest > 1.0] = 0
    votes = torch.zeros(20, len(points)).scatter_add_(0, classes, torch.ones(classes.shape)).T
    votes[:, 0] = 0
    winner = votes.argmax(dim=1)
    image = torch.from_numpy(class_image).long().ravel()
    return torch.where(votes.sum(1) > 0, winner, image[flat]).to(torch.uint8).numpy()


def interleaved(candidates: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turn so that all see the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for run in candidates.values():
        run()
    for _ in range(repeats):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(times) for name, times in seconds.items()}


def measure_projection(scan: Path, points: np.ndarray, sensor: Sensor, repeats: int) -> None:
    canvas = project(points, sensor)
    _, _, rows, columns = plain_project(points, sensor)
    same = np.mean((rows == canvas.row) & (columns == canvas.column))
    print(f"\n{len(points):,} points on 64x{sensor.width}; {same:.3%} of them on the same pixel as plain")
    times = interleaved(
        {
            "plain project": lambda: plain_project(points, sensor),
            "project": lambda: project(points, sensor),
            "plain read and project": lambda: plain_project(np.fromfile(scan, np.float32).reshape(-1, 4), sensor),
            "read and project": lambda: project(read_points(scan), sensor),
        },
        repeats,
    )
    for name in ("project", "read and project"):
        show(f"{name}, 1 thread", times[f"plain {name}"], times[name])


def measure_vote(points: np.ndarray, truth: np.ndarray, sensor: Sensor, threads: int, repeats: int) -> None:
    torch.set_num_threads(threads)
    canvas = project(points, sensor)
    found = neighbours(canvas, points)
    clean = np.where(canvas.mask, truth[canvas.index], 0).astype(np.uint8)
    rng = np.random.default_rng(0)
    drawn = canvas.mask & (rng.random(clean.shape) < 0.05)
    noisy = np.where(drawn, rng.integers(1, 20, clean.shape), clean).astype(np.uint8)
    for name, image in {"clean": clean, "noisy": noisy}.items():
        same = np.mean(plain_vote(canvas, points, image) == neighbour_vote(canvas, points, image, threads=threads))
        times = interleaved(
            {
                "plain": lambda image=image: plain_vote(canvas, points, image),
                "ours": lambda image=image: neighbour_vote(canvas, points, image, threads=threads),
                "again": lambda image=image: vote(found, canvas, image, threads=threads),
            },
            repeats,
        )
        both = f"{threads} thread{'s' if threads > 1 else ''} for both"
        show(f"neighbour_vote, {name}, {both} ({same:.3%} as plain)", times["plain"], times["ours"])
        show(f"vote, neighbours known, {name}, {both}", times["plain"], times["again"])


def show(name: str, plain_ms: float, ours_ms: float) -> None:
    print(f"  {name:66} plain {plain_ms:7.2f} ms  ours {ours_ms:6.2f} ms  {plain_ms / ours_ms:6.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, help="a .bin file; without it a made-up street")
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the vote, plain and ours")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    points, truth = labelled_scan(options.scan) if options.scan else street()
    with tempfile.TemporaryDirectory() as folder:
        scan = options.scan or Path(folder) / "street.bin"
        if not options.scan:
            points.tofile(scan)
        for width in options.widths:
            sensor = Sensor(64, width, 3.0, -25.0)
            measure_projection(scan, points, sensor, options.repeats)
            for threads in options.threads:
                measure_vote(points, truth, sensor, threads, options.repeats)


if __name__ == "__main__":
    main()

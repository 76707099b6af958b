"""How much faster projection and neighbour vote are than their plain formulations, measured in one interleaved run.

    python benchmarks/canvas.py [--scan FILE.bin] [--width 2048] [--repeats 15] [--threads 1]

"plain" is what the definitions say, in whole-array numpy (sort by range, let the nearest overwrite) and torch (unfold,
topk, scatter_add). Times are medians in milliseconds; compare the ratios, absolute times drift with the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from lidartune.canvas import Canvas, Sensor, neighbour_vote, neighbours, project, vote
from lidartune.scans import read_points


def street(count: int = 124_000) -> np.ndarray:
    """Ring by ring, 64 beams over ground, two walls and boxes along them."""
    beams = 64
    rng = np.random.default_rng(0)
    azimuth = np.tile(np.linspace(np.pi, -np.pi, count // beams, endpoint=False), beams)
    elevation = np.radians(np.repeat(np.linspace(2.9, -24.9, beams), count // beams))
    ground = np.where(elevation < 0, 1.73 / np.maximum(np.sin(-elevation), 1e-3), np.inf)
    wall = np.minimum(8 / np.maximum(np.abs(np.sin(azimuth)), 1e-3), 80)
    box = np.where(np.sin(azimuth * 23) > 0.7, 7.0, np.inf)
    distance = np.minimum(np.minimum(ground, wall), box) + rng.normal(0, 0.02, azimuth.size)
    xyz = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    return np.stack([*(distance * c for c in xyz), rng.random(azimuth.size)], axis=1).astype(np.float32)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", help="a .bin file; without it a made-up street")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of the plain torch vote; ours has one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    points = read_points(options.scan) if options.scan else street()
    sensor = Sensor(64, options.width, 3.0, -25.0)
    canvas = project(points, sensor)
    _, _, rows, columns = plain_project(points, sensor)
    same = np.mean((rows == canvas.row) & (columns == canvas.column))
    noisy = np.where(np.random.default_rng(0).random(canvas.mask.shape) < 0.05, 7, 1 + canvas.index % 2850 // 150)
    class_image = np.where(canvas.mask, noisy, 0).astype(np.uint8)
    agree = np.mean(plain_vote(canvas, points, class_image) == neighbour_vote(canvas, points, class_image))
    print(f"{len(points):,} points on 64x{options.width}; equal to plain: pixels {same:.4%}, votes {agree:.4%}")
    found = neighbours(canvas, points)
    times = interleaved(
        {
            "plain project": lambda: plain_project(points, sensor),
            "project": lambda: project(points, sensor),
            "plain neighbour_vote": lambda: plain_vote(canvas, points, class_image),
            "neighbour_vote": lambda: neighbour_vote(canvas, points, class_image),
            "vote": lambda: vote(found, canvas, class_image),
        },
        options.repeats,
    )
    base = {"project": "plain project", "neighbour_vote": "plain neighbour_vote", "vote": "plain neighbour_vote"}
    for name, milliseconds in times.items():
        ratio = f"{times[base[name]] / milliseconds:6.1f}x" if name in base else ""
        print(f"{name:22} {milliseconds:8.2f} ms {ratio}")


if __name__ == "__main__":
    main()

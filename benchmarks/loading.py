"""Scans a second of ONE core, from files to training batches, beside the plain formulation, in one interleaved run.

    python benchmarks/loading.py [--data DIR --taxonomy T] [--widths 2048 ...] [--batch 8] [--rounds 15]

A batch is images, masks and true classes as tensors: files read, labels mapped, points projected, all stacked. "plain"
does it one scan after another in whole-array numpy. Without --data it reads the built-in street world's real training
scans, on their own canvas and on 64x2048. The files are in the operating system's cache: the disk is not measured.
The process is bound to one core, where the system can, and its processor time is counted, so that other work on the
machine matters little; medians of the rounds; compare the ratios.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from canvas import plain_project

from lidartune.canvas import Sensor
from lidartune.scans import Dataset, ScanFile, open_dataset
from lidartune.streetworld import WorldSpec, ensure_world
from lidartune.training.augment import Augmentation, augmented
from lidartune.training.batches import to_batch
from lidartune.training.loader import ScanReader
from lidartune.training.seeding import derived_seed

ALL_ON = Augmentation(rotate=True, flip=0.5, drop=0.2, jitter_m=0.02)
CPU = torch.device("cpu")


def plain_batch(dataset: Dataset, scans: Sequence[ScanFile], sensor: Sensor) -> tuple[torch.Tensor, ...]:
    """What a dataset class of the kind that range-image codes have does for each scan, then a stack."""
    images, masks, truths = [], [], []
    for scan in scans:
        assert scan.labels is not None
        points = np.fromfile(scan.points, dtype=np.float32).reshape(-1, 4)
        ids = np.fromfile(scan.labels, dtype=np.uint32) & 0xFFFF
        truth = dataset.taxonomy.lookup[ids]
        image, index, _, _ = plain_project(points, sensor)
        mask = index >= 0
        truth_image = np.zeros(index.shape, dtype=np.int64)
        truth_image[mask] = truth[index[mask]]
        images.append(torch.from_numpy(image))
        masks.append(torch.from_numpy(mask))
        truths.append(torch.from_numpy(truth_image))
    return torch.stack(images), torch.stack(masks), torch.stack(truths)


def candidates(dataset: Dataset, scans: Sequence[ScanFile], sensor: Sensor) -> dict[str, Callable[[], object]]:
    """Ways to make one batch of these scans."""
    forgetful = ScanReader(dataset, memory_bytes=0)
    remembering = ScanReader(dataset, memory_bytes=1 << 32)
    epoch = itertools.count(1)

    def alter(draw: int, points: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return augmented(points, truth, ALL_ON, derived_seed(0, "augmentation", next(epoch), draw))

    return {
        "plain": lambda: plain_batch(dataset, scans, sensor),
        "from files": lambda: to_batch(list(forgetful.training_stream(scans, sensor)), CPU),
        "from files, augmented": lambda: to_batch(list(forgetful.training_stream(scans, sensor, alter)), CPU),
        "from memory": lambda: to_batch(list(remembering.training_stream(scans, sensor)), CPU),
        "from memory, augmented": lambda: to_batch(list(remembering.training_stream(scans, sensor, alter)), CPU),
    }


def interleaved(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each, all threads together, taken in turn so that all see the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for make in candidates.values():
        make()
    for _ in range(rounds):
        for name, make in candidates.items():
            start = time.process_time()
            make()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def measure(dataset: Dataset, scans: Sequence[ScanFile], sensor: Sensor, batch: int, rounds: int) -> None:
    drawn = list(itertools.islice(itertools.cycle(scans), batch))
    points = np.mean([len(dataset.read(scan)[0]) for scan in drawn])
    images, masks, truth = to_batch(list(ScanReader(dataset, memory_bytes=0).training_stream(drawn, sensor)), CPU)
    _, plain_masks, plain_truth = plain_batch(dataset, drawn, sensor)
    same = float(((masks == plain_masks) & (truth == plain_truth)).float().mean())
    print(f"\n{len(set(drawn))} scans of {points:,.0f} points on {sensor.height}x{sensor.width}, batches of {batch}")
    print(f"  pixels with the mask and class of the plain formulation: {same:.4%}")
    times = interleaved(candidates(dataset, drawn, sensor), rounds)
    for name, seconds in times.items():
        print(f"  {name:24}{batch / seconds:8.0f} scans/s {times['plain'] / seconds:8.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a dataset folder; without it the built-in street world")
    parser.add_argument("--taxonomy", default="semantic-kitti", help="of --data")
    parser.add_argument("--widths", type=int, nargs="+", default=[2048], help="of --data's canvas of 64 rows")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.data:
        dataset = open_dataset(options.data, options.taxonomy)
        scans = [scan for scan in dataset.scans() if scan.labels is not None]
        sensors = [Sensor(64, width, 3.0, -25.0) for width in options.widths]
    else:
        spec = WorldSpec()
        world = ensure_world(spec)
        dataset = open_dataset(world.real, "semantic-kitti")
        scans = list(dataset.scans(world.splits["real"]["train"]))
        sensors = [Sensor(spec.beams, spec.columns, 3.0, -25.0), Sensor(64, 2048, 3.0, -25.0)]
    for sensor in sensors:
        measure(dataset, scans, sensor, options.batch, options.rounds)


if __name__ == "__main__":
    main()

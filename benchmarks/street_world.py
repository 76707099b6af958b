"""What the street world costs and is made of; with --results, how much a study's networks lean on remission.

    python benchmarks/street_world.py [--results results --study demo]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lidartune.config import from_dict
from lidartune.runs.spec import RunSpec
from lidartune.runs.store import Store
from lidartune.runs.trajectory import Trajectory
from lidartune.scans import CLASS_NAMES, class_counts, open_dataset
from lidartune.scoring.confusion import ConfusionMatrix
from lidartune.scoring.evaluate import score_briefly
from lidartune.scoring.predict import predict_image
from lidartune.streetworld import WorldFolder, WorldSpec, write_world
from lidartune.training.loader import PreparedScan, ScanReader
from lidartune.training.state import TrainingState
from lidartune.transfer.data import open_study_data
from lidartune.tuning.trainable import run_data

REMISSION = 4


def cost() -> None:
    """CPU seconds a scan at the default size, everything included."""
    with tempfile.TemporaryDirectory() as folder:
        wall, before = time.perf_counter(), _cpu_seconds()
        world = write_world(WorldSpec(), Path(folder) / "world", progress=False)
        scans = len(list(world.path.rglob("*.bin")))
        cpu = _cpu_seconds() - before
        print(f"{scans} scans: {cpu / scans:.3f} CPU-s a scan, {time.perf_counter() - wall:.1f} s in all")
        shares(world)


def shares(world: WorldFolder) -> None:
    """Class shares of the labelled points in the training splits."""
    for domain, root, taxonomy in (
        ("synthetic", world.synthetic, "synlidar"),
        ("real", world.real, "semantic-kitti"),
    ):
        data = open_dataset(root, taxonomy)
        counts = class_counts(data.read(scan)[1] for scan in data.scans(world.splits[domain]["train"]))[1:]
        named = dict(zip(CLASS_NAMES[1:], counts / counts.sum(), strict=True))
        print(f"{domain:10}" + "  ".join(f"{name} {share:.3f}" for name, share in named.items()))


def remission(results: Path, study: str) -> None:
    """Synthetic->synthetic mIoU of the study's pretrained networks with and without remission at test time."""
    config = from_dict(json.loads(json.dumps(_yaml(results / study / "study.yaml"))))
    data, store, device = open_study_data(config), Store(results), torch.device("cpu")
    readers = {d: ScanReader(data.domains[d].dataset, memory_bytes=2**30) for d in ("synthetic", "real")}
    plan = json.loads((results / study / "plan.json").read_text())
    longest = max(cell["pretrain_epochs"] for cell in plan["cells"])
    roles = [cell["roles"]["pretrained"] for cell in plan["cells"] if cell["pretrain_epochs"] == longest]
    costs = []
    for run, epoch in sorted({(role["run"], role["epoch"]) for role in roles}):
        spec = RunSpec.from_dict(json.loads((results / "runs" / run / "spec.json").read_text()))
        trajectory = Trajectory(spec=spec, data=run_data(spec, data, readers), store=store, device=device)
        state = trajectory.load(epoch)
        state.model.eval()
        scores = []
        for zeroed in (False, True):

            classify = partial(_classify, state, zeroed)
            scans = readers["synthetic"].stream(data.domains["synthetic"].test, spec.canvas)
            scores.append(ConfusionMatrix.from_matrix(score_briefly(classify, scans)["points"]).miou())
        costs.append(1 - scores[1] / scores[0])
        print(f"{spec.name}, epoch {epoch}: {100 * scores[0]:.1f}, without remission {100 * scores[1]:.1f}")
    print(f"remission set to 0 costs {100 * np.mean(costs):.0f} % on average, {100 * max(costs):.0f} % at most")


def _classify(state: TrainingState, zeroed: bool, scan: PreparedScan) -> np.ndarray:
    kept = scan.canvas.image[REMISSION].copy()
    scan.canvas.image[REMISSION] *= 0.0 if zeroed else 1.0
    image = predict_image(state, scan, torch.device("cpu"))
    scan.canvas.image[REMISSION] = kept
    return image


def _yaml(path: Path) -> dict:
    import yaml

    return yaml.safe_load(path.read_text())


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--study", default="demo")
    arguments = parser.parse_args()
    if arguments.results:
        torch.set_num_threads(1)
        remission(arguments.results, arguments.study)
    else:
        cost()

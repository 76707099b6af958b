"""How much memory a trial takes, beside what is estimated before it starts.

    python benchmarks/memory.py [--names squeezesegv2 cenet ...]

Each row is a process of its own: two epochs of one run, scored and committed, as a worker of a study carries it out.
Its peak is the kernel's VmHWM.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lidartune.backbones import NAMES
from lidartune.tuning.cluster import SETTINGS

ROOT = Path(__file__).parents[1]
WORLD = (
    "{beams: 32, columns: 1024, scans_per_sequence: 4, synthetic_train: 2, synthetic_validation: 1, synthetic_test: 1, "
    "real_train: 2, real_validation: 1, real_test: 1}"
)
CASES: dict[str, tuple[tuple[float, int, int, int], ...]] = {  # channels, height, width, batch
    "squeezeseg": ((0.25, 32, 512, 2), (1.0, 64, 1024, 2)),
    "squeezesegv2": ((0.125, 32, 256, 2), (0.25, 32, 512, 2), (1.0, 64, 1024, 2), (1.0, 64, 512, 4)),
    "darknet21": ((0.125, 32, 512, 2), (1.0, 64, 512, 1)),
    "darknet53": ((0.25, 32, 512, 2), (1.0, 64, 256, 1)),
    "cenet": ((0.25, 32, 512, 2), (1.0, 64, 256, 2)),
}


def measured(name: str, channels: float, height: int, width: int, batch: int) -> tuple[float, float]:
    """Peak of a process that trains, and its estimate, in MiB."""
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    settings = [name, channels, height, width, batch]
    command = [sys.executable, __file__, "--one", *map(str, settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    peak, estimate = map(float, done.stdout.split()[-2:])
    return peak, estimate


def one(name: str, channels: float, height: int, width: int, batch: int) -> None:
    """In the process itself."""
    import torch

    from lidartune.config import load_config
    from lidartune.runs.store import Store
    from lidartune.runs.trajectory import Trajectory
    from lidartune.training.loader import ScanReader
    from lidartune.transfer.data import open_study_data
    from lidartune.transfer.plan import Cell, Plan
    from lidartune.tuning import trainable, trials  # noqa: F401  (what a worker has loaded)
    from lidartune.tuning.footprint import trial_bytes

    torch.set_num_threads(1)
    settings = [f"world={WORLD}", f"canvas.height={height}", f"channels={channels}", "channels_by_backbone={}"]
    settings += [f"grid.backbone=[{name}]", f"grid.width=[{width}]", "grid.labelled_scans=[all]"]
    settings += [f"recipe.batch_size={batch}", "recipe.updates_per_epoch=2"]
    config = load_config(ROOT / "study" / "demo.yaml", settings=settings)
    data = open_study_data(config)
    plan = Plan(config, data)
    cell = Cell(backbone=name, width=width, pretrain_epochs=3, freeze="none", labelled_scans="all", seed=0)
    spec = plan.works[plan.add(cell)["pretrained"].run].spec
    domains = data.domains.items()
    readers = {
        d: ScanReader(own.dataset, memory_bytes=int(config.resources.scan_memory_gib * 2**29)) for d, own in domains
    }
    with tempfile.TemporaryDirectory() as results:
        scans = trainable.run_data(spec, data, readers)
        run = Trajectory(spec=spec, data=scans, store=Store(results), device=torch.device("cpu"))
        run.carry_out([2], lambda done: None)
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(peak, trial_bytes([spec], config.resources, data) / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, channels, *numbers = options.one
        return one(name, float(channels), *map(int, numbers))
    print("| backbone | channels | canvas | batch | measured, MiB | estimated, MiB | estimated / measured |")
    print("|---|---|---|---|---|---|---|")
    for name in options.names:
        for channels, height, width, batch in CASES[name]:
            peak, estimate = measured(name, channels, height, width, batch)
            row = (name, channels, f"{height} x {width}", batch, f"{peak:.0f}", f"{estimate:.0f}")
            print("|", " | ".join(map(str, row)), f"| {estimate / peak:.2f} |", flush=True)
    return None


if __name__ == "__main__":
    main()

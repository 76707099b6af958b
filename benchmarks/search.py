"""TPE with asha against random search on the built-in world, at equal updates: which finds the better network.

    python benchmarks/search.py [--seeds 5] [--points 12] [--results search-benchmark]

Both are whole searches as study/run_search.py carries them out, one point at a time, without the judging at the end.
Random search trains `points` points to their last epoch; TPE with asha gets as many updates on real scans, and stops
points early. Both train with the same seed and share the pretrainings in one store, so that they are paired; they draw
by seeds of their own, or one would find the other's first points trained already. Compared is the best real validation
mIoU among points that were finished within the budget: what a search would choose from. Run again, it goes on where it
was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lidartune.config import StudyConfig, from_dict
from lidartune.transfer.data import open_study_data
from lidartune.transfer.gap import t_interval
from lidartune.tuning.cluster import ray_cluster, trial_needs
from lidartune.tuning.drawn import DrawnCells
from lidartune.tuning.footprint import trial_bytes
from lidartune.tuning.place import Place, open_place
from lidartune.tuning.study import Study, open_study, record
from lidartune.tuning.trials import run_trials

EPOCHS, UPDATES = 9, 6
SAMPLERS: dict[str, dict[str, Any]] = {
    "random": {"sampler": "random", "scheduler": "none"},
    "tpe + asha": {"sampler": "tpe", "scheduler": "asha", "grace_epochs": 1, "reduction_factor": 3},
}
MORE_POINTS = 5
"""TPE with asha may draw so many times the points of random search; those past the budget do not count."""
SPACE = {
    "finetuning": {
        "learning_rate": {"low": 0.0001, "high": 0.2, "log": True},
        "weight_decay": {"low": 0.0001, "high": 0.1, "log": True},
        "class_weights": ["none", "sqrt", "inverse"],
        "augmentation": [{}, {"flip": 0.5}, {"flip": 0.5, "rotate": True, "jitter_m": 0.01}],
        "start.normalization": ["carried", "own"],
    }
}
WORLD = {
    "beams": 32, "columns": 512, "scans_per_sequence": 6, "synthetic_train": 3, "synthetic_validation": 1,
    "synthetic_test": 1, "real_train": 2, "real_validation": 1, "real_test": 1,
}  # fmt: skip


def study(sampler: str, seed: int, points: int) -> StudyConfig:
    """One search: its name says which."""
    drawn_by = seed if sampler == "random" else seed + 1000
    fresh = [seed + more for more in (100, 200, 300)]  # for the judging that does not take place
    trials = points * (MORE_POINTS if sampler != "random" else 1)
    return from_dict(
        {
            "name": f"{sampler.replace(' + ', '-')}-{seed}",
            "world": WORLD,
            "canvas": {"height": 32},
            "channels": 0.25,
            "finetune_epochs": EPOCHS,
            "grid": {
                "width": [128, 256],
                "pretrain_epochs": [0, 4],
                "freeze": ["none", "encoder"],
                "labelled_scans": [6],
                "seed": [seed],
            },
            "search": SAMPLERS[sampler]
            | {"trials": trials, "seed": drawn_by, "space": SPACE, "judged": {"seeds": fresh}},
            "recipe": {
                "updates_per_epoch": UPDATES,
                "batch_size": 2,
                "optimizer": "adamw",
                "learning_rate": 0.012,
                "decay_per_epoch": 0.9,
                "batchnorm_momentum": 0.1,
            },
            "scoring": {"validation_scans": 4, "test_scans": 2, "block": 2},
        }
    )


def carry_out(config: StudyConfig, results: Path, console: Console) -> list[tuple[int, float | None]]:
    """Runs a search, or goes on with it: of each point, in the order in which they were drawn, updates and value."""
    with open_place(str(results), config.name) as place:
        return _carry_out(open_study(config, results, open_study_data(config), place.store), place, console)


def _carry_out(opened: Study, place: Place, console: Console) -> list[tuple[int, float | None]]:
    source, config = DrawnCells(opened, judges=False), opened.config
    source.slots = 1
    if source.wants_points() or opened.schedule.anything_open():
        record(opened, [])
        needed = trial_bytes(opened.specs, config.resources, opened.data)
        run_trials(opened, source, console, 1, place.writer, trial_needs(config.resources, needed))
    points = source.points
    return [(max(points.curve(point), default=0) * UPDATES, points.value(point)) for point in points.all]


def best_within(points: list[tuple[int, float | None]], budget: int) -> tuple[float, int]:
    """The best value among the points that were over within the budget, and how many these are."""
    spent = np.cumsum([updates for updates, _ in points])
    within = [value for (_, value), at in zip(points, spent, strict=True) if at <= budget]
    return max((value for value in within if value is not None), default=np.nan), len(within)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--points", type=int, default=12)
    parser.add_argument("--results", type=Path, default=Path("search-benchmark"))
    arguments = parser.parse_args()
    quiet, budget = Console(quiet=True), arguments.points * EPOCHS * UPDATES
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in SAMPLERS}
    with ray_cluster(None):
        for seed in range(arguments.seeds):
            for name in SAMPLERS:
                points = carry_out(study(name, seed, arguments.points), arguments.results.absolute(), quiet)
                best, within = best_within(points, budget)
                found[name].append((best_within(points, budget // 2)[0], best, within))
            last = {name: rows[-1] for name, rows in found.items()}
            line = ", ".join(f"{name} {100 * row[1]:.1f} ({row[2]} points)" for name, row in last.items())
            print(f"seed {seed}: {line}", flush=True)
    print(f"best real validation mIoU [%] found, mean over {arguments.seeds} seeds, after")
    for place, label in ((1, f"{budget} updates"), (0, f"{budget // 2} updates")):
        values = {name: np.array([row[place] for row in rows]) for name, rows in found.items()}
        means = ", ".join(f"{name} {100 * value.mean():.2f}" for name, value in values.items())
        gain = t_interval(values["tpe + asha"] - values["random"])
        interval = f"{100 * gain.mean:+.2f} (95 % interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f})"
        print(f"{label}: {means}; tpe + asha over random {interval}")


if __name__ == "__main__":
    main()

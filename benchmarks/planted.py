"""Effects of known size, planted into the built-in world, and what real small studies of it report.

    python benchmarks/planted.py DIR                 # five amounts of gap, then 20 studies without any
    python benchmarks/planted.py DIR --amounts-only  # or --null-only; --studies N takes fewer without any

Each study is the main job itself, on a small world of its own in DIR. What is there is not made again: a command that
was stopped goes on. The real domain departs from the synthetic one by the amount (geometry_gap = sensor_gap); at 0 both
are drawn from the same streets and the same scanner, with as many scans to train on, so that the domain gap is 0 on
average over worlds. Within one world the two sides have different streets, which no seed draws again: an interval over
seeds does not hold that, and covers less than it says for the average over worlds. How much less is what this prints.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy import stats

ROOT = Path(__file__).parents[1]
AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)
MEASURES = ("domain_gap", "gain_equal_finetuning")


def study_yaml(name: str, amount: float, world_seed: int) -> dict[str, object]:
    """A study of one setting and three seeds, a second or two a run."""
    world = {"seed": world_seed, "geometry_gap": amount, "sensor_gap": amount, "beams": 16, "columns": 512}
    splits = {"train": 6, "validation": 1, "test": 6}
    world |= {f"{domain}_{split}": n for domain in ("synthetic", "real") for split, n in splits.items()}
    return {
        "name": name,
        "world": world,
        "canvas": {"height": 16, "fov_up_deg": 3.0, "fov_down_deg": -25.0},
        "channels": 0.125,
        "finetune_epochs": 3,
        "grid": {
            "backbone": ["squeezesegv2"], "width": [256], "pretrain_epochs": [6], "freeze": ["none"],
            "labelled_scans": [6], "seed": [0, 1, 2],
        },
        "recipe": {
            "updates_per_epoch": 16, "batch_size": 2, "optimizer": "adamw", "learning_rate": 0.012,
            "weight_decay": 0.01, "warmup_updates": 8, "decay_per_epoch": 0.9, "class_weights": "sqrt",
            "batchnorm_momentum": 0.1,
        },
        "scoring": {"validation_scans": 2, "block": 4},
    }  # fmt: skip


def measured(folder: Path, name: str, amount: float, world_seed: int) -> pd.Series:
    """The gap table's row of a study; the study is run where its table is not there yet."""
    table = folder / "results" / name / "report" / "gap.csv"
    if not table.exists():
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(study_yaml(name, amount, world_seed)), "utf-8")
        command = [sys.executable, str(ROOT / "study" / "run_transfer_grid.py"), "--config", str(config)]
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        with (folder / f"{name}.log").open("w") as log:
            done = subprocess.run(
                [*command, "--results", str(folder / "results")], env=environment, stdout=log, stderr=log, check=False
            )
        if done.returncode:
            sys.exit(f"{name} ended with status {done.returncode}: see {folder / name}.log")
    return pd.read_csv(table).iloc[0]


def shown(name: str, row: pd.Series) -> None:
    percent = 100 * row[[f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")]].astype(float)
    words = [
        f"{m} {percent[m]:+5.1f} [{percent[m + '_low']:+5.1f}, {percent[m + '_high']:+5.1f}]" for m in MEASURES
    ]
    print(f"{name:12} {'   '.join(words)}   zero-shot {100 * row['synthetic_to_real']:.1f}", flush=True)


def amounts(folder: Path) -> None:
    """The gap grows with the amount."""
    rows = []
    for amount in AMOUNTS:
        rows.append(measured(folder, f"amount-{round(100 * amount)}", amount, world_seed=1))
        shown(f"amount {amount:.2f}", rows[-1])
    spearman = stats.spearmanr(AMOUNTS, [row["domain_gap"] for row in rows]).statistic
    print(f"domain gap against the planted amount: Spearman {spearman:.2f} over {len(AMOUNTS)} amounts")


def nothing_planted(folder: Path, studies: int) -> None:
    """How often an interval over three seeds holds 0 where the domain gap is 0 on average over worlds."""
    rows = []
    for number in range(studies):
        rows.append(measured(folder, f"null-{number}", 0.0, world_seed=100 + number))
        shown(f"null {number}", rows[-1])
    covered = sum(bool(row["domain_gap_low"] <= 0 <= row["domain_gap_high"]) for row in rows)
    gaps = np.array([row["domain_gap"] for row in rows])
    over_worlds = stats.ttest_1samp(gaps, 0).confidence_interval()
    p = stats.binomtest(covered, studies, 0.95).pvalue
    print(f"no gap planted: the interval over seeds holds 0 in {covered} of {studies} studies (p {p:.2f} at 95 %)")
    low, high = 100 * over_worlds.low, 100 * over_worlds.high
    print(f"mean domain gap over worlds {100 * gaps.mean():+.2f} [{low:+.2f}, {high:+.2f}] points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--amounts-only", action="store_true")
    parser.add_argument("--null-only", action="store_true")
    parser.add_argument("--studies", type=int, default=20)
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not options.null_only:
        amounts(folder)
    if not options.amounts_only:
        nothing_planted(folder, options.studies)


if __name__ == "__main__":
    main()

"""Makes up a study of a thousand runs and more, and times its whole report.

    python -m benchmarks.report              # makes the study in a folder of its own, and takes it away again
    python -m benchmarks.report --keep DIR   # makes it there once; DIR/results/thousand is then there to try things on
    python -m benchmarks.report --profile    # where the time goes, by function
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.report.made_up_study import make_study


def thousand_runs(folder: Path) -> Path:
    """The study's folder; it is made where it is not there yet."""
    study = folder / "results" / "thousand"
    if not study.is_dir():
        make_study(
            folder / "results", name="thousand", backbones=("squeezesegv2", "darknet21"), blocks=6,
            widths=(256, 512, 768, 1024, 2048), pretrain_epochs=(0, 3, 12), freezes=("none", "encoder"),
            labelled=(8, 32), seeds=range(5), finetune_epochs=3,
        )  # fmt: skip
    return study


def seconds_of(study: Path) -> float:
    """`lidartune report` in a process of its own: with the imports, and nothing in memory yet."""
    command = [sys.executable, "-c", "from lidartune.cli import main; main()", "report", str(study)]
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def profiled(study: Path) -> None:
    from lidartune.report import write_report

    profile = cProfile.Profile()
    profile.runcall(write_report, study)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        study = thousand_runs(folder)
        if options.profile:
            return profiled(study)
        runs = sum(1 for _ in (folder / "results" / "runs").iterdir())
        seconds = sorted(seconds_of(study) for _ in range(3))
        print(f"{runs} runs: the report took {seconds[1]:.2f} s (median of 3, {seconds[0]:.2f} to {seconds[2]:.2f})")


if __name__ == "__main__":
    main()

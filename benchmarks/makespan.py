"""How close a study's makespan comes to its lower bound, and what a trial costs beside its work.

    python benchmarks/makespan.py [--slots 2 8 32] [--seconds-per-run 4] [--profile]

A grid of 200 cells (650 runs that start from each other) goes through the study's own Tuner, search and schedule; only
its trials sleep instead of training, for times drawn per epoch around what the schedule expects of them. So 32 slots
work on two processors: Ray is told that there are 32. The clock starts when each slot has its worker process, whose
first trial waits for the others, as Ray's own start is no part of it. The bound is max(all work / slots, longest
chain); no order of the runs is faster.

"Between trials" is the time from the end of a trial to the start of the next in the same process, as far as a run was
ready for it: where nothing was, the wait belongs to the bound and not to Tune.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lidartune.config import StudyConfig, from_dict
from lidartune.report.tensorboard import StudyWriter
from lidartune.transfer.plan import Plan
from lidartune.tuning.cluster import SETTINGS
from lidartune.tuning.schedule import Job, Schedule
from lidartune.tuning.study import Study, open_study, save_plan

SPREAD = 0.3
"""Standard deviation of the logarithm of an epoch's time around what is expected of its kind."""


def study_of_200_cells() -> StudyConfig:
    return from_dict(
        {
            "name": "makespan",
            "channels": 0.25,
            "canvas": {"height": 32},
            "grid": {
                "backbone": ["squeezesegv2", "darknet21"],
                "width": [128, 256, 384, 512, 640],
                "pretrain_epochs": [3, 12],
                "freeze": ["none", "encoder"],
                "labelled_scans": [8],
                "seed": [0, 1, 2, 3, 4],
            },
            "finetune_epochs": 3,
            "recipe": {"updates_per_epoch": 16, "batch_size": 2},
            "resources": {"memory_gib_per_trial": 0.001},
        }
    )


def durations(study: Study, seconds_per_run: float) -> dict[str, list[float]]:
    """Seconds of each epoch of each run, epoch 1 first; on average over runs `seconds_per_run` in all."""
    rng = np.random.default_rng(0)
    works = study.plan.works
    drawn = {
        run: study.pace.epoch_cost(work.spec) * rng.lognormal(0.0, SPREAD, size=max(work.epochs))
        for run, work in works.items()
    }
    scale = seconds_per_run * len(works) / sum(float(seconds.sum()) for seconds in drawn.values())
    return {run: [float(value) for value in scale * seconds] for run, seconds in drawn.items()}


def sleep_through(config: dict[str, Any], *, study: str, results: str) -> None:
    """In place of training: sleeps through the run's epochs, and notes when it began and ended."""
    from ray import tune

    from lidartune.runs.spec import RunSpec

    folder = Path(results)
    if not (folder / f"up-{os.getpid()}").exists():
        wait_for_the_others(folder)
    began = time.time()
    run = RunSpec.from_dict(config["spec"]).folder
    scores = {"synthetic": 0.5, "real": 0.5}
    for epoch, seconds in enumerate([0.0, *json.loads((folder / "durations" / f"{run}.json").read_text())]):
        time.sleep(seconds)
        kept = epoch in config["epochs"]
        tune.report({"epoch": epoch, "kept": kept, "miou": scores, "scans_per_second": 1.0, "notes": []})
    with (folder / f"process-{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps([began, time.time(), run]) + "\n")
    tune.report({"epoch": max(config["epochs"]), "finished": True})


def wait_for_the_others(folder: Path) -> None:
    """Lets no trial begin before each slot has its process; the first trial of each comes by here."""
    (folder / f"up-{os.getpid()}").touch()
    slots = int((folder / "slots").read_text())
    while len(list(folder.glob("up-*"))) < slots:
        time.sleep(0.05)


def lower_bound(plan: Plan, seconds: dict[str, list[float]], slots: int) -> tuple[float, float]:
    """All work divided by the slots, and the longest chain."""

    def chain(run: str) -> float:
        start = plan.works[run].spec.start
        return chain_until(start.run, start.epoch) + sum(seconds[run]) if start else sum(seconds[run])

    def chain_until(run: str, epoch: int) -> float:
        return chain(run) - sum(seconds[run][epoch:])

    return sum(map(sum, seconds.values())) / slots, max(map(chain, plan.works))


def carried_out(slots: int, seconds_per_run: float, profile: bool) -> tuple[Study, dict[str, list[float]], Path]:
    import ray

    from lidartune.tuning.cluster import OBJECT_STORE_BYTES, trial_needs
    from lidartune.tuning.search import WholeGrid
    from lidartune.tuning.trials import run_trials

    config = study_of_200_cells()
    results = Path(tempfile.mkdtemp(prefix="makespan-"))
    study = open_study(config, results, None)
    seconds = durations(study, seconds_per_run)
    (results / "slots").write_text(str(slots))
    write_inputs(study, seconds)
    os.environ.update(SETTINGS)
    ray.init(
        address="local",
        num_cpus=slots,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        needs = trial_needs(config.resources, 2**20)

        def writer() -> StudyWriter:
            return StudyWriter(study.folder, results / "runs")

        with open(os.devnull, "w") as nowhere:
            run_trials(study, WholeGrid(), Console(file=nowhere), slots, writer, needs, sleep_through)
        profiler.disable()
        if profile:
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    finally:
        ray.shutdown()
    return study, seconds, results


def write_inputs(study: Study, seconds: dict[str, list[float]]) -> None:
    """What trials and the progress display read."""
    (study.results / "durations").mkdir()
    for run, values in seconds.items():
        (study.results / "durations" / f"{run}.json").write_text(json.dumps(values))
    study.folder.mkdir(parents=True)
    save_plan(study)


def trials_of(results: Path) -> dict[str, list[tuple[float, float, str]]]:
    """When each trial began and ended, by process, in order."""
    found = defaultdict(list)
    for path in results.glob("process-*.jsonl"):
        found[path.stem] = sorted(tuple(json.loads(line)) for line in path.read_text().splitlines())
    return found


def gaps(
    processes: dict[str, list[tuple[float, float, str]]], study: Study, seconds: dict[str, list[float]]
) -> list[float]:
    """Seconds between two trials of a process, counted from when the second's milestone was there."""
    began = {run: start for trials in processes.values() for start, _, run in trials}
    found = []
    for trials in processes.values():
        for (_, ended, _), (start, _, run) in zip(trials[:-1], trials[1:], strict=True):
            milestone = study.plan.works[run].spec.start
            ready = began[milestone.run] + sum(seconds[milestone.run][: milestone.epoch]) if milestone else 0.0
            found.append(start - max(ended, ready))
    return found


def ideal(study: Study, seconds: dict[str, list[float]], slots: int) -> float:
    """The makespan of the same schedule without anything between trials."""
    from lidartune.tuning.hours import simulate

    def took(job: Job, missing: list[int]) -> list[float]:
        marks = [0, *missing]
        values = seconds[job.spec.folder]
        return [sum(values[a:b]) for a, b in zip(marks[:-1], marks[1:], strict=True)]

    schedule = Schedule(study.plan, lambda run, epoch: False, study.pace.epoch_cost)
    return simulate(schedule, took, slots)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", nargs="+", type=int, default=[2, 8, 32])
    parser.add_argument("--seconds-per-run", type=float, default=4.0)
    parser.add_argument("--profile", action="store_true", help="print where the driver's time goes")
    options = parser.parse_args()
    print("| slots | runs | work / slots | longest chain | makespan | over bound | schedule alone | between trials |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for slots in options.slots:
        study, seconds, results = carried_out(slots, options.seconds_per_run, options.profile)
        processes = trials_of(results)
        trials = [trial for own in processes.values() for trial in own]
        assert {run for _, _, run in trials} == set(study.plan.works), "every run, once"
        makespan = max(end for _, end, _ in trials) - min(start for start, _, _ in trials)
        share, chain = lower_bound(study.plan, seconds, slots)
        bound = max(share, chain)
        between = gaps(processes, study, seconds)
        mean, worst = statistics.fmean(between), statistics.quantiles(between, n=20)[-1]
        print(
            f"| {slots} | {len(trials)} | {share:.1f} s | {chain:.1f} s | {makespan:.1f} s | "
            f"{100 * (makespan / bound - 1):.1f} % | {100 * (ideal(study, seconds, slots) / bound - 1):.1f} % | "
            f"{mean:.2f} s, 95 % below {worst:.2f} s, {len(processes)} processes |",
            flush=True,
        )


if __name__ == "__main__":
    main()

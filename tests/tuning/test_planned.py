"""`--plan` as a user reads it: time from stored runs through the schedule, disk, memory; at once, and without Ray."""

from __future__ import annotations

import io
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lidartune.config import StudyConfig, load_config
from lidartune.runs.store import Store
from lidartune.transfer.data import open_study_data
from lidartune.tuning import planned
from lidartune.tuning.disk import state_bytes, study_bytes
from lidartune.tuning.hours import BETWEEN_TRIALS_S, forecast, simulate
from lidartune.tuning.machine import Gpu
from lidartune.tuning.schedule import Job, Schedule
from lidartune.tuning.study import Study, open_study
from tests.runs.conftest import open_tiny, tiny_config

ROOT = Path(__file__).parents[2]
GRID = {"width": [64], "pretrain_epochs": [0, 2, 5], "freeze": ["none", "encoder"], "labelled_scans": [2], "seed": [0]}
PLAN_SECONDS = 3.0


def printed(config: StudyConfig, results: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    planned.show_plan(config, results=results, console=console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def opened(config: StudyConfig, results: Path) -> Study:
    return open_study(config, results, open_study_data(config))


def store_timing(results: Path, study: Study, run: str, *, train: float, score: float, **more: Any) -> None:
    """Timings of a run's first two epochs, of a machine like this one."""
    import json

    spec, store = study.plan.works[run].spec, Store(results)
    store.write_spec(run, spec.as_dict())
    for epoch, seconds, scans in ((0, 0.5, 0), (1, train, spec.recipe.updates_per_epoch * spec.recipe.batch_size)):
        row = {"seconds": {"train": seconds, "score": score}, "scans": scans, "threads": 1} | more
        store.commit(run, epoch, "timing", {"timing.json": json.dumps(row).encode()})


@pytest.fixture
def config(tiny_world: Any) -> StudyConfig:
    return tiny_config(tiny_world, grid=GRID)


def test_without_a_stored_run_the_time_is_unknown(config: StudyConfig, tmp_path: Path) -> None:
    text = printed(config, tmp_path / "none")
    assert "5 cells" in text and "left out" in text
    assert "time: unknown: no run of squeezesegv2 at 16 x 64 in batches of 1 is stored" in text
    assert not (tmp_path / "none").exists()


def test_the_time_is_that_of_stored_runs_of_the_same_kind(
    config: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(config, tmp_path)
    run = next(iter(study.plan.works))
    store_timing(tmp_path, study, run, train=60.0, score=20.0)
    here = {"CPU": 2.0, "memory": 2.0**40}
    monkeypatch.setattr(planned, "resources_here", lambda gpus: here)
    text = printed(config, tmp_path)
    assert "2 slots (from 1 stored run;" in text
    study = opened(config, tmp_path)
    found = forecast(study.plan, study.schedule.is_there, study.pace, 2)
    epochs, begun = study.schedule.epochs_left(), len(study.plan.works)
    took = 80 * epochs + (20 + BETWEEN_TRIALS_S) * begun
    assert found.work == pytest.approx(took, rel=0.05), "80 s an epoch, 20 at epoch 0"
    assert found.bound(2) <= found.makespan <= 1.1 * found.bound(2)
    assert 5 * 80 <= found.longest_chain < 12 * 80
    hours = re.search(r"about (?:(\d+) h )?(\d+) min", text)
    assert hours and 60 * int(hours[1] or 0) + int(hours[2]) == pytest.approx(found.makespan / 60, abs=1)
    monkeypatch.setattr(planned, "resources_here", lambda gpus: here | {"CPU": 0.0})
    assert "no trial fits on this machine" in printed(config, tmp_path)


@pytest.mark.parametrize("more", [{"threads": 8}, {"gpu_peak_memory_mib": 900}], ids=["other threads", "a GPU"])
def test_timings_of_other_machines_say_nothing(config: StudyConfig, tmp_path: Path, more: dict[str, Any]) -> None:
    study = opened(config, tmp_path)
    store_timing(tmp_path, study, next(iter(study.plan.works)), train=60.0, score=20.0, **more)
    assert "time: unknown" in printed(config, tmp_path)


def test_damaged_timings_are_passed_over(config: StudyConfig, tmp_path: Path) -> None:
    study = opened(config, tmp_path)
    run = next(iter(study.plan.works))
    store_timing(tmp_path, study, run, train=60.0, score=20.0)
    (path,) = (tmp_path / "runs" / run / "epoch-000001" / "timing").glob("timing-*.json")
    path.write_text("[]")
    assert "time: unknown" in printed(config, tmp_path)
    (tmp_path / "runs" / run / "spec.json").write_text("{")
    assert "time: unknown" in printed(config, tmp_path)


def test_the_simulation_is_the_schedule_on_a_clock(tiny_world: Any) -> None:
    plan = open_tiny(tiny_config(tiny_world, grid=GRID)).plan

    def one_second_an_epoch(job: Job, missing: list[int]) -> list[float]:
        marks = [0, *missing]
        return [float(b - a) for a, b in zip(marks[:-1], marks[1:], strict=True)]

    def carried_out(slots: int) -> tuple[float, float]:
        return simulate(Schedule(plan, lambda run, epoch: False), one_second_an_epoch, slots)

    work = sum(max(work.epochs) for work in plan.works.values())
    assert carried_out(1) == (work, work)
    many, _ = carried_out(len(plan.works))
    assert many == max(
        (work.spec.start.epoch if work.spec.start else 0) + max(work.epochs) for work in plan.works.values()
    )
    assert simulate(Schedule(plan, lambda run, epoch: True), one_second_an_epoch, 2) == (0.0, 0.0)


def test_disk_is_states_that_are_kept_and_little_more(config: StudyConfig, tmp_path: Path) -> None:
    study = opened(config, tmp_path)
    left = study_bytes(study.plan, study.schedule.is_there, study.data)
    kept = sum(
        state_bytes(work.spec) * sum(epoch > 0 for epoch in work.epochs) for work in study.plan.works.values()
    )
    assert kept < left < kept + 300_000 * len(study.plan.works)
    assert study_bytes(study.plan, lambda run, epoch: True, study.data) == 0
    assert f"disk: about {left / 2**20:.0f} MiB more" in printed(config, tmp_path)


def test_a_gpu_s_share_is_told(config: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    monkeypatch.setattr(planned, "gpus_here", lambda: [Gpu("made up", 24_576, "1.0")])
    monkeypatch.setattr(planned, "resources_here", lambda gpus: {"CPU": 8.0, "GPU": 1.0, "memory": 2.0**40})
    shared = dataclasses.replace(config, resources=dataclasses.replace(config.resources, gpus_per_trial=0.25))
    assert re.search(r"of its GPU, which 4 share: \d+ fit into 24 GiB", printed(shared, tmp_path))


@pytest.mark.parametrize("study", ["demo", "memo", "search"])
def test_a_plan_loads_neither_ray_nor_torch_and_takes_seconds(study: str, tmp_path: Path) -> None:
    searches = study == "search"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lidartune.cli import study_command\n"
        f"command = study_command(default=Path('study/{study}.yaml'), searches={searches})\n"
        "command(sys.argv[1:], standalone_mode=False)\n"
        "print('LOADED', sorted({'ray', 'torch', 'optuna', 'pandas', 'matplotlib'} & set(sys.modules)))\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", code, "--plan", "--results", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "LOADED []" in done.stdout and not (tmp_path / "none").exists()
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert seconds < PLAN_SECONDS, "of processor time: others may use the machine"
    for line in ("left: " if searches else "pretraining: ", "time: ", "disk: ", "memory: "):
        assert f"\n  {line}" in done.stdout
    assert len(done.stdout.splitlines()) < 13


def test_pretraining_of_the_demo_is_shared() -> None:
    demo = load_config(ROOT / "study" / "demo.yaml")
    pretraining, alone = open_study(demo, Path("/nowhere"), None).plan.pretraining_epochs()
    assert (pretraining, alone) == (144, 360) and pretraining <= 0.4 * alone

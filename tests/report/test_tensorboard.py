from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lidartune.report.tensorboard import StudyWriter, readable_names
from lidartune.report.tensorboard.values import EVENTS_NAME, png_size

from .made_up_study import commit, make_study, matrix, metrics


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def steps(events: EventAccumulator, tag: str) -> list[int]:
    return [e.step for e in events.Scalars(tag)]


def the_finetuning(study: Path) -> str:
    return str(json.loads((study / "plan.json").read_text())["cells"][0]["roles"]["finetuned"]["run"])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return make_study(tmp_path, seeds=(0,), real_classes=range(1, 18))


def test_events_hold_the_committed_figures(study: Path) -> None:
    writer = StudyWriter(study, study.parent / "runs")
    run = the_finetuning(study)
    events = read(study / "tensorboard" / writer.names[run])
    assert steps(events, "miou validation/real points") == [0, 1, 2, 3, 4]
    assert steps(events, "train/loss") == [1, 2, 3, 4]
    assert steps(events, "miou test/real points") == [0, 4]
    data = json.loads(next((study.parent / "runs" / run / "epoch-000002" / "metrics").glob("metrics-*")).read_text())
    confusion = np.array(data["validation"]["real"]["points"])
    shares = np.diag(confusion)[1:18] / confusion[1:18].sum(1)
    assert events.Scalars("miou validation/real points")[2].value == pytest.approx(shares.mean(), rel=1e-5)
    assert events.Scalars("per class real/class-3")[2].value == pytest.approx(shares[2], rel=1e-5)
    tags = events.Tags()
    assert "per class synthetic/class-18" in tags["scalars"] and "per class real/class-18" not in tags["scalars"]
    image = events.Images("test/real: range, prediction, truth")[0]
    assert (image.width, image.height) == (64, 30) == png_size(image.encoded_image_string)


def test_epochs_that_are_not_committed_are_not_shown(study: Path) -> None:
    run = the_finetuning(study)
    (study.parent / "runs" / run / "epoch-000002" / "metrics" / "commit.json").unlink()
    writer = StudyWriter(study, study.parent / "runs")
    events = read(study / "tensorboard" / writer.names[run])
    assert steps(events, "per class real/class-3") == [0, 1, 3, 4]


def test_every_run_of_the_plan_has_a_readable_name(study: Path) -> None:
    StudyWriter(study, study.parent / "runs")
    shown = sorted(p.name for p in (study / "tensorboard").iterdir())
    assert "squeezesegv2-512-p3-none-real-n8-s0" in shown and len(shown) == 7 + 1
    assert [p.name for p in (study / "tensorboard" / "cells").iterdir()] == ["squeezesegv2-512-3ep-none-8scans-seed0"]
    assert readable_names({"a-1", "a-2", "b-3"}) == {"a-1": "a-1", "a-2": "a-2", "b-3": "b"}


def test_names_cannot_lead_out_of_the_folder_or_fall_together() -> None:
    names = readable_names(["../../x-1", "..-2", "-3", "cells-4", "a/b-5", "a_b-6", "a b-7", "\x1b[2J-8", "x" * 900])
    assert all(re.fullmatch(r"[\w.+=~-]+", n, re.ASCII) and n.strip(".") and len(n) <= 210 for n in names.values())
    assert len(set(names.values())) == len(names) and "cells" not in names.values()


def test_live_epochs_are_appended_once(study: Path) -> None:
    run = the_finetuning(study)
    epoch_5 = study.parent / "runs" / run
    writer = StudyWriter(study, study.parent / "runs")
    folder = study / "tensorboard" / writer.names[run]
    writer.epoch(run, 4)  # shown already
    writer.epoch(run, 5)  # not committed yet
    rows = {d: matrix(0.3) for d in ("synthetic", "real")}
    commit(epoch_5, 5, "metrics", {"metrics.json": metrics(5, rows)})
    writer.epoch(run, 5)
    writer.epoch(run, 5)
    writer.epoch("not-of-this-plan", 1)
    assert steps(read(folder), "miou validation/real points") == [0, 1, 2, 3, 4, 5]


def test_no_step_twice_after_a_resume(study: Path) -> None:
    run = the_finetuning(study)
    for _ in range(2):
        writer = StudyWriter(study, study.parent / "runs")
        writer.epoch(run, 4)
    events = read(study / "tensorboard" / writer.names[run])
    for tag in events.Tags()["scalars"]:
        assert max(Counter(steps(events, tag)).values()) == 1
    assert len(list((study / "tensorboard").rglob("events*"))) == 7 + 1


def test_what_is_there_already_stays_in_place_for_a_tensorboard_that_is_open(study: Path) -> None:
    run, runs = the_finetuning(study), study.parent / "runs"
    folder = study / "tensorboard" / StudyWriter(study, runs).names[run]
    path = folder / EVENTS_NAME
    before, content = path.stat().st_ino, path.read_bytes()
    rows = {d: matrix(0.3) for d in ("synthetic", "real")}
    commit(runs / run, 5, "metrics", {"metrics.json": metrics(5, rows)})
    StudyWriter(study, runs)
    assert path.stat().st_ino == before and path.read_bytes().startswith(content)
    assert steps(read(folder), "miou validation/real points") == [0, 1, 2, 3, 4, 5]


def test_stale_and_torn_events_are_replaced_and_others_kept(study: Path) -> None:
    runs, run = study.parent / "runs", the_finetuning(study)
    name = StudyWriter(study, runs).names[run]
    other, gone = study / "tensorboard" / "mine", study / "tensorboard" / "an-older-name"
    for folder in (other, gone):
        folder.mkdir()
    (other / "events.out.tfevents.1.somebody").write_bytes(b"not ours")
    (gone / EVENTS_NAME).write_bytes(b"")
    path = study / "tensorboard" / name / EVENTS_NAME
    path.write_bytes(path.read_bytes()[:-7])
    StudyWriter(study, runs)
    assert steps(read(study / "tensorboard" / name), "miou test/real points") == [0, 4]
    assert (other / "events.out.tfevents.1.somebody").exists() and not (gone / EVENTS_NAME).exists()


def test_png_size_of_what_is_no_png() -> None:
    assert png_size(b"GIF89a" * 10) is None and png_size(None) is None

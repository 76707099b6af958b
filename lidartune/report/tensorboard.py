"""TensorBoard events, derived from the committed epochs and written again at any time: one TensorBoard run a run.

The step is the epoch of the run, so a fine-tuning starts at step 0 like the scratch run beside it. The events are
written with TensorBoard's own record writer (tensorboardX would import torch).
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from lidartune.report.committed import as_matrix, committed_file, committed_json
from lidartune.report.scores import DOMAINS
from lidartune.transfer import gap

_JSON = {"metrics": "metrics.json", "test": "scores.json", "timing": "timing.json"}
_GROUPS = {
    "loss_": "loss terms",
    "learning_rate_": "learning rate",
    "gradient_norm_": "gradient norm",
    "update_ratio_": "update over weights",
}
EVENTS_NAME = "events.out.tfevents.0.lidartune"  # one file a run, under our own name: nobody else's is ever removed


class StudyWriter:
    """Keeps a study's TensorBoard folder in step with its store.

    Construction writes every run that the plan names afresh from what is committed; `epoch` then appends single epochs.
    No step is shown twice, however often a study is resumed. One writer a study at a time.

    Args:
        study_folder: holds plan.json; events go to its `tensorboard` folder.
        runs_root: the folder of the runs.
    """

    def __init__(self, study_folder: Path, runs_root: Path):
        plan = json.loads((Path(study_folder) / "plan.json").read_text(encoding="utf-8"))
        self._folder, self._runs_root = Path(study_folder) / "tensorboard", Path(runs_root)
        self._classes = [str(c) for c in plan["classes"]]
        runs = {str(role["run"]) for cell in plan["cells"] for role in cell["roles"].values()}
        self.names = readable_names(runs)
        for stale in self._folder.glob(f"*/{EVENTS_NAME}"):
            stale.unlink(missing_ok=True)
            with suppress(OSError):  # somebody keeps other files there
                stale.parent.rmdir()
        self._shown = {
            run: _RunEvents(self._runs_root / run, self._folder / name, self._classes)
            for run, name in self.names.items()
        }
        for events in self._shown.values():
            events.write_all()

    def epoch(self, run_folder_name: str, epoch: int) -> None:
        """Appends what a run has committed up to `epoch` and is not shown yet; runs outside the plan are left out."""
        events = self._shown.get(run_folder_name)
        if events is not None:
            events.write(range(epoch + 1))


def readable_names(runs: set[str]) -> dict[str, str]:
    """Run folder name -> the name to show: without the id behind the last dash where that stays unique."""
    short = {run: run.rpartition("-")[0] or run for run in runs}
    counts = Counter(short.values())
    return {run: short[run] if counts[short[run]] == 1 else run for run in sorted(runs)}


class _RunEvents:
    """The event file of one run, and what it already holds."""

    def __init__(self, run_folder: Path, folder: Path, classes: list[str]):
        self._run_folder, self._folder, self._classes = run_folder, folder, classes
        self._held: set[tuple[int, str]] = set()

    def write_all(self) -> None:
        """Replaces the file by what is committed now."""
        (self._folder / EVENTS_NAME).unlink(missing_ok=True)
        self._held.clear()
        self.write(_epochs(self._run_folder))

    def write(self, epochs: list[int] | range) -> None:
        """Appends those of `epochs` that are committed and not in the file yet."""
        wanted = [(e, kind) for e in epochs for kind in _JSON if (e, kind) not in self._held]
        rows = [(e, kind, self._values(e, kind)) for e, kind in wanted]
        rows = [row for row in rows if row[2]]
        if not rows:
            return
        path = self._folder / EVENTS_NAME
        self._folder.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("ab") as file:
            writer = RecordWriter(file)
            if new:
                wall_time = _committed_at(self._run_folder, *rows[0][:2])
                writer.write(Event(wall_time=wall_time, file_version="brain.Event:2").SerializeToString())
            for epoch, kind, values in rows:
                wall_time = _committed_at(self._run_folder, epoch, kind)
                event = Event(wall_time=wall_time, step=epoch, summary=Summary(value=values))
                writer.write(event.SerializeToString())
                self._held.add((epoch, kind))

    def _values(self, epoch: int, kind: str) -> list[Any]:
        data, _ = committed_json(self._run_folder, epoch, kind, _JSON[kind])
        if data is None:
            return []
        if kind == "timing":
            return [_scalar(tag, value) for tag, value in _timing(data) if value is not None]
        train = sorted((data.get("train") or {}).items()) if kind == "metrics" else []
        values = [_scalar(training_tag(key), value) for key, value in train if isinstance(value, int | float)]
        split = "validation" if kind == "metrics" else "test"
        per_domain = (data.get("validation") or {}) if kind == "metrics" else data
        for domain in (d for d in DOMAINS if isinstance(per_domain.get(d), dict)):
            values += self._scores(split, domain, per_domain[domain])
            values += self._picture(epoch, kind, split, domain)
        return values

    def _scores(self, split: str, domain: str, matrices: dict[str, Any]) -> list[Any]:
        values = []
        for level in ("points", "pixels"):
            if level not in matrices:
                continue
            confusion = as_matrix(matrices[level], len(matrices[level]))
            figures = [(f"miou {split}/{domain} {level}", float(gap.mean_iou(confusion)))]
            if level == "points" and split == "validation":
                per_class = gap.iou(confusion)
                named = list(zip(self._classes, per_class, strict=False))[1:]
                figures += [(f"per class {domain}/{name}", float(value)) for name, value in named]
            # A class without a labelled point has no value at all, never 0.
            values += [_scalar(tag, value) for tag, value in figures if not np.isnan(value)]
        return values

    def _picture(self, epoch: int, kind: str, split: str, domain: str) -> list[Any]:
        png, _ = committed_file(self._run_folder, epoch, kind, f"picture-{domain}.png")
        size = png_size(png)
        if png is None or size is None:
            return []
        image = Summary.Image(height=size[1], width=size[0], colorspace=3, encoded_image_string=png)
        return [Summary.Value(tag=f"{split}/{domain}: range, prediction, truth", image=image)]


def training_tag(name: str) -> str:
    """The tag of a number of the updates, in TensorBoard's group of its kind: `loss_nll` is `loss terms/nll`."""
    if name == "gradient_norm":
        return "gradient norm/mean"
    for beginning, group in _GROUPS.items():
        if name.startswith(beginning):
            return f"{group}/{name.removeprefix(beginning)}"
    return f"train/{name}"


def _timing(data: dict[str, Any]) -> list[tuple[str, Any]]:
    """What an epoch took; scans a second only where some were trained on."""
    seconds = data.get("seconds") or {}
    return [
        ("timing/scans per second", data.get("scans_per_second") or None),
        ("timing/seconds to train", seconds.get("train")),
        ("timing/seconds to score", seconds.get("score")),
        ("timing/seconds left", data.get("seconds_left")),
        ("timing/peak memory of the process (MiB)", data.get("peak_memory_mib")),
        ("timing/peak memory on the GPU (MiB)", data.get("gpu_peak_memory_mib")),
    ]


def _scalar(tag: str, value: float) -> Any:
    return Summary.Value(tag=tag, simple_value=float(value))


def png_size(data: bytes | None) -> tuple[int, int] | None:
    """(width, height) of a PNG from its header, None where it is not one."""
    if data is None or len(data) < 24 or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _epochs(run_folder: Path) -> list[int]:
    numbers = (p.name.removeprefix("epoch-") for p in run_folder.glob("epoch-*"))
    return sorted(int(n) for n in numbers if n.isdecimal())


def _committed_at(run_folder: Path, epoch: int, kind: str) -> float:
    return (run_folder / f"epoch-{epoch:06d}" / kind / "commit.json").stat().st_mtime

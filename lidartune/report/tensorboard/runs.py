"""The TensorBoard run of one run: its scores, pictures and times. The step is the epoch of the run, so that a
fine-tuning starts at step 0 like the scratch run beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lidartune.report.committed import as_matrix, committed_file, committed_json
from lidartune.report.scores import DOMAINS
from lidartune.report.tensorboard.values import EventsFile, event, picture, pr_curve_values, scalar
from lidartune.transfer import gap

_JSON = {"metrics": "metrics.json", "test": "scores.json", "timing": "timing.json"}
_GROUPS = {
    "loss_": "loss terms",
    "learning_rate_": "learning rate",
    "gradient_norm_": "gradient norm",
    "update_ratio_": "update over weights",
}
_PR_NOTE = "every fourth test scan; points by the probability at their own pixel"


class RunEvents:
    """The event file of one run, and what it already holds.

    Attributes:
        validation: epoch -> domain -> mIoU on points of the validation scans, of the epochs that are shown.
        tested: the epochs whose test scores are shown.
        last_committed: when the last of what is shown was committed, seconds since 1970; 0 where nothing is.

    Args:
        classes: their names, as tags may have them; entry 0 is "ignored".
    """

    def __init__(self, run_folder: Path, folder: Path, classes: Sequence[str]):
        self._run_folder, self._file, self._classes = run_folder, EventsFile(folder), classes
        self._held: set[tuple[int, str]] = set()
        self.validation: dict[int, dict[str, float]] = {}
        self.tested: set[int] = set()
        self.last_committed = 0.0

    def write_all(self) -> None:
        """Makes the file what is committed now."""
        self._held.clear()
        self._file.replace(self._new_events(_epochs(self._run_folder)))

    def write(self, epochs: Iterable[int]) -> None:
        """Appends those of `epochs` that are committed and not in the file yet."""
        self._file.append(self._new_events(epochs))

    def _new_events(self, epochs: Iterable[int]) -> list[Any]:
        wanted = [(epoch, kind) for epoch in epochs for kind in _JSON if (epoch, kind) not in self._held]
        events = []
        for epoch, kind in wanted:
            values = self._values(epoch, kind)
            if values:
                self._held.add((epoch, kind))
                wall_time = _committed_at(self._run_folder, epoch, kind)
                self.last_committed = max(self.last_committed, wall_time)
                events.append(event(wall_time, epoch, values))
        return events

    def _values(self, epoch: int, kind: str) -> list[Any]:
        data, _ = committed_json(self._run_folder, epoch, kind, _JSON[kind])
        if data is None:
            return []
        if kind == "timing":
            return [scalar(tag, value) for tag, value in _timing(data) if value is not None]
        train = sorted((data.get("train") or {}).items()) if kind == "metrics" else []
        values = [scalar(training_tag(key), value) for key, value in train if isinstance(value, int | float)]
        split = "validation" if kind == "metrics" else "test"
        per_domain = (data.get("validation") or {}) if kind == "metrics" else data
        for domain in (d for d in DOMAINS if isinstance(per_domain.get(d), dict)):
            values += self._scores(epoch, split, domain, per_domain[domain])
            png, _ = committed_file(self._run_folder, epoch, kind, f"picture-{domain}.png")
            values += picture(f"{split}/{domain}: range, prediction, truth", png)
        if kind == "test":
            self.tested.add(epoch)
            values += self._pr_curves(epoch)
        return values

    def _scores(self, epoch: int, split: str, domain: str, matrices: dict[str, Any]) -> list[Any]:
        values = []
        for level in ("points", "pixels"):
            if level not in matrices:
                continue
            confusion = as_matrix(matrices[level], len(matrices[level]))
            mean = float(gap.mean_iou(confusion))
            figures = [(f"miou {split}/{domain} {level}", mean)]
            if level == "points" and split == "validation":
                self.validation.setdefault(epoch, {})[domain] = mean
                per_class = gap.iou(confusion)
                named = list(zip(self._classes, per_class, strict=False))[1:]
                figures += [(f"per class {domain}/{name}", float(value)) for name, value in named]
            # A class without a labelled point has no value at all, never 0.
            values += [scalar(tag, value) for tag, value in figures if not np.isnan(value)]
        return values

    def _pr_curves(self, epoch: int) -> list[Any]:
        """One a class of the test split; none of an epoch that was scored before probabilities were counted."""
        data, _ = committed_json(self._run_folder, epoch, "test", "probabilities.json")
        values = []
        for domain in (d for d in DOMAINS if d in (data or {})):
            assert data is not None
            right, wrong = (np.array(data[domain][name], dtype=np.int64) for name in ("right", "wrong"))
            tags = [f"test {domain}/{name}" for name in self._classes[1 : len(right) + 1]]
            values += pr_curve_values(tags, right, wrong, _PR_NOTE)
        return values


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


def _epochs(run_folder: Path) -> list[int]:
    numbers = (p.name.removeprefix("epoch-") for p in run_folder.glob("epoch-*"))
    return sorted(int(n) for n in numbers if n.isdecimal())


def _committed_at(run_folder: Path, epoch: int, kind: str) -> float:
    return (run_folder / f"epoch-{epoch:06d}" / kind / "commit.json").stat().st_mtime

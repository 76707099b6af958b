"""Event files and log folders as others write them. `python -m tests.report.foreign_logs DIR`: the docs' example."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

FIRST_FILE = "events.out.tfevents.1656000000.machine"
CLASSES = ("unlabeled", "car", "road", "building")


def event_file(path: Path, rows: Iterable[tuple[int, Mapping[str, float]]], began: float = 1.0) -> Path:
    """One event a scalar, as lidar-bonnetal's logger writes them: rows are (step, {tag: value})."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=began, file_version="brain.Event:2").SerializeToString())
        for step, values in rows:
            for tag, value in values.items():
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
                writer.write(Event(wall_time=began + step, step=step, summary=summary).SerializeToString())
    return path


def bonnetal_rows(scores: Iterable[float], first: int = 0, **always: float) -> list[tuple[int, dict[str, float]]]:
    """What lidar-bonnetal logs after each epoch; its step is the number of the epoch, counted from 0."""
    rows = []
    for epoch, score in enumerate(scores, first):
        rates = {"backbone_lr": 0.002 * 0.99**epoch, "decoder_lr": 0.002, "head_lr": 0.002, "post_lr": 0.0}
        values = {
            "train_update": 1e-3, "train_loss": 2 / (epoch + 1), "train_acc": 0.5, "train_iou": 0.9 * score,
            "valid_loss": 3 / (epoch + 1), "valid_acc": 0.6, "valid_iou": score,
        }  # fmt: skip
        rows.append((epoch, values | rates | always))
    return rows


def bonnetal_folder(
    folder: Path,
    scores: Iterable[float],
    *,
    width: int = 1024,
    valid: int = 8,
    classes: tuple[str, ...] = CLASSES,
    train: Mapping[str, Any] | None = None,
    **always: float,
) -> Path:
    """A log folder: events in `tb`, both configurations beside it."""
    event_file(folder / "tb" / FIRST_FILE, bonnetal_rows(scores, **always))
    arch = {
        "train": {"batch_size": 8, "report_epoch": 1} | dict(train or {}),
        "backbone": {"name": "squeezesegV2"},
        "dataset": {"sensor": {"img_prop": {"width": width, "height": 64}}},
    }
    (folder / "arch_cfg.yaml").write_text(yaml.safe_dump(arch))
    numbers = range(len(classes))
    data = {
        "labels": dict(enumerate(classes)),
        "color_map": {i: [i, i, i] for i in numbers},
        "content": {i: 0.25 for i in numbers},
        "learning_map": {i: i for i in numbers},
        "learning_map_inv": {i: i for i in numbers},
        "learning_ignore": {i: i == 0 for i in numbers},
        "split": {"train": [0, 1], "valid": [valid], "test": [11]},
    }
    (folder / "data_cfg.yaml").write_text(yaml.safe_dump(data))
    return folder


def example(folder: Path) -> None:
    """The made-up logs of docs/gap.md: saturating curves, the encoder frozen when fine-tuning."""
    for name, epochs, first, last, constant, encoder_rate in (
        ("pretraining", 25, 0.05, 0.46, 6, 0.002),
        ("finetuning", 50, 0.22, 0.42, 9, 0.0),
        ("scratch", 50, 0.02, 0.40, 12, 0.002),
    ):
        scores = [last - (last - first) * 2 ** (-epoch / constant) for epoch in range(epochs)]
        if name == "pretraining":
            scores[-3:] = [0.446, 0.441, 0.438]
        classes = (*CLASSES, "pole") if name == "pretraining" else CLASSES
        sequence = 6 if name == "pretraining" else 8
        bonnetal_folder(folder / name, scores, valid=sequence, classes=classes, backbone_lr=encoder_rate)


if __name__ == "__main__":
    example(Path(sys.argv[1]))

"""What TensorBoard shows, as values of its protocol buffers, and the file that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT
from tensorboard.plugins.pr_curve import metadata as pr_curves

from lidartune.report.records import record

EVENTS_NAME = "events.out.tfevents.0.lidartune"  # one file a run, under our own name: nobody else's is ever removed
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


class EventsFile:
    """Our event file in the folder of a TensorBoard run."""

    def __init__(self, folder: Path):
        self.path = folder / EVENTS_NAME

    def append(self, events: Sequence[Any]) -> None:
        """Adds events to the file, which is made where it is not there; no events make no file."""
        if not events:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        head = [] if self.path.exists() else [_version(events[0].wall_time)]
        with self.path.open("ab") as file:
            file.write(_content([*head, *events]))

    def replace(self, events: Sequence[Any]) -> None:
        """Makes these events the whole file. What is there already stays where the rest only has to be added, so that
        a TensorBoard which is open goes on reading it."""
        content = _content([_version(events[0].wall_time), *events]) if events else b""
        there = self.path.read_bytes() if self.path.exists() else b""
        if there and content.startswith(there):
            with self.path.open("ab") as file:
                file.write(content[len(there) :])
            return
        self.remove()
        if content:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(content)

    def remove(self) -> None:
        """Takes the file away, and its folder where nobody keeps other files there."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.parent.rmdir()


def event(wall_time: float, step: int, values: Sequence[Any]) -> Any:
    """Values at a step."""
    return Event(wall_time=wall_time, step=step, summary=Summary(value=values))


def _version(wall_time: float) -> Any:
    return Event(wall_time=wall_time, file_version="brain.Event:2")


def _content(events: Sequence[Any]) -> bytes:
    return b"".join(record(each.SerializeToString()) for each in events)


def scalar(tag: str, value: float) -> Any:
    """A number."""
    return Summary.Value(tag=tag, simple_value=float(value))


def picture(tag: str, png: bytes | None) -> list[Any]:
    """A PNG as a list of one value; none where it is no PNG."""
    size = png_size(png)
    if png is None or size is None:
        return []
    image = Summary.Image(height=size[1], width=size[0], colorspace=3, encoded_image_string=png)
    return [Summary.Value(tag=tag, image=image)]


def png_size(data: bytes | None) -> tuple[int, int] | None:
    """(width, height) of a PNG from its header, None where it is not one."""
    if data is None or len(data) < 24 or data[:8] != _PNG_HEAD or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def pr_curve_values(tags: Sequence[str], right: np.ndarray, wrong: np.ndarray, description: str) -> list[Any]:
    """A precision-recall curve for each tag whose class has a true point.

    Args:
        right, wrong: (tags, thresholds) points that are of the class, and labelled points that are of others, by the
            probability that the network gives the class: entry i holds those from threshold i to the next.
    """
    true, false = (np.cumsum(counts[:, ::-1], axis=1, dtype=np.float64)[:, ::-1] for counts in (right, wrong))
    positives, negatives = true[:, :1], false[:, :1]
    precision, recall = true / np.maximum(true + false, 1), true / np.maximum(positives, 1)
    rows = np.stack([true, false, negatives - false, positives - true, precision, recall], axis=1).astype("<f4")
    thresholds = rows.shape[2]
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=6), TensorShapeProto.Dim(size=thresholds)])
    return [
        Summary.Value(
            tag=tag,
            metadata=_pr_metadata(tag, description, thresholds),
            tensor=TensorProto(dtype=DT_FLOAT, tensor_shape=shape, tensor_content=rows[index].tobytes()),
        )
        for index, tag in enumerate(tags)
        if positives[index, 0] > 0
    ]


def _pr_metadata(tag: str, description: str, thresholds: int) -> SummaryMetadata:
    found: SummaryMetadata = pr_curves.create_summary_metadata(tag, description, thresholds)
    return found

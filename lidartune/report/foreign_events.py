"""The scalars of TensorBoard event files that anybody wrote: records and protocol buffers, nothing is unpickled."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT

from lidartune.errors import UserError
from lidartune.report.records import read_records

_LAST_STEP = 2**53


@dataclass(kw_only=True)
class EventFile:
    """One file: `series[tag]` is [(step, value)] in the order written; `problems` says what of it could not be read."""

    path: Path
    began: float
    series: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_event_file(path: Path) -> EventFile:
    """Every scalar of an event file. A record that is cut off or damaged is left out and named in `problems`.

    Raises:
        UserError: the file cannot be opened, or does not begin as an event file does.
    """
    events = EventFile(path=path, began=0.0)
    unread = undated = 0
    try:
        for index, data in enumerate(read_records(path, events.problems)):
            try:
                event = Event.FromString(data)
            except DecodeError:
                unread += 1
                continue
            if index == 0 and np.isfinite(event.wall_time):
                events.began = event.wall_time
            scalars = [(v.tag, value) for v in event.summary.value if (value := _scalar(v)) is not None]
            if not 0 <= event.step <= _LAST_STEP:
                undated += len(scalars)
                continue
            for tag, value in scalars:
                events.series.setdefault(tag, []).append((event.step, value))
    except OSError as error:
        raise UserError(
            "this event file cannot be read", where=path, found=error.strerror, do="check the path and its permissions"
        ) from None
    except ValueError as error:
        raise UserError(
            "this is no TensorBoard event file",
            where=path,
            found=error,
            wanted="a file that TensorBoard, TensorFlow or PyTorch wrote (events.out.tfevents...)",
            do="name the event file, or the log folder that holds it",
        ) from None
    if unread:
        events.problems.append(f"{unread:,} whole records that hold no event are left out")
    if undated:
        events.problems.append(f"{undated:,} values at a step below 0 or above 2^53 are left out")
    return events


def _scalar(value: Any) -> float | None:
    """The number of a summary value, as TensorFlow 1, TensorFlow 2 or PyTorch write it; None for anything else."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or any(d.size != 1 for d in value.tensor.tensor_shape.dim):
        return None
    tensor, types = value.tensor, {DT_FLOAT: ("<f4", "float_val"), DT_DOUBLE: ("<f8", "double_val")}
    if tensor.dtype not in types:
        return None
    form, name = types[tensor.dtype]
    if len(tensor.tensor_content) == np.dtype(form).itemsize:
        return float(np.frombuffer(tensor.tensor_content, form)[0])
    numbers = getattr(tensor, name)
    return float(numbers[0]) if len(numbers) == 1 else None

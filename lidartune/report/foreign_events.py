"""The scalars of TensorBoard event files that anybody wrote: records and protocol buffers only, nothing is unpickled.

A record is its length (8 bytes), the length's checksum (4), the data, the data's checksum (4): TFRecord. TensorBoard's
own reader computes the checksum of every byte in Python, minutes for 100 MB of histograms; here those of short records
are computed for many at once, and longer ones only where they hold a scalar.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import CRC_TABLE, masked_crc32c

from lidartune.errors import UserError

_TABLE = np.array(CRC_TABLE, dtype=np.uint32)
_CHUNK_BYTES = 16 << 20
_SHORT_BYTES = 512  # checksums of records up to here are computed many at once
_LAST_STEP = 2**53
_AROUND = 16  # bytes of a record beside its data


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
    damaged = undated = 0
    try:
        with path.open("rb") as file:
            for index, (data, checked, checksum) in enumerate(_records(file, events)):
                event = _parsed(data) if checked is not False else None
                if event is None:
                    damaged += 1
                    continue
                if index == 0 and np.isfinite(event.wall_time):
                    events.began = event.wall_time
                scalars = [(v.tag, value) for v in event.summary.value if (value := _scalar(v)) is not None]
                if scalars and checked is None and masked_crc32c(data) != checksum:
                    damaged += 1
                    continue
                if not 0 <= event.step <= _LAST_STEP:
                    undated += len(scalars)
                    continue
                for tag, value in scalars:
                    events.series.setdefault(tag, []).append((event.step, value))
    except OSError as error:
        raise UserError(
            "this event file cannot be read", where=path, found=error.strerror, do="check the path and its permissions"
        ) from None
    if damaged:
        events.problems.append(f"{damaged:,} damaged records (checksum or content is wrong) are left out")
    if undated:
        events.problems.append(f"{undated:,} values at a step below 0 or above 2^53 are left out")
    return events


def _records(file: BinaryIO, events: EventFile) -> Iterator[tuple[bytes, bool | None, int]]:
    """(data, whether its checksum is right or None where it was not computed, checksum) of each record."""
    size = os.fstat(file.fileno()).st_size
    done, rest = 0, b""  # `done` bytes of the file lie before `rest`
    while True:
        new = file.read(_CHUNK_BYTES)
        chunk = rest + new
        starts, lengths, needed, whole = _frames(chunk)
        for start, length, checked in zip(starts, lengths, _checked(chunk, starts, lengths), strict=True):
            end = start + 12 + length
            yield chunk[start + 12 : end], checked, int.from_bytes(chunk[end : end + 4], "little")
        used = starts[-1] + lengths[-1] + _AROUND if starts else 0
        done, rest = done + used, chunk[used:]
        if not whole:
            if done == 0:
                raise _not_events(events.path, size)
            events.problems.append(f"damaged at byte {done:,} of {size:,}: what follows is left out")
            return
        if done + needed > size:  # no length is believed before the file can hold it
            new = b""
        elif len(rest) < needed and new:
            rest += file.read(needed - len(rest))
        if not new:
            if done == 0:
                raise _not_events(events.path, size)
            if rest:
                events.problems.append(f"the last record is cut off (byte {done:,} of {size:,}) and left out")
            return


def _frames(chunk: bytes) -> tuple[list[int], list[int], int, bool]:
    """Where whole records start, their lengths, the bytes the next one takes, and whether its header is right."""
    starts, lengths, at = [], [], 0
    while at + 12 <= len(chunk):
        (length,) = struct.unpack_from("<Q", chunk, at)
        if at + length + _AROUND > len(chunk):
            break
        starts.append(at)
        lengths.append(length)
        at += length + _AROUND
    if starts:
        headers = _rows(chunk, np.array(starts), 12)
        right = _checksums(headers[:, :8]) == headers[:, 8:].copy().view("<u4")[:, 0]
        if not right.all():
            good = int(np.argmin(right))
            return starts[:good], lengths[:good], _AROUND, False
    if at + 12 > len(chunk):
        return starts, lengths, _AROUND, True
    whole = masked_crc32c(chunk[at : at + 8]) == struct.unpack_from("<I", chunk, at + 8)[0]
    return starts, lengths, length + _AROUND, whole


def _checked(chunk: bytes, starts: list[int], lengths: list[int]) -> list[bool | None]:
    """Whether the checksum of each short record's data is right; None for the others."""
    checked: list[bool | None] = [None] * len(starts)
    length_of, start_of = np.array(lengths, dtype=np.int64), np.array(starts, dtype=np.int64)
    for length in np.unique(length_of[length_of <= _SHORT_BYTES]):
        which = np.flatnonzero(length_of == length)
        data = _rows(chunk, start_of[which] + 12, int(length) + 4)
        right = _checksums(data[:, :-4]) == data[:, -4:].copy().view("<u4")[:, 0]
        for index, good in zip(which.tolist(), right.tolist(), strict=True):
            checked[index] = good
    return checked


def _rows(chunk: bytes, starts: np.ndarray, length: int) -> np.ndarray:
    """(len(starts), length) bytes."""
    return np.frombuffer(chunk, dtype=np.uint8)[starts[:, None] + np.arange(length)]


def _checksums(data: np.ndarray) -> np.ndarray:
    """The masked CRC-32C of each row of (N, L) bytes."""
    crc = np.full(len(data), 0xFFFFFFFF, dtype=np.uint32)
    for column in data.T:
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> np.uint32(8))
    crc = ~crc
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def _parsed(data: bytes) -> Any | None:
    try:
        return Event.FromString(data)
    except DecodeError:
        return None


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


def _not_events(path: Path, size: int) -> UserError:
    return UserError(
        "this is no TensorBoard event file",
        where=path,
        found=f"{size:,} bytes that do not begin with a record" if size else "an empty file",
        wanted="a file that TensorBoard, TensorFlow or PyTorch wrote (events.out.tfevents...)",
        do="name the event file, or the log folder that holds it",
    )

"""TensorBoard's event files as they lie on disk: one record after the other, each with its checksums (TFRecord).

A record is its length (8 bytes), the length's checksum (4), the data, the data's checksum (4). TensorBoard's own reader
and writer compute the checksum of every byte in Python, its reader stops at the first damaged record and asks the
system for as many bytes as a record claims to have.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

LONGEST = 1 << 30  # a protocol buffer has 2 GiB at most
_HEAD, _TAIL = 12, 4


def checksum(data: bytes) -> bytes:
    """The masked CRC-32C of a record's part, as it is written."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """Data as one record of a file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, checksum(length), data, checksum(data)))


def read_records(path: Path, problems: list[str]) -> Iterator[bytes]:
    """The data of each whole record of a file. What is damaged or cut off is left out and named in `problems`.

    No length is believed before the file can hold it.

    Raises:
        OSError: the file cannot be opened or read.
        ValueError: it does not begin with a record; the message says with what.
    """
    damaged = too_long = at = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while head := file.read(_HEAD):
            length = int.from_bytes(head[:8], "little")
            cut = len(head) < _HEAD
            wrong = not cut and checksum(head[:8]) != head[8:]
            if at == 0 and (cut or wrong):
                raise ValueError(f"{size:,} bytes that do not begin with a record")
            if wrong:
                problems.append(f"damaged at byte {at:,} of {size:,}: what follows is left out")
                break
            if cut or at + _HEAD + length + _TAIL > size:
                problems.append(f"the last record is cut off (byte {at:,} of {size:,}) and left out")
                break
            at += _HEAD + length + _TAIL
            if length > LONGEST:
                too_long += 1
                file.seek(at)
                continue
            data, tail = file.read(length), file.read(_TAIL)
            if checksum(data) == tail:
                yield data
            else:
                damaged += 1
        else:
            if size == 0:
                raise ValueError("an empty file")
    if damaged:
        problems.append(f"{damaged:,} damaged records (checksum or content is wrong) are left out")
    if too_long:
        problems.append(f"{too_long:,} records of more than 1 GiB are left out")

"""Scan files in the SemanticKITTI format: points in `.bin`, labels in `.label`; little-endian, no header."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np

from lidartune.errors import UserError
from lidartune.whole_file import write_whole

POINT_BYTES = 16
LABEL_BYTES = 4
POINT_FORMAT = "float32 x, y, z, remission: 16 bytes a point"
LABEL_FORMAT = "uint32: 4 bytes a point"


def read_points(path: str | Path) -> np.ndarray:
    """Points of one scan: (N, 4) float32, x, y, z in metres and remission as stored.

    Values are handed on as they are: NaN, infinities and points at the origin are the projection's to leave out.

    Raises:
        UserError: no such file, it cannot be read, or its size is no multiple of 16 bytes.
    """
    path = Path(path)
    size = _check_size(path, POINT_BYTES, "points", POINT_FORMAT)
    return _read(path, "<f4", size, "points").astype(np.float32, copy=False).reshape(-1, 4)


def read_labels(path: str | Path) -> np.ndarray:
    """Raw semantic ids of one scan: (N,) uint32, the low 16 bits of each stored label (the high 16 are the instance).

    Raises:
        UserError: no such file, it cannot be read, or its size is no multiple of 4 bytes.
    """
    path = Path(path)
    size = _check_size(path, LABEL_BYTES, "labels", LABEL_FORMAT)
    return _read(path, "<u4", size, "labels").astype(np.uint32, copy=False) & np.uint32(0xFFFF)


def read_scan(points_path: str | Path, labels_path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 4) float32 and raw semantic ids (N,) uint32 of one scan. Raises UserError as `check_scan` does."""
    points, labels = read_points(points_path), read_labels(labels_path)
    _check_counts(len(points), len(labels), points_path, labels_path)
    return points, labels


def check_scan(points_path: str | Path, labels_path: str | Path) -> None:
    """Looks at a scan's file sizes, without reading them.

    Raises:
        UserError: a file that is missing, cannot be read or is cut short, or two that do not have as many points.
    """
    points = _check_size(Path(points_path), POINT_BYTES, "points", POINT_FORMAT) // POINT_BYTES
    labels = _check_size(Path(labels_path), LABEL_BYTES, "labels", LABEL_FORMAT) // LABEL_BYTES
    _check_counts(points, labels, points_path, labels_path)


def _check_counts(points: int, labels: int, points_path: str | Path, labels_path: str | Path) -> None:
    if points != labels:
        raise UserError(
            "a scan's label file does not have one label for each point",
            where=labels_path,
            found=f"{labels:,} labels",
            wanted=f"{points:,}, the points of {points_path}",
            do="download or unpack this scan again: one of the two files is cut short or belongs to another scan",
        )


def write_points(path: str | Path, points: np.ndarray) -> None:
    """Writes points (N, 4), x, y, z in metres and remission, as a `.bin`, whole or not at all; makes its folders.

    Raises:
        UserError: it cannot be written.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 4:
        raise ValueError(f"points must be (N, 4), not {points.shape}")
    _write(Path(path), points.astype("<f4", copy=False))


def write_labels(path: str | Path, semantic: np.ndarray, instance: np.ndarray | None = None) -> None:
    """Writes raw semantic ids (N,) and any instance ids (N,), each 0..65535, as a `.label`; else as `write_points`."""
    packed = _half(semantic, "semantic")
    if instance is not None:
        upper = _half(instance, "instance")
        if upper.shape != packed.shape:
            raise ValueError(f"{len(upper)} instance ids for {len(packed)} semantic ids")
        packed = packed | (upper << np.uint32(16))
    _write(Path(path), packed.astype("<u4", copy=False))


def _half(ids: np.ndarray, name: str) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(f"{name} ids must be (N,) integers, not {ids.shape} {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() > 0xFFFF):
        raise ValueError(f"{name} ids must lie in 0..65535, not {ids.min()}..{ids.max()}")
    return ids.astype(np.uint32)


def _write(path: Path, values: np.ndarray) -> None:
    write_whole(path, np.ascontiguousarray(values).tobytes())


def _read(path: Path, dtype: str, size: int, noun: str) -> np.ndarray:
    """The values of a file that was `size` bytes long when it was looked at."""
    try:
        values = np.fromfile(path, dtype=dtype)
    except (OSError, MemoryError) as error:
        raise _unreadable(path, noun, error) from None
    if values.nbytes != size:
        raise UserError(
            "this file changed while it was read", where=path, do="wait until it is written, then run again"
        )
    return values


def file_size(path: Path, noun: str) -> int:
    """Bytes of a file of `noun`; UserError where there is none, or it is no regular file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise UserError(f"there is no such file of {noun}", where=path, do="check the folder and the name") from None
    except OSError as error:
        raise _unreadable(path, noun, error) from None
    if not stat.S_ISREG(found.st_mode):  # opening a named pipe would wait for ever
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
        raise UserError(f"this is no file of {noun}", where=path, found=kind, wanted="a file", do="check the path")
    return found.st_size


def _unreadable(path: Path, noun: str, error: OSError | MemoryError) -> UserError:
    found = "more bytes than fit into memory" if isinstance(error, MemoryError) else error.strerror
    return UserError(
        f"this file of {noun} cannot be read", where=path, found=found, do="check its type and permissions"
    )


def _check_size(path: Path, unit: int, noun: str, wanted: str) -> int:
    size = file_size(path, noun)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise _unreadable(path, noun, error) from None
    if size % unit:
        raise UserError(
            f"this is no whole file of {noun}",
            where=path,
            found=f"{size:,} bytes, {size % unit} more than a multiple of {unit}",
            wanted=wanted,
            do="download or unpack it again: it is cut short or of another format",
        )
    return size

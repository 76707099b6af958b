"""The store's committed files, as a report reads them: JSON and PNG, checked against their commit."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def committed_file(run_folder: Path, epoch: int, kind: str, name: str) -> tuple[bytes | None, str]:
    """The bytes of a committed file, or None and why not.

    A commit that is missing or not whole JSON counts as not there; a file unlike its listed size or hash as damaged.
    """
    folder = run_folder / f"epoch-{epoch:06d}" / kind
    try:
        entry = json.loads((folder / "commit.json").read_bytes())["files"][name]
        path, size, digest = str(entry["path"]), int(entry["bytes"]), str(entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"{kind} of epoch {epoch} not there yet"
    if Path(path).name != path:
        return None, f"{kind} of epoch {epoch} is damaged: its commit names a file elsewhere"
    try:
        data = (folder / path).read_bytes()
    except OSError:
        return None, f"{kind} of epoch {epoch} is damaged: {path} is missing"
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        return None, f"{kind} of epoch {epoch} is damaged: {path} is unlike its commit"
    return data, ""


def committed_json(
    run_folder: Path, epoch: int, kind: str, name: str, *, matrices_as_text: bool = False
) -> tuple[dict[str, Any] | None, str]:
    """As `committed_file`, parsed; where `matrices_as_text`, every `[[...]]` is left as text for `as_matrix`."""
    data, problem = committed_file(run_folder, epoch, kind, name)
    if data is None:
        return None, problem
    try:
        value = json.loads(with_matrices_as_text(data) if matrices_as_text else data)
    except ValueError:
        value = None
    return (value, "") if isinstance(value, dict) else (None, f"{kind} of epoch {epoch} is damaged: {name} is not JSON")


def with_matrices_as_text(data: bytes) -> bytes:
    """JSON in which every `[[...]]` is a string: a list of lists of Python numbers takes ten times as long to read."""
    parts, end = [], 0
    while (begin := data.find(b"[[", end)) >= 0:
        parts.append(data[end:begin])
        end = data.find(b"]]", begin) + 2
        if end < 2:
            return data
        parts.append(data[begin:end])
    return b'"'.join([*parts, data[end:]])


_FIGURES = b"0123456789- \t\r\n"


def as_matrix(rows: Any, num_classes: int) -> NDArray[np.int64]:
    """(C, C) counts from JSON rows, or from their text; ValueError where they are something else."""
    if isinstance(rows, str):
        text = rows.encode()
        if text.translate(None, _FIGURES) == _punctuation(num_classes):
            plain = text.translate(None, b"[] \t\r\n")
            return np.fromstring(plain, dtype=np.int64, sep=",").reshape(num_classes, num_classes)
        rows = json.loads(rows)
    matrix = np.array(rows)
    if matrix.dtype.kind != "i" or matrix.shape != (num_classes, num_classes):
        raise ValueError(f"a confusion matrix of shape {matrix.shape} for {num_classes} classes")
    return matrix


@cache
def _punctuation(size: int) -> bytes:
    """What is left of a square matrix in JSON without its figures: it says that all rows are of one length."""
    row = b"[" + b"," * (size - 1) + b"]"
    return b"[" + b",".join([row] * size) + b"]"

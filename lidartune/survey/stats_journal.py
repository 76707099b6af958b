"""How far a measurement got: a file beside the result, one line for every chunk of scans, deleted at the end."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType

from lidartune.errors import UserError
from lidartune.survey.stats_sums import Sums


class Journal:
    """Sums so far, in `<result>.partial`; held open, and locked, for as long as the measurement runs.

    A line holds all sums up to a scan, the key of settings and files that they belong to, and a hash of itself: what
    was cut off while it was written, or belongs to something else, is passed over.

    Raises:
        UserError: the file cannot be written, or another process measures into the same result.
    """

    def __init__(self, result: Path):
        self.path = result.with_name(result.name + ".partial")
        self._key = ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as error:
            raise UserError(
                "the result cannot be written here",
                where=result,
                found=error.strerror,
                do="name a file in a folder of yours",
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError(
                "another process measures into the same result", where=result, do="wait for it, or name another file"
            ) from None
        except OSError:  # a file system without locks
            pass

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.fstat(self._file.fileno()).st_size == 0:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def read(self, key: str, *, with_faults: bool) -> tuple[Sums, str | None]:
        """The last sums of this key, and what to tell the user; without any, the file is emptied.

        Where `with_faults` is not set, the last from before the first faulty scan, so that it is tried again.
        """
        self._key = key
        self._file.seek(0)
        lines = [line for line in self._file.read().splitlines() if line.strip()]
        whole = [entry for entry in map(_checked, lines) if entry is not None]
        same = [Sums.from_dict(entry["sums"]) for entry in whole if entry["key"] == key]
        if same:
            return next((sums for sums in reversed(same) if with_faults or not sums.faults), Sums()), None
        self._file.truncate(0)
        if whole:
            return Sums(), f"files or settings are not those of {self.path}: starting anew"
        return Sums(), f"{self.path} is damaged: starting anew" if lines else None

    def add(self, sums: Sums) -> None:
        """Writes the sums down; a line break goes first, in case the line before was cut off."""
        text = json.dumps({"key": self._key, "sums": sums.as_dict()})
        self._file.write(f"\n{_hash(text)} {text}\n".encode())
        self._file.flush()

    def remove(self) -> None:
        """The result is written: the file is no longer needed."""
        self._file.truncate(0)


def _checked(line: bytes) -> dict | None:
    digest, _, text = line.decode(errors="replace").partition(" ")
    return json.loads(text) if digest == _hash(text) else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

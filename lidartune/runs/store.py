"""The store: what runs have produced, addressed by (run, epoch, kind), on a local folder or on S3.

    results/runs/<run>/spec.json
    results/runs/<run>/epoch-000025/<kind>/commit.json    lists the files beside it, with their sizes and hashes
    results/runs/<run>/epoch-000026/inside-000120/        the run after 120 updates of an epoch that is not done

Something is there when its commit file is whole; that file is written last. Every attempt writes its data under names
of its own, so attempts never mix, and the first commit stays. Nothing relies on rename, append or clocks. Where there
are hard links, an attempt that wakes up late cannot even touch the commit that another has made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pyarrow import fs

from lidartune.errors import UserError, nearest

Kind = Literal["metrics", "test", "state", "timing"]
_EPOCH = re.compile(r"epoch-(\d{6})")
_INSIDE = re.compile(r"inside-(\d{6,})")


class CannotWrite(UserError):
    """The results folder takes no more: full, read-only or gone. What is committed stays."""


class Store:
    """Reads and commits under `<results>/runs`.

    Args:
        results: a local folder or a URI that pyarrow understands (`s3://bucket/folder`).
    """

    def __init__(self, results: str | Path):
        self.results = str(results)
        if "://" in self.results:
            self._fs, self._root = fs.FileSystem.from_uri(self.results)
        else:
            self._fs, self._root = fs.LocalFileSystem(), str(Path(results).absolute())

    # -- runs -------------------------------------------------------------------------------------------------------

    def write_spec(self, run: str, spec: dict[str, Any]) -> None:
        """Records what the run is; the same text however often it is written."""
        path, content = f"runs/{run}/spec.json", json.dumps(spec, indent=1, sort_keys=True).encode()
        if self._read(path) != content:  # whole at every moment: runs that start from this one read it
            self._write(path, content)

    def runs(self) -> list[str]:
        """The runs that have begun, by name."""
        return sorted(self._names("runs"))

    def has_spec(self, run: str) -> bool:
        """Whether it is recorded what the run is."""
        return self._read(f"runs/{run}/spec.json") is not None

    def read_spec(self, run: str) -> dict[str, Any]:
        """What `write_spec` recorded. Raises UserError where there is no such run, or its record is damaged."""
        where = f"{self.results}/runs/{run}/spec.json"
        content = self._read(f"runs/{run}/spec.json")
        if content is None:
            known = self.runs()
            do = nearest(run, known) if known else "give a folder results/runs/<name>-<id>"
            raise UserError("there is no such run", where=where, found=f"{len(known)} runs beside it", do=do)
        try:
            spec = json.loads(content)
        except ValueError:
            spec = None
        if not isinstance(spec, dict):
            raise UserError("a run's record is damaged", where=where, wanted="JSON", do="run the same study again")
        return spec

    def epochs(self, run: str, kind: Kind) -> list[int]:
        """The epochs for which this kind is committed, in order."""
        names = (_EPOCH.fullmatch(name) for name in self._names(f"runs/{run}"))
        return sorted(epoch for match in names if match and self.has(run, epoch := int(match[1]), kind))

    # -- commits ----------------------------------------------------------------------------------------------------

    def has(self, run: str, epoch: int, kind: Kind) -> bool:
        return self._commit(run, epoch, kind) is not None

    def commit(self, run: str, epoch: int, kind: Kind, files: dict[str, bytes]) -> None:
        """Writes the files, then the commit that makes them be there. A commit that is there already stays."""
        self._put(run, epoch, kind, files)

    def _put(self, run: str, epoch: int, kind: str, files: dict[str, bytes]) -> None:
        if self._commit(run, epoch, kind) is not None:
            return
        attempt = uuid.uuid4().hex[:8]
        place, entries = _place(run, epoch, kind), {}
        try:
            for name, content in files.items():
                stem, dot, suffix = name.rpartition(".")
                path = f"{stem}-{attempt}{dot}{suffix}"
                self._write(f"{place}/{path}", content)
                entries[name] = {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            if self._commit(run, epoch, kind) is None:
                text = json.dumps({"files": entries}, indent=1, sort_keys=True).encode()
                self._write_first(f"{place}/commit.json", text, attempt)
        except CannotWrite:
            for entry in entries.values():
                with suppress(OSError):  # the room that they take
                    self._fs.delete_file(f"{self._root}/{place}/{entry['path']}")
            raise

    def read(self, run: str, epoch: int, kind: Kind, name: str) -> bytes:
        """The content of a committed file, checked against its commit."""
        return self._content(run, epoch, kind, name)

    def _content(self, run: str, epoch: int, kind: str, name: str) -> bytes:
        commit = self._commit(run, epoch, kind)
        place = f"{_place(run, epoch, kind)}/{name}"
        if commit is None or name not in commit["files"]:
            raise UserError(f"{kind} of epoch {epoch} is not in the store", where=f"{self.results}/{place}")
        entry = commit["files"][name]
        content = self._read(f"{_place(run, epoch, kind)}/{entry['path']}")
        if content is None or hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise UserError(
                "a committed file is damaged",
                where=f"{self.results}/{place}",
                found="nothing" if content is None else f"{len(content)} bytes with another hash",
                wanted=f"{entry['bytes']} bytes, SHA-256 {entry['sha256'][:12]}...",
                do=f"remove {self.results}/{_place(run, epoch, kind)} and run the same command again",
            )
        return content

    def file(self, run: str, epoch: int, kind: Kind, name: str) -> str:
        """Where a committed file lies: under the name of the attempt that wrote it."""
        commit = self._commit(run, epoch, kind)
        entry = (commit or {"files": {}})["files"].get(name, {"path": name})
        return f"{self.results}/{_place(run, epoch, kind)}/{entry['path']}"

    def read_json(self, run: str, epoch: int, kind: Kind, name: str) -> Any:
        return json.loads(self.read(run, epoch, kind, name))

    def forget(self, run: str) -> None:
        """Takes away all that is there of a run."""
        with suppress(FileNotFoundError):
            self._fs.delete_dir(f"{self._root}/runs/{run}")

    def discard(self, run: str, epoch: int, kind: Kind) -> None:
        """Takes a commit back: its commit file first, so that it is never there by half."""
        commit = self._commit(run, epoch, kind)
        if commit is None:
            return
        place = f"{self._root}/{_place(run, epoch, kind)}"
        for path in ("commit.json", *(entry["path"] for entry in commit["files"].values())):
            with suppress(FileNotFoundError):  # another attempt was faster
                self._fs.delete_file(f"{place}/{path}")

    # -- inside an epoch --------------------------------------------------------------------------------------------

    def commit_inside(self, run: str, epoch: int, updates: int, files: dict[str, bytes]) -> None:
        """Keeps the run as it is after so many updates of an epoch that is not done, and then no earlier one."""
        before = self._insides(run, epoch)
        self._put(run, epoch, f"inside-{updates:06d}", files)
        self._take_away(run, epoch, (name for name in before if int(name.rpartition("-")[2]) != updates))

    def insides(self, run: str, epoch: int) -> list[int]:
        """After how many updates of this epoch the run was kept, in order."""
        return sorted(
            int(name.rpartition("-")[2])
            for name in self._insides(run, epoch)
            if self._commit(run, epoch, name) is not None
        )

    def read_inside(self, run: str, epoch: int, updates: int) -> dict[str, bytes]:
        """All files of what was kept, checked against their commit; UserError where one is damaged."""
        kind = f"inside-{updates:06d}"
        commit = self._commit(run, epoch, kind) or {"files": {}}
        return {name: self._content(run, epoch, kind, name) for name in commit["files"]}

    def discard_inside(self, run: str, epoch: int) -> None:
        """Takes away all that was kept inside an epoch, also what an attempt has left that was cut off."""
        self._take_away(run, epoch, self._insides(run, epoch))

    def _insides(self, run: str, epoch: int) -> list[str]:
        return [name for name in self._names(f"runs/{run}/epoch-{epoch:06d}") if _INSIDE.fullmatch(name)]

    def _take_away(self, run: str, epoch: int, kinds: Iterable[str]) -> None:
        for kind in kinds:
            place = f"{self._root}/{_place(run, epoch, kind)}"
            with suppress(FileNotFoundError):  # the commit file first, so that it is never there by half
                self._fs.delete_file(f"{place}/commit.json")
            with suppress(FileNotFoundError):
                self._fs.delete_dir(place)

    # -- commits, of any kind ---------------------------------------------------------------------------------------

    def _commit(self, run: str, epoch: int, kind: str) -> dict[str, Any] | None:
        return _whole(self._read(f"{_place(run, epoch, kind)}/commit.json"))

    # -- files ------------------------------------------------------------------------------------------------------

    def _write(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        try:
            self._fs.create_dir(target.rpartition("/")[0], recursive=True)
            with self._fs.open_output_stream(target) as stream:
                stream.write(content)
        except OSError as error:
            with suppress(OSError):  # the room that half a file takes
                self._fs.delete_file(target)
            raise CannotWrite(
                "the results folder cannot be written",
                where=f"{self.results}/{path}",
                found=os.strerror(error.errno) if error.errno else error,
                do="make room, or make it writable, and run the same command again: what is committed stays",
            ) from None

    def _write_first(self, path: str, content: bytes, attempt: str) -> None:
        """Writes a file that is there whole or not at all; one that is there already stays, if it is whole.

        It is linked to its name. Where there are no hard links, and on S3, it is written, over that of another attempt
        which came between: both say the same.
        """
        if not isinstance(self._fs, fs.LocalFileSystem):
            return self._write(path, content)
        target = f"{self._root}/{path}"
        work = f"{path}.{attempt}"
        self._write(work, content)
        try:
            os.link(f"{self._root}/{work}", target)
        except FileExistsError:
            if not _whole(self._read(path)):  # of a folder that has no links, and a process that was killed
                os.replace(f"{self._root}/{work}", target)
        except OSError:
            self._write(path, content)
        finally:
            with suppress(OSError):
                os.unlink(f"{self._root}/{work}")

    def _read(self, path: str) -> bytes | None:
        try:
            with self._fs.open_input_stream(f"{self._root}/{path}") as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def _names(self, path: str) -> list[str]:
        selector = fs.FileSelector(f"{self._root}/{path}", allow_not_found=True)
        return [info.base_name for info in self._fs.get_file_info(selector)]


def _whole(commit: bytes | None) -> dict[str, Any] | None:
    """A commit file's content; None where it is not there, or was cut off while it was written."""
    try:
        return json.loads(commit) if commit else None
    except ValueError:
        return None


def _place(run: str, epoch: int, kind: str) -> str:
    return f"runs/{run}/epoch-{epoch:06d}/{kind}"


def missing_epochs(store: Store, run: str, wanted: Sequence[int]) -> list[int]:
    """The wanted epochs that are not all in the store: their test scores and, but for epoch 0, their weights."""
    return [
        epoch
        for epoch in sorted(wanted)
        if not store.has(run, epoch, "test") or (epoch > 0 and not store.has(run, epoch, "state"))
    ]

"""The store: what runs have produced, addressed by (run, epoch, kind), on a local folder or on S3.

    results/runs/<run>/spec.json
    results/runs/<run>/epoch-000025/<kind>/commit.json    lists the files beside it, with their sizes and hashes
    results/runs/<run>/epoch-000026/inside-000120/        the run after 120 updates of an epoch that is not done

Something is there when its commit file is whole; that file is written last. Every attempt writes its data under names
of its own, so attempts never mix, and the first commit stays: its file is one that only one attempt can write. Nothing
relies on rename, append or clocks.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from lidartune.errors import UserError, nearest
from lidartune.runs.files import CannotWrite, is_uri, open_files

__all__ = ["CannotWrite", "Kind", "Store"]

Kind = Literal["metrics", "test", "kept", "state", "timing"]
_EPOCH = re.compile(r"epoch-(\d{6})")
_INSIDE = re.compile(r"inside-(\d{6,})")
QUESTIONS_AT_ONCE = 32
"""Threads that ask a store: far away an answer takes a while, and many at once take no longer."""


class Store:
    """Reads and commits under `<results>/runs`.

    Args:
        results: a folder, or `s3://bucket/folder`.

    Raises:
        UserError: here for a URI that cannot be used.
        CannotWrite: everywhere, by what it cannot write, and by a bucket that cannot be used.
    """

    def __init__(self, results: str | Path):
        self.results = str(results).rstrip("/") if is_uri(results) else str(results)
        self.files = open_files(results)

    # -- runs -------------------------------------------------------------------------------------------------------

    def write_spec(self, run: str, spec: dict[str, Any]) -> None:
        """Records what the run is; the same text however often it is written."""
        path, text = f"runs/{run}/spec.json", json.dumps(spec, indent=1, sort_keys=True).encode()
        if self.files.read(path) != text:
            self.files.write(path, text)

    def runs(self) -> list[str]:
        """The runs that have begun, by name."""
        return sorted(self.files.names("runs"))

    def has_spec(self, run: str) -> bool:
        """Whether it is recorded what the run is."""
        return self.files.read(f"runs/{run}/spec.json") is not None

    def read_spec(self, run: str) -> dict[str, Any]:
        """What `write_spec` recorded. Raises UserError where there is no such run, or its record is damaged."""
        where = f"{self.results}/runs/{run}/spec.json"
        content = self.files.read(f"runs/{run}/spec.json")
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
        return [epoch for epoch in self.begun_epochs(run) if self.has(run, epoch, kind)]

    def begun_epochs(self, run: str) -> list[int]:
        """The epochs of which something was written, in order."""
        names = (_EPOCH.fullmatch(name) for name in self.files.names(f"runs/{run}"))
        return sorted(int(match[1]) for match in names if match)

    # -- commits ----------------------------------------------------------------------------------------------------

    def has(self, run: str, epoch: int, kind: Kind) -> bool:
        return self._commit(run, epoch, kind) is not None

    def stays(self, run: str, epoch: int) -> bool:
        """Whether the state of this epoch is a milestone: it was scored on the test scans, or kept without."""
        return self.has(run, epoch, "test") or self.has(run, epoch, "kept")

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
                self.files.write(f"{place}/{path}", content)
                entries[name] = {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        except CannotWrite:
            with suppress(UserError):
                self._remove(place, entries)
            raise
        text = json.dumps({"files": entries}, indent=1, sort_keys=True).encode()
        while not self.files.write_new(f"{place}/commit.json", text):
            if self._commit(run, epoch, kind) is not None:  # another attempt was faster, and its files are the same
                return self._remove(place, entries)
            self.files.remove(f"{place}/commit.json")  # cut off while it was written

    def _remove(self, place: str, entries: dict[str, Any]) -> None:
        for entry in entries.values():
            self.files.remove(f"{place}/{entry['path']}")

    def read(self, run: str, epoch: int, kind: Kind, name: str) -> bytes:
        """The content of a committed file, checked against its commit."""
        return self._content(run, epoch, kind, name)

    def _content(self, run: str, epoch: int, kind: str, name: str) -> bytes:
        commit = self._commit(run, epoch, kind)
        place = f"{_place(run, epoch, kind)}/{name}"
        if commit is None or name not in commit["files"]:
            raise UserError(f"{kind} of epoch {epoch} is not in the store", where=f"{self.results}/{place}")
        entry = commit["files"][name]
        content = self.files.read(f"{_place(run, epoch, kind)}/{entry['path']}")
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
        self.files.remove_folder(f"runs/{run}")

    def discard(self, run: str, epoch: int, kind: Kind) -> None:
        """Takes a commit back: its commit file first, so that it is never there by half."""
        commit = self._commit(run, epoch, kind)
        if commit is None:
            return
        self.files.remove(f"{_place(run, epoch, kind)}/commit.json")
        self._remove(_place(run, epoch, kind), commit["files"])

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
        return [name for name in self.files.names(f"runs/{run}/epoch-{epoch:06d}") if _INSIDE.fullmatch(name)]

    def _take_away(self, run: str, epoch: int, kinds: Iterable[str]) -> None:
        for kind in kinds:
            place = _place(run, epoch, kind)
            self.files.remove(f"{place}/commit.json")  # first, so that it is never there by half
            self.files.remove_folder(place)

    # -- commits, of any kind ---------------------------------------------------------------------------------------

    def _commit(self, run: str, epoch: int, kind: str) -> dict[str, Any] | None:
        content = self.files.read(f"{_place(run, epoch, kind)}/commit.json")
        try:
            commit = json.loads(content or b"")
            return commit if all(map(_is_entry, commit["files"].values())) else None
        except (ValueError, TypeError, KeyError, AttributeError):  # cut off while it was written: not committed
            return None


def _is_entry(entry: dict[str, Any]) -> bool:
    """What `_put` writes of a file. A path leads nowhere else: what it names is read, and may be taken away."""
    path = entry["path"]
    plain = isinstance(path, str) and path not in ("", "..") and not {"/", "\\", "\0"} & set(path)
    return plain and isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)


def _place(run: str, epoch: int, kind: str) -> str:
    return f"runs/{run}/epoch-{epoch:06d}/{kind}"


def missing_epochs(store: Store, run: str, wanted: Sequence[int], *, untested: Collection[int] = ()) -> list[int]:
    """The wanted epochs that are not all in the store: their test scores and, but for epoch 0, their weights.

    Args:
        untested: those of them that are kept without their test scores, as a search's are.
    """
    return [
        epoch
        for epoch in sorted(wanted)
        if not (store.stays(run, epoch) if epoch in untested else store.has(run, epoch, "test"))
        or (epoch > 0 and not store.has(run, epoch, "state"))
    ]

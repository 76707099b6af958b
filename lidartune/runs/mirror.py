"""A local folder that follows a results folder in a bucket, so that what works on files works on both.

Of the runs it holds what is small: what they are, their scores, timings and pictures, each with its commit; never
weights. Of a study it holds the whole folder. Readers check committed files against their commits, here as anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lidartune.errors import UserError
from lidartune.runs.files import is_uri
from lidartune.runs.names import is_run_name
from lidartune.runs.s3 import CONNECTIONS, Entry, S3Files, split_uri
from lidartune.whole_file import write_whole

CACHE = "LIDARTUNE_CACHE"
SMALL = ("metrics", "test", "timing")
Item = TypeVar("Item")
Result = TypeVar("Result")


def cache_folder(uri: str, purpose: str) -> Path:
    """Where the mirror of a results URI lies: in LIDARTUNE_CACHE, else in the user's cache folder."""
    base = os.environ.get(CACHE)
    if not base:
        above = os.environ.get("XDG_CACHE_HOME")
        base = str((Path(above) if above else Path.home() / ".cache") / "lidartune")
    name = uri.partition("://")[2].replace("/", "-")[-60:]
    digest = hashlib.sha256(f"{os.environ.get('AWS_ENDPOINT_URL', '')} {uri}".encode()).hexdigest()[:8]
    return Path(base).absolute() / purpose / f"{name}-{digest}"


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """`folder` follows the results folder that `remote` reaches."""

    remote: S3Files
    folder: Path

    # -- runs -------------------------------------------------------------------------------------------------------

    def fetch_runs(self, runs: Iterable[str]) -> None:
        """Brings what is small of these runs; what is here and is not there any more is taken away.

        Names that lead elsewhere, as a plan that others wrote may hold, are left out; the report says so of each.
        """
        wanted = sorted(set(filter(is_run_name, runs)))
        missing = [entry for entries in _at_once(self._missing_of, wanted) for entry in entries]
        commits = [entry for entry in missing if entry.path.endswith("/commit.json")]
        _at_once(self._fetch, [entry for entry in missing if entry not in commits])
        _at_once(self._fetch, commits)  # last, so that what they list is here

    def _missing_of(self, run: str) -> list[Entry]:
        place = f"runs/{run}"
        there = {entry.path: entry for entry in self.remote.entries(place) if _is_small(entry.path)}
        for path in _files(self.folder / place):
            if path.relative_to(self.folder).as_posix() not in there:
                path.unlink()
        return [entry for entry in there.values() if not self._is_here(entry)]

    def _is_here(self, entry: Entry) -> bool:
        try:
            found = (self.folder / entry.path).stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (entry.bytes, entry.stamp_ns)

    def _fetch(self, entry: Entry) -> None:
        """Brings a file, dated as it is there."""
        content = self.remote.read(entry.path)
        if content is None:  # taken away meanwhile
            return
        write_whole(self.folder / entry.path, content)
        os.utime(self.folder / entry.path, ns=(entry.stamp_ns, entry.stamp_ns))

    # -- a study's own folder ---------------------------------------------------------------------------------------

    def fetch_study(self, study: str, *, but: Callable[[str], bool] = lambda path: False) -> None:
        """Brings the study's folder; what was changed here and not sent yet stays, unless it was changed there too.

        Args:
            but: of which paths, from the study's folder on, the content is not brought.
        """
        there = {entry.path.removeprefix(f"{study}/"): entry for entry in self.remote.entries(study)}
        known, base = self._known(study), self.folder / study
        wanted = {path for path in there if not but(path)}
        changed = {path for path, entry in there.items() if known.get(path, {}).get("tag") != entry.tag}
        changed |= {path for path in wanted if not (base / path).exists()}
        _at_once(self._fetch, [there[path] for path in sorted(changed & wanted)])
        for path in changed:
            known[path] = {"tag": there[path].tag, "here": _stamp(base / path)}
        for path in known.keys() - there.keys():
            (base / path).unlink(missing_ok=True)
        self._remember(study, {path: entry for path, entry in known.items() if path in there})

    def send_study(self, study: str, *, only: Callable[[str], bool] = lambda path: True) -> None:
        """Brings what was changed here since it was fetched or sent, and takes away there what is gone here.

        Args:
            only: which paths, from the study's folder on, are looked at.
        """
        known, base = self._known(study), self.folder / study
        here = [path.relative_to(base).as_posix() for path in _files(base) if path.suffix != ".tmp"]
        changed = [path for path in here if only(path) and known.get(path, {}).get("here") != _stamp(base / path)]
        gone = [path for path in known if only(path) and path not in here]
        if not changed and not gone:
            return
        for path, entry in zip(changed, _at_once(lambda path: self._send(study, path), changed), strict=True):
            known[path] = entry
        for path in gone:
            self.remote.remove(f"{study}/{path}")
            del known[path]
        self._remember(study, known)

    def _send(self, study: str, path: str) -> dict[str, object]:
        stamp = _stamp(self.folder / study / path)  # before: what is changed while it is read is sent once more
        try:
            content = (self.folder / study / path).read_bytes()
        except FileNotFoundError:  # taken away meanwhile
            return {}
        return {"tag": self.remote.put(f"{study}/{path}", content), "here": stamp}

    def _known(self, study: str) -> dict[str, dict[str, object]]:
        with suppress(OSError, ValueError):
            known = json.loads((self.folder / f".{study}.json").read_bytes())
            if isinstance(known, dict):
                return known
        return {}

    def _remember(self, study: str, known: dict[str, dict[str, object]]) -> None:
        write_whole(self.folder / f".{study}.json", json.dumps(known))


def study_folder(study: str) -> Path:
    """A study's folder as one of this machine: itself, or a mirror of `s3://.../<study>` with its runs beside it.

    Raises:
        UserError: it holds no plan, or the bucket cannot be read.
    """
    if not is_uri(study):
        return Path(study)
    split_uri(study)
    results, _, name = study.rstrip("/").rpartition("/")
    remote = S3Files(results)
    mirror = Mirror(remote=remote, folder=cache_folder(remote.uri, "reports"))
    mirror.fetch_study(name, but=lambda path: path.startswith("tensorboard/"))
    mirror.fetch_runs(_planned_runs(mirror.folder / name / "plan.json", study))
    return mirror.folder / name


def _planned_runs(plan: Path, study: str) -> Collection[str]:
    try:
        planned = json.loads(plan.read_bytes())
        cells = [*planned["cells"], *planned.get("searched", [])]
        return {str(role["run"]) for cell in cells for role in cell["roles"].values()}
    except FileNotFoundError:
        raise UserError(
            "this is not the folder of a study", where=study, wanted="a plan.json", do="name s3://bucket/folder/<study>"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()  # the report says what is wrong with it


def _is_small(path: str) -> bool:
    parts = path.split("/")  # runs, run, epoch, kind, file
    return parts[2:] == ["spec.json"] or (len(parts) == 5 and parts[3] in SMALL)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _at_once(work: Callable[[Item], Result], items: Collection[Item]) -> list[Result]:
    with ThreadPoolExecutor(min(CONNECTIONS, len(items) or 1)) as pool:
        return list(pool.map(work, items))

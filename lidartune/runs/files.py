"""Files under a results folder, by their path in it: on this machine, on a shared file system, or in an S3 bucket."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from lidartune.errors import UserError

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
"""What file systems say that give a file one name only."""
IN_USE = (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY)
"""What they say of a folder in which another attempt, which should be dead, writes or removes meanwhile."""


class CannotWrite(UserError):
    """The results take no more: full, read-only, gone, or a bucket that cannot be used. What is committed stays."""


class Files(Protocol):
    """What the store needs of a file system: no rename, no append, no clock."""

    def read(self, path: str) -> bytes | None:
        """The content of a file, None where it is not there."""

    def write(self, path: str, content: bytes) -> None:
        """Writes a file, in the place of one that is there. Raises CannotWrite, and leaves no half of one."""

    def write_new(self, path: str, content: bytes) -> bool:
        """Writes a file as a whole unless one is there already: of several that try, exactly one gets True."""

    def names(self, folder: str) -> list[str]:
        """What lies in a folder; nothing where there is no such folder."""

    def remove(self, path: str) -> None:
        """Takes a file away, if it is there."""

    def remove_folder(self, folder: str) -> None:
        """Takes away all that is below a folder; what another attempt writes into it meanwhile may stay."""


class LocalFiles:
    """A folder of this machine, or of a file system that several machines mount."""

    def __init__(self, folder: str | Path):
        self._root = os.path.abspath(folder)

    def read(self, path: str) -> bytes | None:
        target = f"{self._root}/{path}"
        with _explained(target, "read"), suppress(FileNotFoundError), open(target, "rb") as file:
            return file.read()
        return None

    def write(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        with _explained(target), _opened(target) as file:
            try:
                file.write(content)
                file.flush()
            except OSError:
                with suppress(OSError):  # the room that half a file takes
                    os.unlink(target)
                raise

    def write_new(self, path: str, content: bytes) -> bool:
        name, target = f"{path}-{uuid.uuid4().hex[:8]}.tmp", f"{self._root}/{path}"
        work = f"{self._root}/{name}"
        try:
            self.write(name, content)
            with _explained(target):
                try:
                    return _link(work, target) or _create(target, content)
                except FileExistsError:
                    return _is_one_file(work, target)  # NFS: its answer was lost, and it was asked again
        finally:
            with suppress(UserError):
                self.remove(name)

    def names(self, folder: str) -> list[str]:
        with _explained(f"{self._root}/{folder}", "read"), suppress(FileNotFoundError):
            return os.listdir(f"{self._root}/{folder}")
        return []

    def remove(self, path: str) -> None:
        with _explained(f"{self._root}/{path}"), suppress(FileNotFoundError):
            os.unlink(f"{self._root}/{path}")

    def remove_folder(self, folder: str) -> None:
        with _explained(f"{self._root}/{folder}"):
            try:
                shutil.rmtree(f"{self._root}/{folder}")
            except OSError as error:
                if error.errno not in IN_USE:
                    raise


_REMEDIES = {"written": "make room, or make it writable", "read": "look at its rights and at the disk"}


@contextmanager
def _explained(target: str, refused: str = "written") -> Iterator[None]:
    """What the file system refuses, as one message."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"the results folder cannot be {refused}",
            where=target,
            found=error.strerror or error,
            do=f"{_REMEDIES[refused]}, and run the same command again: what is committed stays",
        ) from None


def _opened(target: str) -> BinaryIO:
    """A new file, with the folders above it."""
    try:
        return open(target, "wb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        return open(target, "wb")


def _is_one_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:  # taken away meanwhile
        return False


def _link(file: str, target: str) -> bool:
    """Gives a file a second name, whole as soon as it is there; False where a file has one name only."""
    try:
        os.link(file, target)
    except OSError as error:
        if error.errno in NO_LINKS:
            return False
        raise
    return True


def _create(target: str, content: bytes) -> bool:
    with open(target, "xb") as file:
        file.write(content)
    return True


def is_uri(results: str | Path) -> bool:
    """Whether results lie elsewhere than in a folder that this machine sees."""
    return "://" in str(results)


def _refuse_half_a_uri(folder: str) -> None:
    scheme, colon, _ = folder.partition(":")
    if colon and scheme.lower() in ("s3", "gs", "http", "https", "file"):
        raise UserError(
            "this is neither a folder nor a bucket",
            where="--results",
            found=no_secrets(folder),
            wanted="a folder that every machine sees, or s3://bucket/folder",
            do="write s3://" if scheme.lower() == "s3" else "write ./ before the name of such a folder",
        )


def no_secrets(text: str) -> str:
    """A text in which URIs have lost the name and password that they may hold."""
    return re.sub(r":(/*)[^/]*@", r":\1...@", text)


def open_files(results: str | Path) -> Files:
    """The files below a folder or below `s3://bucket/folder`. Raises UserError for any other URI, and credentials."""
    if not is_uri(results):
        _refuse_half_a_uri(str(results))
        return LocalFiles(results)
    if not str(results).lower().startswith("s3://"):
        raise UserError(
            "results go to a folder or to S3",
            where="--results",
            found=f"{str(results).partition('://')[0]}://...",
            wanted="a folder that every machine sees, or s3://bucket/folder",
        )
    from lidartune.runs.s3 import S3Files

    return S3Files(str(results))

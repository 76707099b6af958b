"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from lidartune.errors import UserError


def write_whole(path: Path, content: bytes | str) -> None:
    """Replaces a file by this content (text as UTF-8), written beside it first; makes the folders above it.

    A link stays one: the file it leads to is replaced. What is no regular file, such as /dev/stdout, is written to.

    Raises:
        UserError: it cannot be written; what was there stays.
    """
    content = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        work = target.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
        try:
            work.write_bytes(content)
            os.replace(work, target)
        finally:
            with suppress(OSError):
                work.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise UserError(
            "this file cannot be written",
            where=path,
            found=getattr(error, "strerror", None) or error,
            do="check the folder and the room on the disk, then run again",
        ) from None

"""One driver a results folder in a bucket: an object that says who, written only if none is there."""

from __future__ import annotations

import json
import os
import platform
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lidartune.errors import UserError
from lidartune.runs.s3 import S3Files

LOCK = ".driver.json"
ROUNDS = 5


def hold(files: S3Files) -> bytes:
    """Takes the lock, also from a process of this machine that is gone; returns what `let_go` wants.

    Raises:
        UserError: another driver holds it, or may hold it: one of another machine is not looked for.
    """
    own = json.dumps(_this_process(), indent=1).encode()
    holder: dict[str, Any] = {}
    for _ in range(ROUNDS):
        if files.write_new(LOCK, own):
            return own
        found = files.read_tagged(LOCK)
        if found is None:  # let go meanwhile
            continue
        holder = _parsed(found[0])
        if not _is_gone(holder):
            break
        if files.replace(LOCK, own, found[1]):
            return own
    raise UserError(
        "another study is running in this results folder",
        where=f"{files.uri}/{LOCK}",
        found=f"process {holder.get('pid', '?')} on {holder.get('host', '?')}, since {holder.get('since', '?')}",
        do="wait for it, or give --results another folder; if it is gone for certain: " + _removal(files),
    )


def let_go(files: S3Files, own: bytes) -> None:
    """Removes the lock if it is still the one that `hold` wrote."""
    if files.read(LOCK) == own:
        files.remove(LOCK)


def _removal(files: S3Files) -> str:
    key = files.key(LOCK)
    return f'python -c \'import boto3; boto3.client("s3").delete_object(Bucket="{files.bucket}", Key="{key}")\''


def _this_process() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "machine": _machine(),
        "pid": os.getpid(),
        "begun": _begun(os.getpid()),
        "driver": uuid.uuid4().hex,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _machine() -> str:
    """This machine since it was started, and the numbering of its processes: containers have their own."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " " + os.readlink("/proc/self/ns/pid")


def _begun(pid: int) -> int | None:
    """When a process of this machine began, in ticks since the machine did; None where there is none."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return None


def _is_gone(holder: dict[str, Any]) -> bool:
    if holder.get("machine") != _machine():
        return False
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid < 1 or not _is_there(pid):
        return True
    return _begun(pid) not in (None, holder.get("begun"))  # None: another user's, which /proc may hide


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _parsed(content: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict):
            return found
    return {}

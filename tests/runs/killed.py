"""A run in a process of its own, which may end in the middle of a file: `python -m tests.runs.killed STUDY ...`.

Arguments: the study as JSON, the results folder, a role, the last epoch, and a part of a path: of the first file whose
path holds it, half is written, and the process is killed; after a "+" it is a commit, and is written first. "-" kills
nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import torch

from lidartune.config import from_dict
from lidartune.runs.files import LocalFiles

from .conftest import CELL as WIDER
from .conftest import open_tiny

CELL = dataclasses.replace(WIDER, width=32)


def main(study: str, results: str, role: str, last: str, cut: str) -> None:
    torch.set_num_threads(1)
    write, write_new = LocalFiles.write, LocalFiles.write_new

    def cut_off(self: LocalFiles, path: str, content: bytes) -> None:
        if cut != "-" and cut in path:
            write(self, path, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, path, content)

    def cut_off_behind(self: LocalFiles, path: str, content: bytes) -> bool:
        done = write_new(self, path, content)
        if cut.startswith("+") and cut[1:] in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    LocalFiles.write, LocalFiles.write_new = cut_off, cut_off_behind  # type: ignore[method-assign]
    tiny = open_tiny(from_dict(json.loads(study)), CELL)
    milestone = tiny.plan.roles[CELL][role]
    tiny.trajectory(milestone, Path(results), checkpoint_minutes=0).carry_out([int(last)], lambda done: None)


if __name__ == "__main__":
    main(*sys.argv[1:])

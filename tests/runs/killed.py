"""A run in a process of its own, which may end or stand still: `python -m tests.runs.killed STUDY ...`.

Arguments: the study as JSON, the results folder, a role, the last epoch, a part of a path, and what happens at the
first file whose path holds it: `kill` writes half of it and kills the process, `kill-after` kills it right after a
commit of that path; `wait` waits before it is written, until a file `go-on` lies in the results folder. "-" as the part
of a path lets nothing happen.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

from lidartune.config import from_dict
from lidartune.runs.files import LocalFiles

from .conftest import CELL as WIDER
from .conftest import open_tiny

CELL = dataclasses.replace(WIDER, width=32)


def main(study: str, results: str, role: str, last: str, part: str, event: str) -> None:
    torch.set_num_threads(1)
    write, write_new = LocalFiles.write, LocalFiles.write_new

    def disturbed(self: LocalFiles, path: str, content: bytes) -> None:
        if part != "-" and part in path:
            if event == "kill":
                write(self, path, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            if event == "wait":
                Path(results, "waits").touch()
                while not Path(results, "go-on").exists():
                    time.sleep(0.02)
        write(self, path, content)

    def killed_behind(self: LocalFiles, path: str, content: bytes) -> bool:
        done = write_new(self, path, content)
        if event == "kill-after" and part in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    LocalFiles.write, LocalFiles.write_new = disturbed, killed_behind  # type: ignore[method-assign]
    tiny = open_tiny(from_dict(json.loads(study)), CELL)
    milestone = tiny.plan.roles[CELL][role]
    tiny.trajectory(milestone, Path(results), checkpoint_minutes=0).carry_out(
        [int(last)], lambda done: print(done.epoch, "trained" if done.scans_per_second else "there", flush=True)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

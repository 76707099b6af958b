"""Loaded by every Python process of a study under test, on whose PYTHONPATH it lies: does what the test asks for.

The environment's FAULTS holds JSON:
    record: a file that gets a line `<run> <epoch>` whenever the training of an epoch begins.
    cut: parts of paths. Of the first file of the store whose path holds one, half is written, and its process is
        killed; each once. `cut_marks` is the folder that remembers which are over.
    lose: a part of runs' names: whoever trains such a run is killed, always.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
from types import ModuleType
from typing import Any

ASKED = json.loads(os.environ.get("FAULTS", "{}"))


def _change_training(module: ModuleType) -> None:
    train = module.train_epoch

    def train_epoch(spec: Any, state: Any, *more: Any) -> Any:
        with open(ASKED["record"], "a") as record:
            record.write(f"{spec.folder} {state.epoch + 1}\n")
        if "lose" in ASKED and ASKED["lose"] in spec.folder:
            os.kill(os.getpid(), signal.SIGKILL)
        return train(spec, state, *more)

    module.train_epoch = train_epoch  # type: ignore[attr-defined]


def _change_files(module: ModuleType) -> None:
    write = module.LocalFiles.write

    def cut_write(self: Any, path: str, content: bytes) -> None:
        for number, part in enumerate(ASKED.get("cut", [])):
            if part in path and _first(os.path.join(ASKED["cut_marks"], str(number))):
                write(self, path, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        write(self, path, content)

    module.LocalFiles.write = cut_write


def _first(mark: str) -> bool:
    try:
        open(mark, "x").close()
    except FileExistsError:
        return False
    return True


CHANGES = {"lidartune.runs.trajectory": _change_training, "lidartune.runs.files": _change_files}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that are to be changed, and changes them once they are loaded."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name not in CHANGES:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert found is not None and found.loader is not None
        load = found.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            CHANGES[name](module)

        found.loader.exec_module = exec_module  # type: ignore[method-assign]
        return found


if "record" in ASKED:
    sys.meta_path.insert(0, _Finder())

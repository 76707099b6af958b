"""Loops compiled to machine code, and where the compiled code is kept between runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., Any])
PACKAGE = Path(__file__).parent


def kernel(function: Function) -> Function:
    """Compiles a function when it is first called, without the interpreter's lock, and keeps the code on disk.

    Numba's own cache looks at the file of the function alone, so that it goes on with old code where a function that is
    compiled into it has changed in another file. Ours lies in a folder named by all files that hold kernels.
    """
    folder = cache_folder()
    if folder is None:
        return numba.njit(nogil=True, error_model="numpy")(function)
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before


def inlined(function: Function) -> Function:
    """A function that is compiled into every kernel that calls it."""
    return numba.njit(inline="always", error_model="numpy")(function)


def part(function: Function) -> Function:
    """A function that kernels call; the compiler decides whether it becomes part of them."""
    return numba.njit(function)


@cache
def cache_folder() -> Path | None:
    """`$XDG_CACHE_HOME/lidartune/kernels/<hash of the sources>`, or None where it cannot be written."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_bytes()
        if b"lidartune.kernels" in source:
            digest.update(f"\0{path.relative_to(PACKAGE)}\0".encode() + source)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "lidartune" / "kernels" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: nobody's home
        return None
    return folder if os.access(folder, os.W_OK) else None

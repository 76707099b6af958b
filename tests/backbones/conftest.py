from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def plain() -> Callable[..., nn.Module]:
    """The plain twin that the benchmark measures against."""
    path = Path(__file__).parents[2] / "benchmarks" / "plain_backbones.py"
    spec = importlib.util.spec_from_file_location("plain_backbones", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.plain  # type: ignore[no-any-return]

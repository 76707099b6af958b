"""What all tests share: one torch thread, and a tiny street world made once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from lidartune.streetworld import WorldFolder, WorldSpec, write_world
from tests.bucket import bucket, s3_server

__all__ = ["bucket", "s3_server"]  # fixtures for all tests

TINY_WORLD = WorldSpec(
    beams=16,
    columns=256,
    scans_per_sequence=2,
    synthetic_train=2,
    synthetic_validation=1,
    synthetic_test=1,
    real_train=2,
    real_validation=1,
    real_test=1,
)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what is started in the background ignores it, and its children
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> WorldFolder:
    """A world of 4 + 4 training scans with 16 beams and 256 columns."""
    return write_world(TINY_WORLD, tmp_path_factory.mktemp("world") / "tiny", processes=1, progress=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans beside the checkout; their licence keeps them out of it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real scans beside this checkout")
    return folder

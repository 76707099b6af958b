from __future__ import annotations

from pathlib import Path

import pytest

from .made_up_study import make_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four settings and three seeds; read it, do not change it."""
    return make_study(
        tmp_path_factory.mktemp("results"), widths=(512, 1024), pretrain_epochs=(0, 3), real_classes=range(1, 18)
    )

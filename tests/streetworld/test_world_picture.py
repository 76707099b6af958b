"""The picture of a world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lidartune.errors import UserError
from lidartune.scans import CLASS_COLORS
from lidartune.streetworld import WorldSpec, write_world
from lidartune.streetworld.picture import draw_world


def test_the_picture_shows_both_domains_in_class_colours(tmp_path: Path) -> None:
    counts = {f"{domain}_{split}": 1 for domain in ("synthetic", "real") for split in ("train", "validation", "test")}
    spec = WorldSpec(beams=8, columns=512, scans_per_sequence=2, **counts)  # type: ignore[arg-type]
    world = write_world(spec, tmp_path / "world", processes=1, progress=False)
    draw_world(world.path, tmp_path / "world.png")
    picture = np.asarray(Image.open(tmp_path / "world.png").convert("RGB"))
    assert picture.shape[1] >= 512
    colours = {tuple(c) for c in picture.reshape(-1, 3).tolist()}
    assert len(colours & {tuple(c) for c in CLASS_COLORS[1:].tolist()}) == 19, "the legend names every class"
    road = (picture == CLASS_COLORS[9]).all(-1).sum()
    assert road > 0.02 * picture.shape[0] * picture.shape[1]


def test_no_world_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no whole street world"):
        draw_world(tmp_path, tmp_path / "world.png")

"""One picture of a world: range, remission and classes of two scans of each domain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lidartune.canvas import Canvas, Sensor, project
from lidartune.errors import UserError
from lidartune.pictures.bands import Band, Swatch, class_band, on_canvas, range_band, remission_band, rgb
from lidartune.pictures.scales import range_scale, remission_scale
from lidartune.pictures.sheet import Section, draw_sheet
from lidartune.scans import CLASS_COLORS, CLASS_NAMES, load_taxonomy, open_dataset
from lidartune.streetworld.sensor import FOV_DOWN_DEG, FOV_UP_DEG
from lidartune.streetworld.write import read_world
from lidartune.whole_file import write_whole

WIDTH_PX = 1100


def draw_world(folder: Path | str, path: Path | str) -> None:
    """Draws the first test scans of two streets of each domain as one PNG, with a legend of the classes.

    Args:
        folder: a world, as written by `write_world`.
        path: the PNG to write.

    Raises:
        UserError: the folder holds no whole world, or the picture cannot be written.
    """
    world = read_world(Path(folder))
    if world is None:
        raise UserError("this folder holds no whole street world", where=folder, do="make one: lidartune simulate DIR")
    sensor = Sensor(world.spec.beams, world.spec.columns, FOV_UP_DEG, FOV_DOWN_DEG)
    titles: list[str] = []
    scans: list[tuple[Canvas, np.ndarray]] = []
    for domain, root, name in (("synthetic", world.synthetic, "synlidar"), ("real", world.real, "semantic-kitti")):
        dataset = open_dataset(root, load_taxonomy(name))
        files = dataset.scans(world.splits[domain]["test"])
        for scan in (files[0], files[len(files) // 2]) if len(files) > 1 else files:
            points, classes = dataset.read(scan)
            canvas = project(points, sensor)
            titles.append(f"{domain}: sequence {scan.sequence}, scan {scan.name}")
            scans.append((canvas, on_canvas(classes, canvas)))
    sections = [
        Section(title=title, bands=bands) for title, bands in zip(titles, _on_common_scales(scans), strict=True)
    ]
    legend = [Swatch(color=rgb(CLASS_COLORS[c]), text=CLASS_NAMES[c]) for c in range(1, len(CLASS_NAMES))]
    png = draw_sheet(sections, legend, width_px=WIDTH_PX, band_px=96)
    write_whole(Path(path), png)


def _on_common_scales(scans: list[tuple[Canvas, np.ndarray]]) -> list[list[Band]]:
    """The bands of canvases and their classes (H, W); the same colour is the same range or remission in all of them."""
    seen = np.concatenate([canvas.image[:, canvas.mask] for canvas, _ in scans], axis=1)
    near_far, weak_strong = range_scale(seen[0]), remission_scale(seen[4])
    return [
        [
            range_band(canvas, near_far),
            remission_band(canvas, weak_strong),
            class_band("classes", classes, canvas.mask, CLASS_COLORS),
        ]
        for canvas, classes in scans
    ]

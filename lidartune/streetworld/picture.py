"""One picture of a world: range, remission and classes of two scans of each domain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lidartune.canvas import Sensor, project
from lidartune.errors import UserError
from lidartune.scans import CLASS_COLORS, CLASS_NAMES, load_taxonomy, open_dataset
from lidartune.scans.dataset import ScanFile
from lidartune.scans.taxonomy import Taxonomy
from lidartune.streetworld.sensor import FOV_DOWN_DEG, FOV_UP_DEG
from lidartune.streetworld.write import read_world

_BAND_HEIGHT = 96
_GAP, _MARGIN, _TITLE = 3, 12, 30
_FAR_M = 60.0


def draw_world(folder: Path | str, path: Path | str) -> None:
    """Draws the first test scans of two streets of each domain as one PNG, with a legend of the classes.

    Args:
        folder: a world, as written by `write_world`.
        path: the PNG to write.

    Raises:
        UserError: the folder holds no whole world.
    """
    world = read_world(Path(folder))
    if world is None:
        raise UserError("this folder holds no whole street world", where=folder, do="make one: lidartune simulate DIR")
    spec = world.spec
    sensor = Sensor(spec.beams, spec.columns, FOV_UP_DEG, FOV_DOWN_DEG)
    blocks: list[tuple[str, list[Image.Image]]] = []
    for domain, root, name in (("synthetic", world.synthetic, "synlidar"), ("real", world.real, "semantic-kitti")):
        taxonomy = load_taxonomy(name)
        numbers = world.splits[domain]["test"]
        scans = open_dataset(root, taxonomy).scans(numbers)
        chosen = (scans[0], scans[len(scans) // 2]) if len(scans) > 1 else scans
        for scan in chosen:
            title = f"{domain}: sequence {scan.sequence}, scan {scan.name}  (range, remission, classes)"
            blocks.append((title, scan_bands(scan, taxonomy, sensor)))
    _compose(blocks, spec.columns).save(path, optimize=True)


def scan_bands(scan: ScanFile, taxonomy: Taxonomy, sensor: Sensor) -> list[Image.Image]:
    """Range (near is bright), remission and classes of a scan as three images of the canvas's width."""
    points, labels = scan.read()
    assert labels is not None, "a world's scans all have labels"
    canvas = project(points, sensor)
    classes = np.append(taxonomy.to_common(labels), 0)[canvas.index]
    near = 1 - np.log(np.clip(canvas.image[0], 2, _FAR_M) / 2) / math.log(_FAR_M / 2)
    bright = np.sqrt(np.clip(canvas.image[4], 0, 1))
    bands = []
    for gray in (near, bright):
        levels = np.where(canvas.mask, 28 + 13 * np.round(17 * gray), 0).astype(np.uint8)
        bands.append(Image.fromarray(levels).convert("RGB"))
    bands.append(Image.fromarray(np.where(canvas.mask[..., None], CLASS_COLORS[classes], 0).astype(np.uint8)))
    height = sensor.height * max(1, round(_BAND_HEIGHT / sensor.height))
    return [band.resize((sensor.width, height), Image.Resampling.NEAREST) for band in bands]


def _compose(blocks: list[tuple[str, list[Image.Image]]], width: int) -> Image.Image:
    band = blocks[0][1][0].height
    per_row = max(1, width // 165)
    legend = 22 * math.ceil((len(CLASS_NAMES) - 1) / per_row)
    height = 2 * _MARGIN + legend + sum(_TITLE + len(bands) * (band + _GAP) for _, bands in blocks)
    page = Image.new("RGB", (width + 2 * _MARGIN, height), (255, 255, 255))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15.0)
    y = _MARGIN
    for title, bands in blocks:
        draw.text((_MARGIN, y + 6), title, fill=(20, 20, 20), font=font)
        y += _TITLE
        for image in bands:
            page.paste(image, (_MARGIN, y))
            y += band + _GAP
    for number, name in enumerate(CLASS_NAMES[1:]):
        left, top = _MARGIN + 165 * (number % per_row), y + 6 + 22 * (number // per_row)
        draw.rectangle(
            (left, top, left + 16, top + 14), fill=tuple(int(c) for c in CLASS_COLORS[number + 1]), outline=(90, 90, 90)
        )
        draw.text((left + 22, top - 2), name, fill=(20, 20, 20), font=font)
    return page

"""A scan as one picture: its range image, what the network said, and the truth."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from lidartune.scans import CLASS_COLORS
from lidartune.training.loader import PreparedScan


def draw_scan(scan: PreparedScan, class_image: np.ndarray) -> bytes:
    """PNG with three bands `(H, W)` below one another: range (near is bright), prediction, truth; empty is black.

    Narrow canvases are drawn enlarged, so that a row can be seen.
    """
    range_m = np.where(scan.canvas.mask, scan.canvas.image[0], np.inf)
    brightness = np.clip(255 * (1 - np.log(np.maximum(range_m, 2.0) / 2.0) / np.log(40.0)), 0, 255)
    bands = [
        np.repeat(brightness.astype(np.uint8)[..., None], 3, axis=2),
        CLASS_COLORS[np.where(scan.canvas.mask, class_image, 0)],
        CLASS_COLORS[np.where(scan.canvas.mask, scan.truth_image, 0)],
    ]
    gap = np.full((1, class_image.shape[1], 3), 255, dtype=np.uint8)
    picture = np.concatenate([bands[0], gap, bands[1], gap, bands[2]])
    scale = max(1, 1024 // picture.shape[1])
    image = Image.fromarray(picture)
    content = io.BytesIO()
    image.resize((image.width * scale, image.height * scale * 2), Image.Resampling.NEAREST).save(content, "PNG")
    return content.getvalue()

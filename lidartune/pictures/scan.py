"""A scan as one picture: for `lidartune show`, and a smaller one for reports."""

from __future__ import annotations

import numpy as np

from lidartune.canvas import Canvas, Sensor
from lidartune.pictures.bands import (
    Swatch,
    class_band,
    error_band,
    on_canvas,
    range_band,
    remission_band,
    rgb,
    share,
)
from lidartune.pictures.labelled import LabelledScan
from lidartune.pictures.sheet import Section, draw_sheet
from lidartune.scans import CLASS_COLORS, CLASS_NAMES

SHOW_WIDTH_PX = 2080
REPORT_WIDTH_PX = 1100


def draw_labelled_scan(scan: LabelledScan, canvas: Canvas, facts: str) -> bytes:
    """PNG of all that is known of a scan, below one another: range, remission, classes, prediction, error, legend.

    Args:
        facts: a line beside the title, before the scan's score.
    """
    bands = [range_band(canvas), remission_band(canvas)]
    if scan.taxonomy is not None:
        for title, classes in (("classes", scan.truth), ("prediction", scan.prediction)):
            if classes is not None:
                bands.append(class_band(title, on_canvas(classes, canvas), canvas.mask, scan.taxonomy.colors))
        if scan.truth is not None and scan.prediction is not None:
            images = on_canvas(scan.prediction, canvas), on_canvas(scan.truth, canvas)
            bands.append(error_band(*images, canvas.mask, scan.taxonomy.ignore))
    score = scan.score_line()
    section = Section(title=scan.title, note=f"{facts}   {score}" if score else facts, bands=bands)
    return draw_sheet([section], scan.class_swatches(), width_px=SHOW_WIDTH_PX)


def draw_prediction(canvas: Canvas, prediction_image: np.ndarray, truth_image: np.ndarray) -> bytes:
    """Small PNG for reports: range, prediction, truth and error on the canvas, and the common classes that occur.

    Args:
        prediction_image, truth_image: common classes (H, W).
    """
    bands = [
        range_band(canvas),
        class_band("prediction", prediction_image, canvas.mask, CLASS_COLORS),
        class_band("truth", truth_image, canvas.mask, CLASS_COLORS),
        error_band(prediction_image, truth_image, canvas.mask),
    ]
    occurring = np.union1d(prediction_image[canvas.mask], truth_image[canvas.mask])
    legend = [
        Swatch(color=rgb(CLASS_COLORS[c]), text=CLASS_NAMES[c]) for c in sorted(occurring, key=lambda c: (c == 0, c))
    ]
    return draw_sheet([Section(bands=bands)], legend, width_px=REPORT_WIDTH_PX)


def facts_line(canvas: Canvas, sensor: Sensor) -> str:
    """How many points there are, and how many of them the canvas shows on its pixels."""
    shown, total = int(canvas.mask.sum()), len(canvas.row)
    place = "rows by ring" if sensor.rows == "ring" else f"{sensor.fov_up_deg:+g} to {sensor.fov_down_deg:+g} degrees"
    return (
        f"{total:,} points, {share(shown, total)} of them shown on {sensor.height} x {sensor.width} pixels "
        f"({share(shown, canvas.mask.size)} filled), {place}"
    )

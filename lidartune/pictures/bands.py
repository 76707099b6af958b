"""Bands of a picture: one quantity of a scan on its canvas, in colours, with the key that explains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lidartune.canvas import Canvas
from lidartune.pictures.scales import Scale, range_scale, remission_scale

EMPTY = (236, 238, 240)
IGNORED, RIGHT, WRONG = 0, 1, 2
OUTCOMES = ("ignored", "right", "wrong")
OUTCOME_COLORS = np.array([(90, 90, 90), (138, 184, 220), (209, 73, 26)], dtype=np.uint8)
"""Told apart with every common colour vision, by lightness as well as by hue; few colours are as loud as `wrong`."""
OUTCOME_COLORS.flags.writeable = False


@dataclass(frozen=True, kw_only=True)
class Swatch:
    """One entry of a key: a colour, what it stands for, and figures about it."""

    color: tuple[int, int, int]
    text: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """One strip of a picture: `pixels` (H, W, 3) uint8, and beside its title a scale or swatches."""

    title: str
    pixels: np.ndarray
    key: Scale | tuple[Swatch, ...] = ()


def range_band(canvas: Canvas, scale: Scale | None = None) -> Band:
    """How far the points are, near is bright; on a scale that fits the scan where none is given."""
    return _scaled("range, m", canvas.image[0], canvas.mask, scale or range_scale(canvas.image[0][canvas.mask]))


def remission_band(canvas: Canvas, scale: Scale | None = None) -> Band:
    """How strongly the points send light back, in the units of the file."""
    shown = canvas.image[4]
    return _scaled("remission, as stored", shown, canvas.mask, scale or remission_scale(shown[canvas.mask]))


def class_band(title: str, class_image: np.ndarray, mask: np.ndarray, colors: np.ndarray) -> Band:
    """Classes (H, W) in their colours (C, 3) uint8, where the mask is set."""
    return Band(title=title, pixels=_masked(colors[np.where(mask, class_image, 0)], mask))


def error_band(
    prediction_image: np.ndarray, truth_image: np.ndarray, mask: np.ndarray, ignore: tuple[int, ...] = (0,)
) -> Band:
    """Where a prediction is right and where it is wrong, with the share of each among the labelled pixels."""
    found = outcome(prediction_image, truth_image, ignore)
    return Band(
        title="error, of labelled pixels",
        pixels=_masked(OUTCOME_COLORS[found], mask),
        key=outcome_swatches(found[mask]),
    )


def outcome(prediction: np.ndarray, truth: np.ndarray, ignore: tuple[int, ...] = (0,)) -> np.ndarray:
    """IGNORED where the truth is an ignored class, else RIGHT or WRONG: uint8 of the same shape.

    A prediction "ignored" on a labelled point is wrong, as in every score.
    """
    return np.where(np.isin(truth, ignore), IGNORED, np.where(prediction == truth, RIGHT, WRONG)).astype(np.uint8)


def outcome_swatches(outcomes: np.ndarray) -> tuple[Swatch, ...]:
    """Right and wrong with their shares of what is labelled, and ignored, where it occurs, with its share of all."""
    counts = np.bincount(outcomes.ravel(), minlength=3)
    labelled, total = int(counts[RIGHT] + counts[WRONG]), int(counts.sum())
    details = {RIGHT: share(int(counts[RIGHT]), labelled), WRONG: share(int(counts[WRONG]), labelled)}
    if counts[IGNORED]:
        details[IGNORED] = f"{share(int(counts[IGNORED]), total)} of all"
    return tuple(
        Swatch(color=rgb(OUTCOME_COLORS[which]), text=OUTCOMES[which], detail=detail)
        for which, detail in details.items()
    )


def on_canvas(classes: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Classes (N,) of points -> (H, W): each pixel has that of the point shown there, 0 where empty."""
    return np.append(classes, 0).astype(np.uint8)[canvas.index]


def share(count: int, total: int) -> str:
    """A share in per cent with one decimal; small ones are not rounded to nothing."""
    if total == 0:
        return "n/a"
    if count == 0:
        return "0 %"
    if 0 < count < 0.0005 * total:
        return "< 0.1 %"
    return f"{100 * count / total:.1f} %"


def rgb(color: np.ndarray) -> tuple[int, int, int]:
    """A colour (3,) as three plain numbers."""
    red, green, blue = (int(part) for part in color)
    return red, green, blue


def _scaled(title: str, values: np.ndarray, mask: np.ndarray, scale: Scale) -> Band:
    return Band(title=title, pixels=_masked(scale.colors(np.where(mask, values, scale.low)), mask), key=scale)


def _masked(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], pixels, np.array(EMPTY, dtype=np.uint8)).astype(np.uint8)

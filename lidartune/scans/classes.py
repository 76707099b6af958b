"""The 19 common classes, after SemanticKITTI, and how a taxonomy's classes are named and coloured; 0 is ignored."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

import numpy as np

CLASS_NAMES = (
    "ignored", "car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "road",
    "parking", "sidewalk", "other-ground", "building", "fence", "vegetation", "trunk", "terrain", "pole",
    "traffic-sign",
)  # fmt: skip
CLASS_COLORS = np.array(
    [
        (0, 0, 0), (100, 150, 245), (100, 230, 245), (30, 60, 150), (80, 30, 180), (0, 0, 255), (255, 30, 30),
        (255, 40, 200), (150, 30, 90), (255, 0, 255), (255, 150, 255), (75, 0, 75), (175, 0, 75), (255, 200, 0),
        (255, 120, 50), (0, 175, 0), (135, 60, 0), (150, 240, 80), (255, 240, 150), (255, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip
CLASS_COLORS.flags.writeable = False
NUM_CLASSES = len(CLASS_NAMES)
MAX_ID = 0xFFFF  # raw semantic ids are 16 bits wide
UNKNOWN = 255  # in lookup tables: an id without a class, so a taxonomy has at most 255 classes


def class_names(labels: Mapping[int, str], learning_map_inv: Mapping[int, int]) -> tuple[str, ...]:
    """Names of a taxonomy's classes: each class's label, class 0 "ignored", a name that is taken with its number.

    Nineteen classes of which none has another common class's name are the common classes, and named so: SynLiDAR's
    class 6 is written as 13, "male", and is "person".
    """
    own = [labels.get(raw) or f"class {c}" for c, raw in sorted(learning_map_inv.items())]
    if len(own) == NUM_CLASSES and not otherwise_numbered(own):
        return CLASS_NAMES
    names = ["ignored"]
    for number, name in enumerate(own[1:], start=1):
        names.append(f"{name} ({number})" if name in names else name)
    return tuple(names)


def otherwise_numbered(names: list[str] | tuple[str, ...]) -> list[int]:
    """Numbers of the classes that have the name of another common class; class 0 is not looked at."""
    return [c for c, name in enumerate(names) if c and name in CLASS_NAMES[1:] and name != CLASS_NAMES[c]]


def class_colors(
    color_map: Mapping[int, tuple[int, int, int]], learning_map_inv: Mapping[int, int], names: tuple[str, ...]
) -> np.ndarray:
    """(num_classes, 3) uint8 red, green, blue: a class's colour in the file, else the common one or a made-up one."""
    usual = CLASS_COLORS if names == CLASS_NAMES else _palette(len(names))
    colors = np.array([color_map.get(raw, usual[c]) for c, raw in sorted(learning_map_inv.items())], dtype=np.uint8)
    colors.flags.writeable = False
    return colors


def _palette(count: int) -> np.ndarray:
    """(count, 3) uint8: black, then hues a golden section apart, so that neighbours differ."""
    hues = [(c * 0.61803398875 % 1.0, 0.85 - 0.35 * (c % 2), 1.0 - 0.3 * (c % 3) / 2) for c in range(count)]
    colors = np.array([[round(255 * v) for v in colorsys.hsv_to_rgb(*hue)] for hue in hues], dtype=np.uint8)
    colors[0] = 0
    return colors

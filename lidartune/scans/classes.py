"""The 19 common classes that every dataset's labels are mapped to, after SemanticKITTI; class 0 is ignored."""

from __future__ import annotations

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

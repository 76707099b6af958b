"""What a triangle of the street world can be, and which label each dataset writes for it."""

from __future__ import annotations

import numpy as np

# name, SynLiDAR id, SemanticKITTI id, common class (0 = ignored, 1 car .. 19 traffic-sign)
_TABLE = (
    ("unlabelled", 0, 0, 0),
    ("outlier", 0, 1, 0),
    ("car", 1, 10, 1),
    ("moving-car", 1, 252, 1),
    ("pick-up", 2, 18, 4),
    ("truck", 3, 18, 4),
    ("moving-truck", 3, 258, 4),
    ("bus", 4, 13, 5),
    ("moving-bus", 4, 257, 5),
    ("other-vehicle", 7, 20, 5),
    ("moving-other-vehicle", 7, 259, 5),
    ("bicycle", 5, 11, 2),
    ("motorcycle", 6, 15, 3),
    ("woman", 12, 30, 6),
    ("man", 13, 30, 6),
    ("child", 14, 30, 6),
    ("crowd", 15, 30, 6),
    ("walking-woman", 12, 254, 6),
    ("walking-man", 13, 254, 6),
    ("walking-child", 14, 254, 6),
    ("bicyclist", 16, 31, 7),
    ("moving-bicyclist", 16, 253, 7),
    ("motorcyclist", 17, 32, 8),
    ("moving-motorcyclist", 17, 255, 8),
    ("road", 8, 40, 9),
    ("lane-marking", 8, 60, 9),
    ("parking", 10, 44, 10),
    ("sidewalk", 9, 48, 11),
    ("other-ground", 11, 49, 12),
    ("building", 18, 50, 13),
    ("other-structure", 19, 52, 0),
    ("fence", 26, 51, 14),
    ("vegetation", 20, 70, 15),
    ("trunk", 21, 71, 16),
    ("terrain", 22, 72, 17),
    ("pole", 24, 80, 18),
    ("traffic-sign", 23, 81, 19),
    ("traffic-cone", 25, 99, 0),
    ("garbage-can", 27, 99, 0),
    ("electric-box", 28, 99, 0),
    ("table", 29, 99, 0),
    ("chair", 30, 99, 0),
    ("bench", 31, 99, 0),
    ("other-object", 32, 99, 0),
)

KIND = {row[0]: index for index, row in enumerate(_TABLE)}
"""Name of a kind -> its number, as stored with each triangle."""

SYNLIDAR_IDS = np.array([row[1] for row in _TABLE], dtype=np.uint32)
SEMANTICKITTI_IDS = np.array([row[2] for row in _TABLE], dtype=np.uint32)
COMMON_CLASSES = np.array([row[3] for row in _TABLE], dtype=np.uint8)

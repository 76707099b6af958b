"""How far apart two colours look, also to people who see colours differently."""

from __future__ import annotations

import numpy as np

# Linear RGB as seen without one kind of cone: Machado, Oliveira and Fernandes 2009, severity 1.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
    "no colours": np.tile([0.2126, 0.7152, 0.0722], (3, 1)),
}


def difference(first: object, second: object, vision: str) -> float:
    """Distance in CIELAB; 2 is just visible, 10 is seen at a glance."""
    return float(np.linalg.norm(_lab(first, vision) - _lab(second, vision)))


def lightness(color: object) -> float:
    """CIELAB L: 0 black, 100 white."""
    return float(_lab(color, "usual")[0])


def _lab(color: object, vision: str) -> np.ndarray:
    shares = np.asarray(color, dtype=float) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    linear = np.clip(VISIONS[vision] @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = to_xyz @ linear / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

"""The conditional random field of SqueezeSeg as a recurrent layer (Wu et al., ICRA 2018), as lidar-bonnetal has it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidartune.backbones.layers import wrap

ITERATIONS = 3
WINDOW = (3, 5)  # rows, columns
COEFFICIENT = 0.1  # of the compatibility at its start, and the kernel's sigma
SIGMA = 0.7  # published as the kernel's sigma; stored, never used
SETTINGS: dict[str, int | float | tuple[int, int]] = {  # by their names in a state dict
    "iter": ITERATIONS,
    "lcn_size": WINDOW,
    "xyz_coef": COEFFICIENT,
    "xyz_sigma": SIGMA,
}


class CRF(nn.Module):
    """Three rounds of message passing among the points of a 3 x 5 window.

    A round adds to each pixel's class probabilities a 1x1 convolution (the compatibility) of its neighbours' ones, each
    weighted by exp(-d^2 / (2 sigma^2)), d the distance of the two points in normalised x, y, z; empty pixels send
    nothing. lidar-bonnetal passes the coefficient 0.1 where its sigma of 0.7 belongs: weights trained there expect
    it, so sigma is 0.1 here too.

    Of its 425 parameters (at 20 classes) the compatibility's 420 are trained; the others record the settings, under the
    names that lidar-bonnetal's files have. Other settings than the published ones are not supported.
    """

    def __init__(self, num_classes: int, *, circular: bool = False):
        super().__init__()
        for name, value in SETTINGS.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(value), requires_grad=False))
        self.compat_conv = nn.Conv2d(num_classes, num_classes, 1)
        with torch.no_grad():
            self.compat_conv.weight.copy_(COEFFICIENT * (1.0 - torch.eye(num_classes))[:, :, None, None])
        self.circular = circular

    def forward(self, logits: Tensor, xyz: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C, H, W) after message passing; their softmax are the CRF's probabilities.

        Args:
            logits: (B, C, H, W).
            xyz: (B, 3, H, W) normalised coordinates, 0 in empty pixels.
            mask: (B, 1, H, W), 1 where there is a point.
        """
        squares = [(near - xyz).square().sum(1, keepdim=True) for near in self._near(xyz)]
        weights = [torch.exp(-square / (2 * COEFFICIENT**2)) for square in squares]
        for _ in range(ITERATIONS):
            probabilities = logits.softmax(1)
            message = torch.zeros_like(probabilities)
            for weight, near in zip(weights, self._near(probabilities * mask), strict=True):
                message = torch.addcmul(message, weight, near)
            logits = self.compat_conv(message) + probabilities
        return logits

    def _near(self, x: Tensor) -> list[Tensor]:
        """x shifted to each place of the window; zeros come in from beyond the canvas."""
        height, width = x.shape[-2:]
        up, left = WINDOW[0] // 2, WINDOW[1] // 2
        x = wrap(x, left) if self.circular else F.pad(x, (left, left))
        x = F.pad(x, (0, 0, up, up))
        return [x[..., r : r + height, c : c + width] for r in range(WINDOW[0]) for c in range(WINDOW[1])]

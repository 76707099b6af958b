"""3x3 convolutions with 2.25 times fewer multiplications, for inference: F(2x2, 3x3) of Lavin & Gray (CVPR 2016).

Each 4x4 patch of the input, two pixels from the next one, gives 2x2 output pixels. Patch and filter are transformed by
sums and differences alone, multiplied element by element (over all channels: 16 matrix products), and transformed back.
Rounding errors are those of a usual convolution: 5e-7 of the largest output in float32.

It pays where the matrix products outweigh the transforms, that is with many channels; see `WORTHWHILE`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidartune.backbones.layers import Conv, activated, wrap

WORTHWHILE = 128
"""Input and output channels from which it is the faster way on two AVX2 cores: 1.3 times at 128 x 128 and 128 x 256,
1.5 at 256 x 512, 1.7 at 512 x 1024, but 1.1 at 64 x 128 (one scan, 64 x 512 canvas)."""

FILTER = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)  # the paper's G
CACHED = 2**20  # numbers of a group's patches and products that still stay in the cache


class Winograd(nn.Module):
    """A 3x3 convolution with stride 1, its bias, and max(x, slope x) after it: (B, C, H, W) -> (B, K, H, W)."""

    def __init__(self, conv: Conv, slope: float):
        super().__init__()
        filters = torch.einsum("ai,kcij,bj->abck", FILTER, conv.weight.detach().double(), FILTER)
        self.filters = nn.Buffer(filters.to(conv.weight.dtype).reshape(16, conv.in_channels, conv.out_channels))
        self.bias = nn.Buffer(torch.zeros_like(conv.weight[:, 0, 0, 0]) if conv.bias is None else conv.bias.detach())
        self.circular = conv.wrapped > 0
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, H, W), laid out channels last."""
        batch, channels, height, width = x.shape
        rows, columns = -(-height // 2), -(-width // 2)
        side = 0 if self.circular else 1
        x_nhwc = (wrap(x, 1) if self.circular else x).permute(0, 2, 3, 1)
        x_nhwc = F.pad(x_nhwc, (0, 0, side, side + width % 2, 1, 1 + height % 2))
        made = self.filters.shape[2]
        out = x.new_empty(batch, 2 * rows, 2 * columns, made)
        room = max(CACHED, 4 * self.filters.numel())  # with many channels the filters want to be read less often
        step = max(1, room // (16 * columns * (channels + made)))
        for image, result in zip(x_nhwc, out, strict=True):
            for first in range(0, rows, step):
                last = min(rows, first + step)
                self._rows(image[2 * first : 2 * last + 2], result[2 * first : 2 * last])
        return out[:, :height, :width].permute(0, 3, 1, 2)

    def _rows(self, x: Tensor, out: Tensor) -> None:
        """Fills rows `out` (2h, 2w, K) from the rows they need, `x` (2h + 2, 2w + 2, C)."""
        height, width, channels = out.shape[0] // 2, out.shape[1] // 2, x.shape[2]
        by_row = x.new_empty(4, height, x.shape[1], channels)
        _into_patches([x[k : k + 2 * height - 1 : 2] for k in range(4)], list(by_row))
        patches = x.new_empty(4, 4, height, width, channels)
        _into_patches([by_row[:, :, k : k + 2 * width - 1 : 2] for k in range(4)], [patches[:, k] for k in range(4)])
        products = torch.bmm(patches.view(16, height * width, channels), self.filters)
        p = products.view(4, 4, height, width, -1)
        pairs = out.view(height, 2, width, 2, -1)
        for row, q in enumerate((p[0] + p[1] + p[2], p[1] - p[2] - p[3])):
            pairs[:, row, :, 0] = self._finished((q[0] + q[1]).add_(q[2]))
            pairs[:, row, :, 1] = self._finished((q[1] - q[2]).sub_(q[3]))

    def _finished(self, x: Tensor) -> Tensor:
        x += self.bias
        return activated(x, self.slope)


def _into_patches(shifted: list[Tensor], out: list[Tensor]) -> None:
    """One dimension of the input's transform: the four entries of each patch, from the input shifted by 0 to 3."""
    zero, one, two, three = shifted
    torch.sub(zero, two, out=out[0])
    torch.add(one, two, out=out[1])
    torch.sub(two, one, out=out[2])
    torch.sub(one, three, out=out[3])

"""What a backbone costs: parameters, operations and memory, as counted; imports no torch, so that no plan waits for it.

Each was counted on the networks themselves (20 classes, published output stride, no CRF) at `channels` 1 and 1/2;
between and below a quadratic passes through both and through 0. tests/backbones/test_cost.py holds it against networks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Pairs of counts, at `channels` 1 and 1/2.

    Attributes:
        parameters: of the whole network.
        flops_per_pixel: of a forward pass, two for each multiplication with addition, per pixel of the canvas.
        saved_bytes_per_pixel: what autograd keeps of a forward pass in training, in float32.
    """

    parameters: tuple[int, int]
    flops_per_pixel: tuple[int, int]
    saved_bytes_per_pixel: tuple[int, int]


COUNTS = {
    "squeezeseg": Counts(
        parameters=(915_540, 233_524), flops_per_pixel=(195_776, 55_584), saved_bytes_per_pixel=(4_285, 2_152)
    ),
    "squeezesegv2": Counts(
        parameters=(928_464, 238_834), flops_per_pixel=(198_336, 56_224), saved_bytes_per_pixel=(10_557, 5_288)
    ),
    "darknet21": Counts(
        parameters=(24_712_980, 6_185_364),
        flops_per_pixel=(2_990_144, 751_136),
        saved_bytes_per_pixel=(10_983, 5_471),
    ),
    "darknet53": Counts(
        parameters=(50_377_364, 12_607_316),
        flops_per_pixel=(5_488_704, 1_375_776),
        saved_bytes_per_pixel=(19_266, 9_578),
    ),
    "cenet": Counts(
        parameters=(6_774_228, 1_697_524),
        flops_per_pixel=(6_611_072, 1_655_488),
        saved_bytes_per_pixel=(24_782, 12_401),
    ),
}
FLOPS_PER_BYTE = 24.0
"""So many operations take as long as one byte kept. It makes the demo's epochs of squeezesegv2 at `channels` 0.25
(0.74 s) and darknet21 at 0.125 (0.86 s) alike, as they were measured; only ratios of costs are ever used."""


def parameters(backbone: str, channels: float) -> float:
    """How many parameters the network has, within a tenth (a fifth at `channels` below 1/8, where 4 is the least)."""
    return _at(COUNTS[backbone].parameters, channels)


def saved_bytes_per_pixel(backbone: str, channels: float) -> float:
    """Bytes that a training step keeps for its backward pass, per pixel and scan of the batch."""
    return _at(COUNTS[backbone].saved_bytes_per_pixel, channels)


def cost_per_pixel(backbone: str, channels: float) -> float:
    """How long a training step takes per pixel, in no unit: good for comparing trainings of unlike networks."""
    operations = _at(COUNTS[backbone].flops_per_pixel, channels)
    return operations + FLOPS_PER_BYTE * saved_bytes_per_pixel(backbone, channels)


def _at(counts: tuple[int, int], channels: float) -> float:
    """The value of a x^2 + b x that has these values at 1 and 1/2; b is never below 0."""
    whole, half = counts
    linear = max(0.0, 4.0 * half - whole)
    return (whole - linear) * channels**2 + linear * channels

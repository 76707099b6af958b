"""What a plan needs to know about the backbones; imports nothing, so that no plan waits for torch."""

from __future__ import annotations

# How often each encoder halves the width, as a factor: a canvas width must be a multiple of it. Heights are free.
STRIDES: dict[str, int] = {"squeezeseg": 16, "squeezesegv2": 16, "darknet21": 32, "darknet53": 32, "cenet": 8}
NAMES: tuple[str, ...] = tuple(STRIDES)

CANVAS_CHANNELS: tuple[str, ...] = ("range", "x", "y", "z", "remission")  # in the order of a canvas
INPUTS: tuple[str, ...] = (*CANVAS_CHANNELS, "mask")  # what a network may be given

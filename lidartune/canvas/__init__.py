"""Points <-> range image: projection onto a sensor's grid, and the neighbour vote back to all points."""

from lidartune.canvas.neighbours import neighbours
from lidartune.canvas.projection import CHANNELS, EMPTY, Canvas, Sensor, project
from lidartune.canvas.rings import ring_numbers
from lidartune.canvas.voting import neighbour_vote, vote

__all__ = ["CHANNELS", "EMPTY", "Canvas", "Sensor", "neighbour_vote", "neighbours", "project", "ring_numbers", "vote"]

"""Points <-> range image: projection onto a sensor's grid, and the neighbour vote back to all points."""

from lidartune.canvas.neighbours import neighbour_vote, neighbours, vote
from lidartune.canvas.projection import CHANNELS, EMPTY, Canvas, Sensor, project

__all__ = ["CHANNELS", "EMPTY", "Canvas", "Sensor", "neighbour_vote", "neighbours", "project", "vote"]

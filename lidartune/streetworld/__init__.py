"""A labelled street world in two domains, ray-cast on this machine: demo, test data and known ground truth."""

from lidartune.streetworld.spec import WORLD_VERSION, WorldSpec
from lidartune.streetworld.write import WorldFolder, ensure_world, read_world, write_world

__all__ = ["WORLD_VERSION", "WorldFolder", "WorldSpec", "ensure_world", "read_world", "write_world"]

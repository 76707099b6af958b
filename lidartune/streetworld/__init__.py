"""A labelled street world in two domains, ray-cast on this machine: demo, test data and known ground truth."""

from lidartune.streetworld.spec import WORLD_VERSION, WorldSpec
from lidartune.streetworld.write import WorldFolder, cached_world, ensure_world, read_world, write_world

__all__ = ["WORLD_VERSION", "WorldFolder", "WorldSpec", "cached_world", "ensure_world", "read_world", "write_world"]

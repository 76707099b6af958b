"""Data configs of a world: the label maps of the datasets it looks like, with the split that its studies use."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from lidartune.streetworld.spec import DOMAINS
from lidartune.streetworld.write import WorldFolder
from lidartune.whole_file import write_whole

TAXONOMIES = {"synthetic": "synlidar", "real": "semantic-kitti"}
_PARTS = {"train": "train", "valid": "validation", "test": "test"}


def write_data_configs(world: WorldFolder) -> dict[str, Path]:
    """`synthetic.yaml` and `real.yaml` in the world's folder, by domain; files that are there already stay.

    They are no part of the world: `world.json` does not list them, and worlds without them are whole.
    """
    paths = {domain: world.path / f"{domain}.yaml" for domain in DOMAINS}
    for domain, path in paths.items():
        if not path.exists():
            write_whole(path, config_text(world, domain))
    return paths


def config_text(world: WorldFolder, domain: str) -> str:
    """The built-in taxonomy of a domain's dataset with the world's own split: YAML in lidar-bonnetal's format."""
    name = TAXONOMIES[domain]
    built_in = resources.files("lidartune.scans").joinpath("taxonomies", f"{name}.yaml").read_text("utf-8")
    kept = re.sub(r"^split:.*\n(?:[ #].*\n|\n)*", "", built_in, flags=re.MULTILINE)
    head = (
        f"# The {domain} domain of a built-in street world: ids and classes of {name}, and the split of its studies.\n"
        "# `content` is still that dataset's: `lidartune stats` measures this world's.\n"
    )
    parts = [f"  {part}: {world.splits[domain][ours]}" for part, ours in _PARTS.items()]
    return head + kept.rstrip("\n") + "\n" + "\n".join(["split:", *parts]) + "\n"

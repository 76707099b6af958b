"""Taxonomies by name or path, and chains of them."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

from lidartune.errors import UserError, nearest
from lidartune.scans.chain import compose, links
from lidartune.scans.document import read_document
from lidartune.scans.parsing import parse_config
from lidartune.scans.taxonomy import Taxonomy, parse_taxonomy


def built_in_taxonomies() -> tuple[str, ...]:
    """Names that `load_taxonomy` knows without a path."""
    folder = resources.files("lidartune.scans").joinpath("taxonomies")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_taxonomy(name_or_path: str | Path) -> Taxonomy:
    """A built-in taxonomy by name, a lidar-bonnetal data config by path, or a chain of them with "+" between.

    A path must have the keys `labels`, `learning_map` and `learning_map_inv`; `color_map`, `content`, `learning_ignore`
    and `split` are read where they are there, other keys are passed over. `synlidar+bridge.yaml` is `compose` of both;
    a file whose own name has a "+" is read as one.

    Raises:
        UserError: no such name or file, broken YAML, a missing key, an id outside 0..65535, classes that are not
            numbered 0..C-1 with C in 2..255, maps that contradict each other; as `compose` does.
    """
    text, known = str(name_or_path), built_in_taxonomies()

    def is_one(part: str) -> bool:
        return part in known or _is_file(part)

    chain = links(text, is_one)
    if chain is None:
        lost = next((part for part in text.split("+") if not is_one(part)), text)
        raise UserError(
            "there is no such taxonomy",
            where=text if lost != text else None,
            found=repr(lost),
            wanted="a built-in name (" + ", ".join(known) + ") or the path of a YAML file",
            do=nearest(lost, known),
        )
    return functools.reduce(compose, [_load(link, known) for link in chain])


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError):  # a folder that may not be looked into, the home of nobody
        return False


def _load(text: str, known: tuple[str, ...]) -> Taxonomy:
    if text in known:
        source = resources.files("lidartune.scans").joinpath("taxonomies", text + ".yaml")
        return parse_taxonomy(source.read_text("utf-8"), name=text, where=f"{text}.yaml")
    path = Path(text).expanduser()
    return Taxonomy(name=text, **parse_config(read_document(path, "this taxonomy"), str(path)))

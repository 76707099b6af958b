"""Raw label ids of one dataset and their map to the 19 common classes, from lidar-bonnetal data-config YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from lidartune.errors import UserError, nearest
from lidartune.scans.classes import CLASS_COLORS, CLASS_NAMES, MAX_ID, NUM_CLASSES
from lidartune.scans.parsing import parse_config

__all__ = [
    "CLASS_COLORS",
    "CLASS_NAMES",
    "NUM_CLASSES",
    "Taxonomy",
    "built_in_taxonomies",
    "load_taxonomy",
    "parse_taxonomy",
]

UNKNOWN = 255


@dataclass(frozen=True, kw_only=True, eq=False)
class Taxonomy:
    """One dataset's label ids and what they mean. Made by `load_taxonomy`; two are equal where their digests are.

    Attributes:
        name: the built-in name, or the path it was read from.
        labels: raw id -> text.
        learning_map: raw id -> common class 0..19.
        learning_map_inv: common class -> the raw id written for it.
        color_map: raw id -> (red, green, blue); empty where the file has none. (The files store blue first.)
        content: raw id -> share of the dataset's points; empty where the file has none.
        split: {"train", "valid", "test"} -> sequence numbers; empty where the file has none.
    """

    name: str
    labels: Mapping[int, str]
    learning_map: Mapping[int, int]
    learning_map_inv: Mapping[int, int]
    color_map: Mapping[int, tuple[int, int, int]]
    content: Mapping[int, float]
    split: Mapping[str, tuple[int, ...]]
    names: tuple[str, ...] = CLASS_NAMES
    lookup: np.ndarray = field(init=False, repr=False)
    """(65536,) uint8: raw id -> common class, 255 for an id that is not in the file."""
    digest: str = field(init=False)
    """Hash over both maps: equal digests give equal classes."""

    def __post_init__(self) -> None:
        lookup = np.full(MAX_ID + 1, UNKNOWN, dtype=np.uint8)
        for raw, common in self.learning_map.items():
            lookup[raw] = common
        lookup.flags.writeable = False
        object.__setattr__(self, "lookup", lookup)
        maps = [sorted(self.learning_map.items()), sorted(self.learning_map_inv.items())]
        object.__setattr__(self, "digest", hashlib.sha256(json.dumps(maps).encode()).hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taxonomy) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self.labels, self.learning_map, self.learning_map_inv, self.color_map, self.content, self.split)
        return _rebuild, (self.name, *(dict(part) for part in parts))

    def to_common(self, ids: np.ndarray, *, where: object = None) -> np.ndarray:
        """Common classes 0..19 of raw semantic ids: uint8 of the same shape.

        Args:
            ids: integers; the instance half of a stored label must be gone (`read_labels` takes it off).
            where: the file they come from, named in the error.

        Raises:
            UserError: ids that this taxonomy does not know, each with its number of points.
        """
        ids = np.asarray(ids)
        if ids.size and not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"raw ids must be integers, not {ids.dtype}")
        outside = bool(ids.size) and (int(ids.max()) > MAX_ID or int(ids.min()) < 0)
        classes = (
            self.lookup[np.where((ids < 0) | (ids > MAX_ID), 0, ids)] if outside else self.lookup[ids.astype(np.intp)]
        )
        unknown = classes == UNKNOWN
        if outside:
            unknown |= (ids < 0) | (ids > MAX_ID)
        if not unknown.any():
            return classes
        found, counts = np.unique(ids[unknown], return_counts=True)
        shown = ", ".join(f"id {i} ({n:,} points)" for i, n in zip(found[:10], counts[:10], strict=True))
        raise UserError(
            f"label ids that the taxonomy {self.name!r} does not know",
            where=where,
            found=shown + (f" and {len(found) - 10} other ids" if len(found) > 10 else ""),
            wanted=f"one of its {len(self.learning_map)} ids, {min(self.learning_map)}..{max(self.learning_map)}",
            do="choose this dataset's taxonomy, or add the ids to `labels` and `learning_map` in a copy of its YAML",
        )

    def to_raw(self, classes: np.ndarray) -> np.ndarray:
        """Raw ids to write for common classes 0..19: uint32 of the same shape."""
        classes = np.asarray(classes)
        if classes.size and (int(classes.min()) < 0 or int(classes.max()) >= NUM_CLASSES):
            raise ValueError(f"classes must lie in 0..{NUM_CLASSES - 1}, not {classes.min()}..{classes.max()}")
        table = np.array([self.learning_map_inv[c] for c in range(NUM_CLASSES)], dtype=np.uint32)
        return table[classes.astype(np.intp)]

    def class_content(self) -> np.ndarray | None:
        """(20,) float64: the file's `content` summed over the raw ids of each common class; None where it has none."""
        if not self.content:
            return None
        shares = np.zeros(NUM_CLASSES)
        for raw, share in self.content.items():
            shares[self.learning_map[raw]] += share
        return shares


def built_in_taxonomies() -> tuple[str, ...]:
    """Names that `load_taxonomy` knows without a path."""
    folder = resources.files("lidartune.scans").joinpath("taxonomies")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_taxonomy(name_or_path: str | Path) -> Taxonomy:
    """A built-in taxonomy by name, or a lidar-bonnetal data config by path.

    A path must have the keys `labels`, `learning_map` and `learning_map_inv`; `color_map`, `content`, `learning_ignore`
    and `split` are read where they are there, other keys are passed over.

    Raises:
        UserError: no such name or file, broken YAML, a missing key, an id outside 0..65535, a class outside 0..19,
            a map to another number of classes or to the same classes in another order.
    """
    text = str(name_or_path)
    known = built_in_taxonomies()
    if text in known:
        source = resources.files("lidartune.scans").joinpath("taxonomies", text + ".yaml")
        return parse_taxonomy(source.read_text("utf-8"), name=text, where=f"{text}.yaml")
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise UserError(
            "there is no such taxonomy",
            found=repr(text),
            wanted="a built-in name (" + ", ".join(known) + ") or the path of a YAML file",
            do=nearest(text, known),
        )
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            "this taxonomy cannot be read as text", where=path, found=str(error), do="check the file"
        ) from None
    return parse_taxonomy(content, name=text, where=str(path))


def parse_taxonomy(text: str, *, name: str, where: str) -> Taxonomy:
    """A taxonomy from the text of its YAML; `where` is named in errors. Raises UserError as `load_taxonomy` does."""
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}" if mark else where
        found = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError("this file is not valid YAML", where=place, found=found, do="mend it there") from None
    return Taxonomy(name=name, **parse_config(raw, where))


def _rebuild(name: str, *parts: dict) -> Taxonomy:
    keys = ("labels", "learning_map", "learning_map_inv", "color_map", "content", "split")
    frozen: dict[str, Any] = {k: MappingProxyType(v) for k, v in zip(keys, parts, strict=True)}
    return Taxonomy(name=name, **frozen)

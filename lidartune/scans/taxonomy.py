"""Raw label ids of one dataset and the classes they mean, from lidar-bonnetal data-config YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from lidartune.errors import UserError
from lidartune.scans.classes import CLASS_NAMES, MAX_ID, NUM_CLASSES, UNKNOWN, otherwise_numbered
from lidartune.scans.document import parse_document
from lidartune.scans.parsing import parse_config


@dataclass(frozen=True, kw_only=True, eq=False)
class Taxonomy:
    """One dataset's label ids and what they mean. Made by `load_taxonomy`; two are equal where their digests are.

    Attributes:
        name: the built-in name, or the path it was read from; of a chain, both with a "+" between them.
        labels: raw id -> text.
        learning_map: raw id -> class, 0..num_classes - 1.
        learning_map_inv: class -> the raw id written for it: read back as this class, or as an ignored one where
            nothing leads to it.
        color_map: raw id -> (red, green, blue); empty where the file has none. (The files store blue first.)
        content: raw id -> share of the dataset's points; empty where the file has none.
        split: {"train", "valid", "test"} -> sequence numbers; empty where the file has none.
        ignore: the classes that do not count; 0 is always one of them.
        names: (num_classes,) each class's name; CLASS_NAMES where it maps to the common classes.
        colors: (num_classes, 3) uint8 red, green, blue.
    """

    name: str
    labels: Mapping[int, str]
    learning_map: Mapping[int, int]
    learning_map_inv: Mapping[int, int]
    color_map: Mapping[int, tuple[int, int, int]]
    content: Mapping[int, float]
    split: Mapping[str, tuple[int, ...]]
    ignore: tuple[int, ...]
    names: tuple[str, ...]
    colors: np.ndarray = field(repr=False)
    lookup: np.ndarray = field(init=False, repr=False)
    """(65536,) uint8: raw id -> class, 255 for an id that is not in the file."""
    digest: str = field(init=False)
    """Hash over both maps and the ignored classes: equal digests give equal classes."""

    def __post_init__(self) -> None:
        lookup = np.full(MAX_ID + 1, UNKNOWN, dtype=np.uint8)
        for raw, number in self.learning_map.items():
            lookup[raw] = number
        lookup.flags.writeable = False
        object.__setattr__(self, "lookup", lookup)
        maps: list = [sorted(self.learning_map.items()), sorted(self.learning_map_inv.items())]
        if self.ignore != (0,):
            maps.append(self.ignore)
        object.__setattr__(self, "digest", hashlib.sha256(json.dumps(maps).encode()).hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taxonomy) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        tables = (self.labels, self.learning_map, self.learning_map_inv, self.color_map, self.content, self.split)
        return _rebuild, (self.name, self.ignore, self.names, self.colors, *(dict(table) for table in tables))

    @property
    def num_classes(self) -> int:
        """How many classes it maps to, class 0 and other ignored ones included: 2..255."""
        return len(self.learning_map_inv)

    @property
    def is_common(self) -> bool:
        """It maps to exactly the 19 common classes, in their order."""
        return self.names == CLASS_NAMES and self.ignore == (0,)

    def require_common(self, where: object = None) -> None:
        """Raises UserError unless it maps to the 19 common classes; `where` is the setting or file that names it."""
        if self.is_common:
            return
        wanted = f"classes 0..{NUM_CLASSES - 1}: ignored, then " + ", ".join(CLASS_NAMES[1:])
        what, found = "this taxonomy maps to another number of classes", f"{self.num_classes} classes"
        do = f"map to these classes in a copy of its YAML, or behind it: {self.name}+YOUR_BRIDGE.yaml"
        if self.names == CLASS_NAMES:
            what, found = "this taxonomy ignores other classes than 0", f"classes {list(self.ignore)} ignored"
        elif self.num_classes == NUM_CLASSES:
            what = "this taxonomy numbers the classes otherwise"
            number = next(c for c in range(NUM_CLASSES) if self.names[c] != CLASS_NAMES[c])
            number = next(iter(otherwise_numbered(self.names)), number)
            found = f"class {number} is {self.names[number]!r}, not {CLASS_NAMES[number]!r}"
        raise UserError(what, where=where or self.name, found=f"{found} in {self.name}", wanted=wanted, do=do)

    def to_common(self, ids: np.ndarray, *, where: object = None) -> np.ndarray:
        """Classes of raw semantic ids, the common ones where `is_common`: uint8 of the same shape.

        Args:
            ids: integers; the instance half of a stored label must be gone (`read_labels` takes it off).
            where: the file they come from, named in the error.

        Raises:
            UserError: ids that this taxonomy does not know, each with its number of points.
        """
        ids = np.asarray(ids)
        if ids.size and not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"raw ids must be integers, not {ids.dtype}")
        if not ids.size:
            return np.zeros(ids.shape, np.uint8)
        if ids.dtype == np.uint64:  # which cannot be an index
            ids = np.minimum(ids, np.iinfo(np.int64).max).astype(np.int64)
        if ids.dtype.kind == "u" or ids.min() >= 0:
            try:
                classes = self.lookup.take(ids)
                if classes.max() != UNKNOWN:
                    return classes
            except IndexError:
                pass  # an id above 65535
        known = np.fromiter(self.learning_map, dtype=np.int64)
        found, counts = np.unique(ids[~np.isin(ids, known)], return_counts=True)
        shown = ", ".join(f"id {i} ({n:,} points)" for i, n in zip(found[:10], counts[:10], strict=True))
        raise UserError(
            f"label ids that the taxonomy {self.name!r} does not know",
            where=where,
            found=shown + (f" and {len(found) - 10} other ids" if len(found) > 10 else ""),
            wanted=f"one of its {len(self.learning_map)} ids, {min(self.learning_map)}..{max(self.learning_map)}",
            do="choose this dataset's taxonomy, or add the ids to `labels` and `learning_map` in a copy of its YAML",
        )

    def to_raw(self, classes: np.ndarray) -> np.ndarray:
        """Raw ids to write for classes 0..num_classes - 1, as in a submission: uint32 of the same shape."""
        classes = np.asarray(classes)
        if classes.size and (int(classes.min()) < 0 or int(classes.max()) >= self.num_classes):
            raise ValueError(f"classes must lie in 0..{self.num_classes - 1}, not {classes.min()}..{classes.max()}")
        table = np.array([self.learning_map_inv[c] for c in range(self.num_classes)], dtype=np.uint32)
        return table[classes.astype(np.intp)]

    def class_content(self) -> np.ndarray | None:
        """(num_classes,) float64: the file's `content`, summed by class; None where it has none."""
        if not self.content:
            return None
        shares = np.zeros(self.num_classes)
        for raw, share in self.content.items():
            shares[self.learning_map[raw]] += share
        return shares


def parse_taxonomy(text: str, *, name: str, where: str) -> Taxonomy:
    """A taxonomy from the text of its YAML; `where` is named in errors. Raises UserError as `load_taxonomy` does."""
    return Taxonomy(name=name, **parse_config(parse_document(text, where), where))


def _rebuild(
    name: str, ignore: tuple[int, ...], names: tuple[str, ...], colors: np.ndarray, *tables: dict
) -> Taxonomy:
    keys = ("labels", "learning_map", "learning_map_inv", "color_map", "content", "split")
    frozen: dict[str, Any] = {k: MappingProxyType(v) for k, v in zip(keys, tables, strict=True)}
    colors.flags.writeable = False
    return Taxonomy(name=name, ignore=ignore, names=names, colors=colors, **frozen)

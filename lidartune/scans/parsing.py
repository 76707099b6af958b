"""What a lidar-bonnetal data config must hold, checked key by key; every fault is a UserError naming file and key."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NoReturn

from lidartune.errors import UserError
from lidartune.scans.classes import CLASS_NAMES, MAX_ID, NUM_CLASSES

REQUIRED = ("labels", "learning_map", "learning_map_inv")


def parse_config(config: object, where: str) -> dict[str, Any]:
    """The fields of a Taxonomy from a parsed data config; raises UserError where the config is not one."""
    if not isinstance(config, dict):
        _refuse("a taxonomy is a YAML mapping", where, None, type(config).__name__, "keys " + ", ".join(REQUIRED))
    for key in REQUIRED:
        if key not in config:
            _refuse("a key is missing in this taxonomy", where, key, "keys " + (", ".join(map(str, config)) or "none"))
    labels = _table(config, "labels", where, MAX_ID, _text)
    to_common = _table(config, "learning_map", where, MAX_ID, _number(NUM_CLASSES - 1, "a common class"))
    to_raw = _table(config, "learning_map_inv", where, NUM_CLASSES - 1, _number(MAX_ID, "a raw id"))
    colors = _table(config, "color_map", where, MAX_ID, _color)
    content = _table(config, "content", where, MAX_ID, _share)
    ignore = _table(config, "learning_ignore", where, NUM_CLASSES - 1, _flag)
    _check_maps(labels, to_common, to_raw, where)
    for raw in content:
        if raw not in to_common:
            _refuse("a share of an id that is not mapped", where, f"content.{raw}", raw, "an id in learning_map")
    for common, ignored in ignore.items():
        if ignored != (common == 0):
            do = "map the raw ids that do not count to class 0"
            _refuse("only class 0 is ignored here", where, f"learning_ignore.{common}", ignored, common == 0, do)
    return {
        "labels": MappingProxyType(labels),
        "learning_map": MappingProxyType(to_common),
        "learning_map_inv": MappingProxyType(to_raw),
        "color_map": MappingProxyType(colors),
        "content": MappingProxyType(content),
        "split": MappingProxyType(_split(config, where)),
    }


def _check_maps(labels: dict, to_common: dict, to_raw: dict, where: str) -> None:
    if set(to_raw) != set(range(NUM_CLASSES)):
        missing = sorted(set(range(NUM_CLASSES)) - set(to_raw))
        _refuse(
            "this taxonomy maps to another number of classes",
            where,
            "learning_map_inv",
            f"{len(to_raw)} classes, {missing} missing",
            f"classes 0..{NUM_CLASSES - 1}: ignored, then " + ", ".join(CLASS_NAMES[1:]),
            "map to these classes; other numbers of classes are not supported yet",
        )
    for raw in labels:
        if raw not in to_common:
            _refuse(
                "a label without a class", where, f"learning_map.{raw}", f"no entry for {raw} ({labels[raw]})", "0..19"
            )
    used = set(to_common.values())
    for common, raw in to_raw.items():
        if raw not in to_common:
            _refuse("an id that is not mapped", where, f"learning_map_inv.{common}", raw, "an id in learning_map")
        if common in used and to_common[raw] != common:
            found = f"id {raw}, which learning_map takes to {to_common[raw]}"
            _refuse("the two maps contradict each other", where, f"learning_map_inv.{common}", found)
        text = labels.get(raw)
        if common and text in CLASS_NAMES[1:] and text != CLASS_NAMES[common]:
            found = f"id {raw}, labelled {text!r}"
            wanted = f"{CLASS_NAMES[common]!r}; {text!r} is class {CLASS_NAMES.index(text)}"
            do = "use the 19 classes in this order: " + ", ".join(CLASS_NAMES[1:])
            _refuse(
                "this taxonomy numbers the classes otherwise", where, f"learning_map_inv.{common}", found, wanted, do
            )


def _split(config: dict, where: str) -> dict[str, tuple[int, ...]]:
    parts = config.get("split")
    if parts is None:
        return {}
    if not isinstance(parts, dict) or not set(parts) <= {"train", "valid", "test"}:
        _refuse("a split is a mapping", where, "split", parts, "train, valid and test")
    split = {}
    for part, sequences in parts.items():
        if not isinstance(sequences, list):
            _refuse("a part of the split is a list", where, f"split.{part}", sequences, "a list of sequence numbers")
        split[part] = tuple(_int(s, where, f"split.{part}", None, "a sequence number") for s in sequences)
    return split


def _table(config: dict, key: str, where: str, largest: int, check: Callable[[Any, str, str], Any]) -> dict[int, Any]:
    table = config.get(key)
    if table is None and key not in REQUIRED:
        return {}
    if not isinstance(table, dict) or (not table and key in REQUIRED):
        _refuse("this must be a mapping", where, key, repr(table), "one line for each id")
    checked = {}
    for i, value in table.items():
        number = _int(i, where, f"{key}.{i}", largest, "an id")
        if number in checked:
            _refuse("an id stands here twice", where, f"{key}.{i}", i)
        checked[number] = check(value, where, f"{key}.{i}")
    return checked


def _int(value: object, where: str, key: str, largest: int | None, noun: str) -> int:
    if isinstance(value, str) and value.isdecimal() and value.isascii():  # YAML reads 08 as text
        value = int(value)
    span = f"{noun}, a whole number" + ("" if largest is None else f" in 0..{largest}")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (largest is not None and value > largest):
        _refuse("a number is not what it should be", where, key, repr(value), span)
    return value


def _number(largest: int, noun: str) -> Callable[[Any, str, str], int]:
    return lambda value, where, key: _int(value, where, key, largest, noun)


def _text(value: object, where: str, key: str) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        _refuse("a label's name is text", where, key, repr(value))
    return str(value)


def _share(value: object, where: str, key: str) -> float:
    try:
        share = float(value)  # type: ignore[arg-type]  # YAML reads 1e-08 as text
    except (TypeError, ValueError):
        share = math.nan
    if not 0 <= share <= 1:
        _refuse("a share of the points is not what it should be", where, key, repr(value), "a number in 0..1")
    return share


def _flag(value: object, where: str, key: str) -> bool:
    if not isinstance(value, bool):
        _refuse("this is a yes or no", where, key, repr(value), "true or false")
    return value


def _color(value: object, where: str, key: str) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        _refuse("a colour is not what it should be", where, key, repr(value), "[blue, green, red], each 0..255")
    blue, green, red = (_int(v, where, key, 255, "blue, green or red") for v in value)
    return red, green, blue


def _refuse(
    what: str, where: str, key: str | None, found: object = None, wanted: object = None, do: str | None = None
) -> NoReturn:
    raise UserError(
        what,
        where=where if key is None else f"{where}, key {key}",
        found=found,
        wanted=wanted,
        do=do or "compare it with a built-in file, such as lidartune/scans/taxonomies/semantic-kitti.yaml",
    )

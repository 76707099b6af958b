"""What a lidar-bonnetal data config must hold, checked key by key; every fault is a UserError naming file and key."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NoReturn

from lidartune.errors import UserError
from lidartune.scans.classes import MAX_ID, UNKNOWN, class_colors, class_names
from lidartune.scans.document import shown

REQUIRED = ("labels", "learning_map", "learning_map_inv")
MAX_SEQUENCE = 999_999


def parse_config(config: object, where: str) -> dict[str, Any]:
    """The fields of a Taxonomy from a parsed data config; raises UserError where the config is not one."""
    if not isinstance(config, dict):
        _refuse("a taxonomy is a YAML mapping", where, None, type(config).__name__, "keys " + ", ".join(REQUIRED))
    for key in REQUIRED:
        if key not in config:
            _refuse("a key is missing in this taxonomy", where, key, "keys " + shown(list(config)))
    labels = _table(config, "labels", where, MAX_ID, _text)
    to_raw = _table(config, "learning_map_inv", where, UNKNOWN - 1, _number(MAX_ID, "a raw id"))
    last = _last_class(to_raw, where)
    to_class = _table(config, "learning_map", where, MAX_ID, _number(last, "a class of learning_map_inv"))
    colors = _table(config, "color_map", where, MAX_ID, _color)
    content = _table(config, "content", where, MAX_ID, _share)
    flags = _table(config, "learning_ignore", where, last, _flag)
    ignored = _ignored(flags, last, where)
    _check_maps(labels, to_class, to_raw, ignored, where)
    for raw in content:
        if raw not in to_class:
            _refuse("a share of an id that is not mapped", where, f"content.{raw}", raw, "an id in learning_map")
    names = class_names(labels, to_raw)
    return {
        "labels": MappingProxyType(labels),
        "learning_map": MappingProxyType(to_class),
        "learning_map_inv": MappingProxyType(to_raw),
        "color_map": MappingProxyType(colors),
        "content": MappingProxyType(content),
        "split": MappingProxyType(_split(config, where)),
        "ignore": ignored,
        "names": names,
        "colors": class_colors(colors, to_raw, names),
    }


def _last_class(to_raw: dict[int, int], where: str) -> int:
    last = max(to_raw)
    if last == 0 or len(to_raw) != last + 1:
        _refuse(
            "the classes must be numbered from 0, without a gap",
            where,
            "learning_map_inv",
            f"classes {shown(sorted(to_raw))}",
            "0 for what is ignored, then 1, 2, ...",
            "add a line for each class that is missing",
        )
    return last


def _ignored(flags: dict[int, bool], last: int, where: str) -> tuple[int, ...]:
    """The classes that do not count: 0, and whichever else the file ignores."""
    if flags.get(0) is False:
        do = "number the classes that count from 1, and map the raw ids that do not count to class 0"
        _refuse("class 0 is what is ignored", where, "learning_ignore.0", False, True, do)
    ignored = {0} | {c for c, flag in flags.items() if flag}
    if len(ignored) > last:
        _refuse("every class is ignored", where, "learning_ignore", "true for all", "false for one class at least")
    return tuple(sorted(ignored))


def _check_maps(labels: dict, to_class: dict, to_raw: dict, ignored: tuple[int, ...], where: str) -> None:
    for raw in labels:
        if raw not in to_class:
            found, span = f"no entry for {raw} ({labels[raw]})", f"a class in 0..{max(to_raw)}"
            do = f"add {raw} to learning_map, with 0 if its points do not count"
            _refuse("a label without a class", where, f"learning_map.{raw}", found, span, do)
    used = set(to_class.values())
    for number, raw in to_raw.items():
        if raw not in to_class:
            _refuse("an id that is not mapped", where, f"learning_map_inv.{number}", raw, "an id in learning_map")
        if number in used and to_class[raw] != number:
            found = f"id {raw}, which learning_map takes to {to_class[raw]}"
            wanted = f"an id that learning_map takes to {number}"
            _refuse("the two maps contradict each other", where, f"learning_map_inv.{number}", found, wanted)
        if number not in used and to_class[raw] not in ignored:
            found = f"id {raw}, which is read back as class {to_class[raw]}"
            wanted = f"an id that is ignored, as no id leads to class {number}"
            do = "name such an id; where the dataset has none, add one to `labels`, and to `learning_map` with 0"
            _refuse("a class would be written as another", where, f"learning_map_inv.{number}", found, wanted, do)


def _split(config: dict, where: str) -> dict[str, tuple[int, ...]]:
    parts = config.get("split")
    if parts is None:
        return {}
    if not isinstance(parts, dict) or not set(parts) <= {"train", "valid", "test"}:
        _refuse("a split is a mapping", where, "split", shown(parts), "train, valid and test")
    split = {}
    for part, sequences in parts.items():
        if not isinstance(sequences, list):
            found, wanted = shown(sequences), "a list of sequence numbers"
            _refuse("a part of the split is a list", where, f"split.{part}", found, wanted)
        split[part] = tuple(_int(s, where, f"split.{part}", MAX_SEQUENCE, "a sequence number") for s in sequences)
    return split


def _table(config: dict, key: str, where: str, largest: int, check: Callable[[Any, str, str], Any]) -> dict[int, Any]:
    table = config.get(key)
    if table is None and key not in REQUIRED:
        return {}
    if not isinstance(table, dict) or (not table and key in REQUIRED):
        _refuse("this must be a mapping", where, key, shown(table), "one line for each id")
    checked: dict[int, Any] = {}
    for i, value in table.items():
        place = f"{key}.{i if isinstance(i, str) and i.isprintable() and len(i) < 40 else shown(i)}"
        number = _int(i, where, place, largest, "an id")
        if number in checked:
            _refuse("an id stands here twice", where, place, number, do="keep one of the two lines")
        checked[number] = check(value, where, place)
    return checked


def _int(value: object, where: str, key: str, largest: int, noun: str) -> int:
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:  # YAML reads 08 as text
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        wanted = f"{noun}, a whole number in 0..{largest}"
        _refuse("a number is not what it should be", where, key, shown(value), wanted)
    return value


def _number(largest: int, noun: str) -> Callable[[Any, str, str], int]:
    return lambda value, where, key: _int(value, where, key, largest, noun)


def _text(value: object, where: str, key: str) -> str:
    text = shown(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isprintable() or len(text) > 100:
        _refuse("a label's name is text", where, key, shown(value), "one line of at most 100 printable characters")
    return text


def _share(value: object, where: str, key: str) -> float:
    try:
        share = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # YAML reads 1e-08 as text
    except (TypeError, ValueError, OverflowError):
        share = math.nan
    if not 0 <= share <= 1:
        _refuse("a share of the points is not what it should be", where, key, shown(value), "a number in 0..1")
    return share


def _flag(value: object, where: str, key: str) -> bool:
    if not isinstance(value, bool):
        _refuse("this is a yes or no", where, key, shown(value), "true or false")
    return value


def _color(value: object, where: str, key: str) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        _refuse("a colour is not what it should be", where, key, shown(value), "[blue, green, red], each 0..255")
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
        do=do or "mend this key; the built-in lidartune/scans/taxonomies/semantic-kitti.yaml shows the format",
    )

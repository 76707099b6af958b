"""Two taxonomies one after the other: the classes of the first are the raw ids of the second."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lidartune.errors import UserError

if TYPE_CHECKING:
    from lidartune.scans.taxonomy import Taxonomy


def chained(first: Taxonomy, second: Taxonomy) -> dict[str, Any]:
    """The fields of a Taxonomy that goes through both; raises UserError as `taxonomy.compose` does."""
    onwards = {0: 0} | dict(second.learning_map)
    missing = [c for c in sorted(set(first.learning_map.values())) if c not in onwards]
    if missing:
        raise UserError(
            f"this taxonomy does not map all classes of {first.name!r}",
            where=f"{second.name}, key learning_map",
            found="no entry for " + ", ".join(f"{c} ({first.names[c]})" for c in missing[:5]),
            wanted=f"the classes of {first.name!r} as its raw ids, 0..{first.num_classes - 1}",
            do="add them to `labels` and `learning_map`, or name another bridge",
        )
    learning_map = {raw: onwards[number] for raw, number in first.learning_map.items()}
    return {
        "name": f"{first.name}+{second.name}",
        "labels": first.labels,
        "learning_map": MappingProxyType(learning_map),
        "learning_map_inv": MappingProxyType(_back(first, second, learning_map)),
        "color_map": first.color_map,
        "content": first.content,
        "split": first.split,
        "ignore": second.ignore,
        "names": second.names,
        "colors": second.colors,
    }


def _back(first: Taxonomy, second: Taxonomy, learning_map: dict[int, int]) -> dict[int, int]:
    used = set(learning_map.values())
    inverse = {}
    for number, middle in second.learning_map_inv.items():
        if number not in used:
            inverse[number] = _ignored_id(first, second, learning_map)
            continue
        raw = first.learning_map_inv.get(middle)
        if raw is None or learning_map[raw] != number:
            raise UserError(
                f"a class that cannot be written as a label of {first.name!r}",
                where=f"{second.name}, key learning_map_inv.{number}",
                found=f"{middle}, " + ("which is no class of it" if raw is None else f"read as {learning_map[raw]}"),
                wanted=f"a class of {first.name!r} that leads to {number} ({second.names[number]})",
                do="mend this line",
            )
        inverse[number] = raw
    return inverse


def _ignored_id(first: Taxonomy, second: Taxonomy, learning_map: dict[int, int]) -> int:
    """The raw id of `first` that is written for what is ignored: the one of its class 0 where that stays ignored."""
    for raw in (first.learning_map_inv[0], *sorted(learning_map)):
        if learning_map[raw] in second.ignore:
            return raw
    raise UserError(
        f"nothing of {first.name!r} is ignored",
        where=f"{second.name}, key learning_map",
        found="no class of it that leads to " + " or ".join(map(str, second.ignore)),
        wanted="one at least: its label is written for points without a class, and for classes that nothing leads to",
        do=f"map what does not count in {first.name!r} to class 0",
    )


def links(text: str, is_one: Callable[[str], bool]) -> list[str] | None:
    """The names and paths between the "+" of a text, each of which `is_one`; None where they are not.

    A text that is one as a whole is not taken apart, so file names may hold a "+".
    """
    if is_one(text):
        return [text]
    for i, character in enumerate(text):
        if character == "+" and is_one(text[:i]):
            rest = links(text[i + 1 :], is_one)
            if rest:
                return [text[:i], *rest]
    return None

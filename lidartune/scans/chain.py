"""Two taxonomies one after the other: the classes of the first are the raw ids of the second."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from lidartune.errors import UserError
from lidartune.scans.taxonomy import Taxonomy


def compose(first: Taxonomy, second: Taxonomy) -> Taxonomy:
    """A chain: the classes of `first` are the raw ids of `second`, whose classes come out; `to_raw` goes back.

    Class 0 stays class 0 where `second` does not say otherwise; a class that nothing leads to may be one of `second`
    alone, and is always written as what is ignored: any other id would be read back as another class. Labels, content
    and split are those of `first`.

    Raises:
        UserError: `second` names classes of `first` at other numbers; a class of `first` that `second` does not map, a
            class that is not read back as itself from the raw id written for it, or no id of `first` that is ignored
            where one has to be written.
    """
    _check_names(first, second)
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
    return Taxonomy(
        name=f"{first.name}+{second.name}",
        labels=first.labels,
        learning_map=MappingProxyType(learning_map),
        learning_map_inv=MappingProxyType(_back(first, second, learning_map)),
        color_map=first.color_map,
        content=first.content,
        split=first.split,
        ignore=second.ignore,
        names=second.names,
        colors=second.colors,
    )


def _check_names(first: Taxonomy, second: Taxonomy) -> None:
    """Refuses a `second` that was not written for the classes of `first`: `semantic-kitti+synlidar`.

    Its labels may be the names of these classes or of those that come out; but a class of `first` that they name at
    another number alone, which leads elsewhere, is misread.
    """
    named: dict[str, list[int]] = {}
    for number, label in second.labels.items():
        if 0 < number < first.num_classes:
            named.setdefault(_plain(label), []).append(number)
    misread = []
    for number in sorted(set(first.learning_map.values()) - {0}):
        places = named.get(_plain(first.names[number]), [number])
        leads_to = {second.learning_map.get(place) for place in places}
        if number not in places and second.learning_map.get(number) not in leads_to:
            misread.append(f"{second.labels[places[0]]!r} is {places[0]} here and {number} there")
    if misread:
        raise UserError(
            f"this taxonomy numbers the classes of {first.name!r} otherwise",
            where=f"{second.name}, key labels",
            found="; ".join(misread[:3]),
            wanted=f"the classes of {first.name!r} as its raw ids, 0..{first.num_classes - 1}",
            do=f"name a bridge that is written for these classes; a dataset's own taxonomy stands alone: {second.name}",
        )


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")


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

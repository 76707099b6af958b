"""Which sequences a command works on: a list such as 0-7,9, or a part of the taxonomy's split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lidartune.errors import UserError

if TYPE_CHECKING:
    from lidartune.scans import Taxonomy

Sequences = tuple[int, ...]
MOST_DIGITS = 4
LONGEST_SHOWN = 60
PARTS = ("train", "valid", "test")


class SequenceList(click.ParamType):
    """`8`, `0-7,9`: sequence numbers in rising order, each once."""

    name = "0-7,9"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequences:
        if isinstance(value, tuple):
            return value
        found: list[int] = []
        for part in str(value).split(","):
            first, dash, last = (text.strip() for text in part.partition("-"))
            numbers = [first, last] if dash else [first]
            if not all(n.isdecimal() and n.isascii() and len(n) <= MOST_DIGITS for n in numbers):
                shown = str(value) if len(str(value)) <= LONGEST_SHOWN else f"{str(value)[:LONGEST_SHOWN]}..."
                self.fail(f"{shown!r} is no list of sequences, such as 0-7,9,10", param, ctx)
            found += range(int(numbers[0]), int(numbers[-1]) + 1)
        if not found:
            self.fail(f"{value!r} names no sequence", param, ctx)
        return tuple(sorted(set(found)))


def chosen(taxonomy: Taxonomy, sequences: Sequences | None, part: str | None) -> Sequences | None:
    """The sequences named, or those of a part of the taxonomy's split; None where neither is given.

    Raises:
        UserError: both are given, or the taxonomy has no such part.
    """
    if part is None or sequences is not None:
        if part is not None:
            raise UserError("sequences are named twice", where="--sequences, --split", do="give one of the two")
        return sequences
    if not taxonomy.split.get(part):
        parts = [name for name in PARTS if taxonomy.split.get(name)]
        raise UserError(
            "this taxonomy names no such part of a split",
            where=taxonomy.name,
            found=", ".join(parts) or "no split",
            wanted=part,
            do="name the sequences: --sequences 0-7,9",
        )
    return tuple(sorted(taxonomy.split[part]))

"""Texts that others wrote, made harmless before anything reads them: names, reasons and notes of a study's files."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

LONGEST = 200  # characters of a name or the first line of a reason
LONGEST_NOTE = 600


def visible(text: str) -> str:
    """The text with its control characters and what is no UTF-8 written out, as `\\x1b`; line ends stay."""
    odd = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and c not in "\n\t"}
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in odd})


def plain_name(value: object, longest: int = LONGEST) -> str:
    """A value as one visible line of at most `longest` characters."""
    line = visible(" ".join(str(value)[: 4 * longest].split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def folder_name(text: str) -> str:
    """Text as the name of one folder: letters, digits, `_`, `.`, `+`, `=` and `-` only, never `.` or `..`."""
    name = re.sub(r"[^A-Za-z0-9_.+=-]", "_", text)[:LONGEST]
    return name if name.strip(".") else "_" * max(1, len(name))


def visible_texts(value: Any) -> Any:
    """A JSON value with every text in it, keys too, made `visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [visible_texts(each) for each in value]
    if isinstance(value, dict):
        return {visible(key): visible_texts(each) for key, each in value.items()}
    return value

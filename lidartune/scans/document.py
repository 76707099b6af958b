"""A YAML file as plain values. Whatever stands in it, it is read or it is a UserError that names file and line."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Hashable
from pathlib import Path

import yaml

from lidartune.errors import UserError, nearest

MOST_BYTES = 16 << 20
SHORT = reprlib.Repr()
SHORT.maxlevel = 2
LONGEST = 100
OCTAL = re.compile("[+-]?0+[1-7][0-7]+")  # 01 to 07 are what they look like, 08 is text
# What PyYAML's constructors let through for values such as `!!int ""`, `!!bool 7` or a number of 5,000 digits.
FAULTS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader in plain Python (the one in C ends the process on a deeply nested file), but stricter.

    A key that stands twice is refused, also where the two are written differently (1 and 0x1): the last one would win
    without a word. So are merge keys (`<<`), a few lines of which can stand for more entries than any memory holds, and
    whole numbers such as 010, which YAML 1.1 reads as octal: 8.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", key.start_mark)
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            self._refuse_second_key(node)
        return mapping

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        digits = str(node.value).replace("_", "")
        if OCTAL.fullmatch(digits):
            problem = f"{shown(node.value)}, which YAML reads as octal: {shown(int(digits, 8))}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_yaml_int(node)

    def _refuse_second_key(self, node: yaml.MappingNode) -> None:
        first: dict[Hashable, str] = {}
        for key, _ in node.value:
            value = self.construct_object(key)  # as it was: nodes are made once
            written = shown(key.value)
            if value in first:
                problem = f"the key {written} stands here twice"
                if first[value] != written:
                    problem = f"the keys {first[value]} and {written} are the same"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            first[value] = written


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_document(path: Path, noun: str) -> object:
    """The values of a YAML file; `noun` says what it should be, for messages.

    Raises:
        UserError: a file that cannot be read, is no text, is larger than 16 MiB, or is not valid YAML.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(
                f"this file is too large for {noun}",
                where=path,
                found=f"{size:,} bytes",
                wanted=f"at most {MOST_BYTES:,}",
                do="check the path",
            )
        text = path.read_text("utf-8")
    except OSError as error:
        raise UserError(
            f"{noun} cannot be read", where=path, found=error.strerror, do=_way_out(path, error)
        ) from None
    except UnicodeDecodeError as error:
        found = f"the byte {error.object[error.start]:#04x} at {error.start:,}, which is no UTF-8"
        raise UserError(
            f"{noun} cannot be read as text", where=path, found=found, do="check the path, or save the file as UTF-8"
        ) from None
    return parse_document(text, str(path))


def _way_out(path: Path, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return "check its type and permissions"
    beside = [other.name for other in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
    return nearest(path.name, beside) if beside else "check the path"


def parse_document(text: str, where: str) -> object:
    """The values of a YAML text; `where` is named in errors. Raises UserError as `read_document` does."""
    try:
        return yaml.load(text, Loader=_Loader)
    except FAULTS as error:
        mark = getattr(error, "problem_mark", None)
        found = getattr(error, "problem", None) or str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, RecursionError):
            found = "lists or mappings too deep inside each other"
        elif not isinstance(error, yaml.YAMLError):
            found = f"a value that cannot be what it says: {found}"
        raise UserError(
            "this file is not valid YAML",
            where=f"{where}, line {mark.line + 1}" if mark else where,
            found=found if len(found) <= LONGEST else found[:LONGEST] + " ...",
            wanted="key: value lines, each key once",
            do="mend it there",
        ) from None


def shown(value: object) -> str:
    """A value in at most about 100 characters, whatever a file made it: huge, nested or full of control characters."""
    try:
        text = SHORT.repr(value)
    except ValueError:  # Python does not print whole numbers of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else text[:LONGEST] + " ..."

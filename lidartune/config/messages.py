"""What pydantic found wrong in a study, as one message of ours."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

from lidartune.errors import UserError, nearest
from lidartune.scans.document import shown

WORDS = {
    "tuple_type": "a list, [...]",
    "list_type": "a list, [...]",
    "dict_type": "a mapping, {key: value}",
    "dataclass_type": "a mapping, {key: value}",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
}
"""What YAML calls that which pydantic names by its Python type."""
HINTS = {"search.space": "put recipe fields under finetuning: or under pretraining:"}
"""What to do with an unknown key at a place where the known ones do not say it."""


def explained(error: Any, path: str, model: type, prefix: str = "") -> UserError:
    """A validation error as one message; an unknown key names its nearest neighbour."""
    keys = [part if isinstance(part, str) and len(part) < 40 else shown(part) for part in error["loc"]]
    keys = [key for key in keys if key != "[key]"]
    where = f"{path}: {prefix}{'.'.join(keys)}"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(_model_at(model, keys[:-1]))]
        do = HINTS.get(".".join(keys[:-1])) or nearest(keys[-1], known)
        return UserError("unknown key", where=where, found=keys[-1], do=do)
    if error["type"] in ("missing", "missing_argument"):
        return UserError("a key is missing", where=where, do=f"add {keys[-1]}")
    wanted = WORDS.get(error["type"], error["msg"])
    if error["type"] == "too_short":
        wanted = f"a list of at least {error['ctx']['min_length']} values"
    found = shown(error["input"])
    return UserError("a value does not fit", where=where, found=found, wanted=wanted, do="mend this value")


def _model_at(model: Any, keys: list[str]) -> Any:
    """The dataclass that holds the keys at this place of the configuration."""
    for key in keys:
        hint = get_type_hints(model)[key]
        model = next(found for found in (hint, *get_args(hint)) if dataclasses.is_dataclass(found))
    return model

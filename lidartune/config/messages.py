"""What pydantic found wrong in a study, as one message of ours."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

from lidartune.errors import UserError, nearest
from lidartune.scans.document import shown


def explained(error: Any, path: str, model: type, prefix: str = "") -> UserError:
    """A validation error as one message; an unknown key names its nearest neighbour."""
    keys = [part if isinstance(part, str) and len(part) < 40 else shown(part) for part in error["loc"]]
    keys = [key for key in keys if key != "[key]"]
    where = f"{path}: {prefix}{'.'.join(keys)}"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(_model_at(model, keys[:-1]))]
        return UserError("unknown key", where=where, found=keys[-1], do=nearest(keys[-1], known))
    if error["type"] in ("missing", "missing_argument"):
        return UserError("a key is missing", where=where, do=f"add {keys[-1]}")
    return UserError(
        "a value does not fit", where=where, found=shown(error["input"]), wanted=error["msg"], do="mend this value"
    )


def _model_at(model: Any, keys: list[str]) -> Any:
    """The dataclass that holds the keys at this place of the configuration."""
    for key in keys:
        hint = get_type_hints(model)[key]
        model = next(found for found in (hint, *get_args(hint)) if dataclasses.is_dataclass(found))
    return model

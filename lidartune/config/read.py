"""Reading a study's YAML. A wrong key or value is one message that names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lidartune.config.checks import check
from lidartune.config.messages import explained
from lidartune.config.model import ADAPTER, StudyConfig
from lidartune.errors import UserError
from lidartune.scans.document import parse_document, read_document, shown


def load_config(
    path: Path, *, settings: Sequence[str] = (), synthetic: str | None = None, real: str | None = None
) -> StudyConfig:
    """Reads a study's YAML, with single values replaced.

    Args:
        path: the YAML file.
        settings: `a.b=c` each; `c` is read as YAML.
        synthetic, real: dataset folders. Without splits in the file they come from the taxonomy's published ones.

    Raises:
        UserError: naming the file, the key, what was found and what was wanted.
    """
    values = _read_yaml(path)
    for domain, folder in (("synthetic", synthetic), ("real", real)):
        if folder is not None:
            entry = _child(_child(values, "domains", path), domain, path)
            entry["root"] = str(Path(folder).expanduser().absolute())
            entry.setdefault("taxonomy", {"synthetic": "synlidar", "real": "semantic-kitti"}[domain])
    for setting in settings:
        _replace(values, setting, path)
    source = f"{path} with --set {' --set '.join(settings)}" if settings else str(path)
    config = _validated(values, source)
    check(config, source)
    return config


def _read_yaml(path: Path) -> dict[str, Any]:
    values = read_document(path, "the study")
    if not isinstance(values, dict):
        raise UserError(
            "the study is not a mapping",
            where=path,
            found=type(values).__name__,
            wanted="key: value",
            do="compare it with study/demo.yaml",
        )
    return values


def _child(values: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    if not isinstance(values.setdefault(key, {}), dict):
        raise UserError(
            "a setting is not a mapping", where=f"{path}: {key}", found=shown(values[key]), do="put its keys below it"
        )
    return values[key]


def _replace(values: dict[str, Any], setting: str, path: Path) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise UserError("--set takes key=value", found=setting, do="write it as in --set grid.width=[512,1024]")
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = _child(values, parent, path)
    values[last] = parse_document(text, f"--set {key}")


def _validated(values: dict[str, Any], path: str) -> StudyConfig:
    try:
        return ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise explained(first, path, StudyConfig) from None

"""Imports go one way: who knows whom is the architecture."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lidartune"
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def uses(path: Path, module: str) -> bool:
    return any(name == module or name.startswith(module + ".") for name in imported(path))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0]
    if part not in ("tuning", "cli"):
        assert not uses(path, "lidartune.tuning"), "only study/ and cli know tuning"
        assert not uses(path, "ray") and not uses(path, "optuna"), "only tuning knows ray and optuna"
    if part == "training":
        assert not uses(path, "lidartune.report")
    if part in ("transfer", "report", "scans", "canvas", "streetworld", "survey", "pictures"):
        assert not uses(path, "torch")
    if part in ("scans", "canvas", "streetworld", "backbones"):
        for later in ("training", "scoring", "runs", "transfer", "report"):
            assert not uses(path, f"lidartune.{later}"), f"{part} comes before {later}"
    assert not uses(path, "pickle"), "nothing of a results folder is ever unpickled"


def test_the_rule_sees_an_import_inside_a_function(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def f():\n    from lidartune.tuning import driver\n")
    assert uses(path, "lidartune.tuning")

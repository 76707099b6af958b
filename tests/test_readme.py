"""README, docs and code say the same."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import yaml

ROOT = Path(__file__).parents[1]


def refresh() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refresh_demo", ROOT / "docs" / "refresh_demo.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_s_figures_in_readme_are_those_of_its_report() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    report = (ROOT / "docs" / "demo.md").read_text("utf-8")
    assert refresh().readme_with(readme, report) == readme
    assert len(re.findall(r"^\| (?:squeezesegv2|darknet21) ", readme, re.MULTILINE)) == 4


def test_what_readme_names_is_there() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text("utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name} links {target}"
        for target in re.findall(r"`((?:study|docs|tests|benchmarks|lidartune)/[\w/.-]+)`", text):
            assert (ROOT / target).exists(), f"{page.name} names {target}"


def test_the_pinned_torch_is_the_one_that_readme_names() -> None:
    constraints = (ROOT / "constraints.txt").read_text()
    pinned = re.search(r"^torch==(\S+)$", constraints, re.MULTILINE)
    assert pinned and f"torch=={pinned[1]}" in (ROOT / "README.md").read_text("utf-8")


def test_the_demo_is_the_study_that_readme_describes() -> None:
    demo = yaml.safe_load((ROOT / "study" / "demo.yaml").read_text())
    assert demo["grid"]["pretrain_epochs"] == [0, 3, 12] and len(demo["grid"]["seed"]) == 3

"""Names, notes and reasons that somebody else wrote are text, and only text, in every form of the tables."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from lidartune.errors import UserError
from lidartune.report import load_study
from lidartune.report.exports import FORMS, latex_text, markdown, write_tables
from lidartune.report.plain_text import plain_name
from lidartune.report.tables import TABLES, all_tables
from lidartune.report.terminal import print_tables

from .made_up_study import edit, make_study

HOSTILE = (
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "  =1+1", "＝1+1", "=HYPERLINK(\"http://x\",\"y\")",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;script&gt;", "../../etc/passwd", "..\\..\\x",
    "\\input{/etc/passwd}", "\\write18{ls}", "}\\end{tabular}", "a & b % c # d $x^2$ ~ _", "[red]bold[/red]", "[/]",
    "a|b|c", "`x` *y* _z_ [a](javascript:b)", "# heading", "- item", "1. item", "=====", "***", "$\\href{x}{y}$",
    "line\nbreak\r\nagain", "\x1b[31mred\x1b[0m\x1b]0;title\x07", "nul\x00bell\x07", "\u202etxt.exe", "zero\u200bwidth",
    "half \ud83d surrogate", "\u2028para", "\x85next", "[1cm]", "*", "straße Ærø 中文 😀", "x" * 5000, "", " ",
)  # fmt: skip


def hostile_study(root: Path) -> Path:
    """Every text that a study can hold is a hostile one; every list of them goes through all."""
    names = ["ignored", *HOSTILE[:19]]
    study = make_study(root, seeds=(0, 1), pretrain_epochs=(0, 3), labelled=(8, 16), names=names)

    def spoil(plan: dict[str, Any]) -> None:
        plan["study"] = HOSTILE[8]
        plan["notes"] = list(HOSTILE)
        plan["excluded"] = [{"cell": {"freeze": name}, "reason": name} for name in HOSTILE]
        cells = [cell for cell in plan["cells"] if cell["pretrain_epochs"] and cell["labelled_scans"] == 8]
        for name in HOSTILE:  # a setting for each, of the runs of another
            plan["cells"] += [cell | {"backbone": name, "freeze": name} for cell in cells]

    edit(study / "plan.json", spoil)
    edit(study / "manifest.json", lambda m: m.update(notes=list(HOSTILE)))
    cell = json.loads((study / "plan.json").read_text())["cells"][0]
    search = {
        "points": [{"point": name, "kind": name, "status": name, name: name} for name in HOSTILE],
        "importances": {name: {name: 0.5} for name in HOSTILE},
        "judged": [{"recipe": name, "kind": name, "cell": cell} for name in HOSTILE],
    }
    (study / "points.json").write_text(json.dumps(search))
    runs = sorted(p.name for p in (root / "runs").glob("*-p3-*real-n*"))
    for run, name in zip(runs, HOSTILE[8:], strict=False):
        (root / "runs" / run / "epoch-000004" / "test" / "commit.json").unlink(missing_ok=True)
        edit(study / "failures.json", lambda f, run=run, name=name: f.update({run: {"kind": name, "message": name}}))
    return study


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The report's folder, and what was printed."""
    folder = tmp_path_factory.mktemp("hostile")
    results = load_study(hostile_study(folder / "study"))
    write_tables(results, folder)
    (folder / "report.md").write_text(markdown(results), encoding="utf-8")
    out = io.StringIO()
    for only in ((), list(all_tables(results))):
        print_tables(results, Console(file=out, width=120, force_terminal=False), only=only)
    return folder, out.getvalue()


def is_harmless(text: str) -> bool:
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


def test_every_table_is_there_in_every_form(report: tuple[Path, str]) -> None:
    names = {table.name for table in TABLES} - {"ladder"}
    assert {p.name for p in report[0].iterdir()} >= {f"{name}.{form}" for name in names for form in FORMS}


def test_csv_holds_no_formula_and_no_control_character(report: tuple[Path, str]) -> None:
    seen = 0
    for file in report[0].glob("*.csv"):
        rows = list(csv.reader(file.open(encoding="utf-8", newline="")))
        assert len({len(row) for row in rows}) == 1, file.name
        for field in (field for row in rows[1:] for field in row):
            seen += "SUM(A1)" in field
            number = re.fullmatch(r"-?\d+(\.\d+)?", field)
            assert is_harmless(field) and (number or not re.match(r"\s*[=+\-@＝＋－＠]", field)), (file.name, field)
            assert len(field) <= 500, (file.name, field[:50])
    assert seen > 10


def test_parquet_can_be_read_and_holds_no_control_character(report: tuple[Path, str]) -> None:
    for file in report[0].glob("*.parquet"):
        frame = pd.read_parquet(file)
        assert len(frame) == len(pd.read_csv(file.with_suffix(".csv")))
        for column in frame.select_dtypes(exclude="number").columns:
            assert all(is_harmless(str(value)) for value in frame[column]), (file.name, column)


def test_markdown_holds_our_headings_and_tables_and_nothing_else_but_text(report: tuple[Path, str]) -> None:
    reader = MarkdownIt("commonmark").enable("table")
    ours = {"heading", "inline", "table", "thead", "tbody", "tr", "th", "td", "paragraph", "bullet_list", "list_item"}
    for file in report[0].glob("*.md"):
        text = file.read_text(encoding="utf-8")
        assert is_harmless(text.replace("\n", "")), file.name
        tokens = reader.parse(text)
        kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
        assert kinds <= ours, (file.name, kinds - ours)
        inline = [child for token in tokens for child in token.children or []]
        assert {child.type for child in inline} <= {"text", "text_special", "softbreak", "hardbreak"}, file.name
        headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
        assert all(re.match("[A-Z]", heading) for heading in headings), headings
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()}) == 1, file.name
        assert not re.search(r"(?<!\\)(?:\\\\)*\$", text), file.name  # no formula


COMMANDS = {
    "begin", "end", "toprule", "midrule", "bottomrule", "textbackslash", "textasciitilde", "textasciicircum", "to",
    "pm", "textless", "textgreater", "textbar", "times", "dots",
}  # fmt: skip


def test_latex_has_only_the_commands_of_a_table(report: tuple[Path, str]) -> None:
    for file in report[0].glob("*.tex"):
        text = file.read_text(encoding="utf-8")
        body, _, comments = text.partition("\\end{tabular}")
        assert all(line.startswith("% ") for line in comments.strip().splitlines()), file.name
        commands = re.findall(r"\\([a-zA-Z]+|.)", body.replace("\\\\\n", "\n"))
        assert set(commands) <= COMMANDS | set("&%$#_{}"), (file.name, set(commands) - COMMANDS)
        assert body.count("\\begin") == 1 and not re.search(r"(?<!\\)%|(?<!\\)#|(?<!\\)~|(?<!\\)\^", body), file.name
        plain = re.sub(r"\\[&%$#_{}]", "", body.replace("\\\\\n", "\n"))
        assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0, file.name
        rows = [line for line in plain.splitlines() if "&" in line]
        assert len({row.count("&") for row in rows}) == 1, file.name
        assert not any(re.match(r"\s*[\[*]", row) for row in rows), file.name  # \\ would take it as its argument


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\\input{x}", r"\textbackslash{}input\{x\}"), ("[1cm]", "{}[1cm]"), ("* a", "{}* a"), ("größe", "größe"),
        ("中😀", "U+4E2DU+1F600"), ("a\nb", "a b"), ("50 % & $", r"50 \% \& \$"), ('"a|b"', r"''a\textbar{}b''"),
    ],
)  # fmt: skip
def test_latex_text(text: str, wanted: str) -> None:
    assert latex_text(text) == wanted


def test_the_terminal_shows_markup_and_escapes_as_text(report: tuple[Path, str]) -> None:
    text = report[1]
    assert is_harmless(text.replace("\n", "").replace("\t", ""))
    assert "[red]bold[/red]" in text and "\\x1b[31mred" in text


def test_a_long_name_is_cut_and_odd_characters_are_written_out() -> None:
    assert len(plain_name("x" * 5000)) == 200 and plain_name("x" * 200) == "x" * 200
    assert plain_name("a\x1b[0m\n\u202eb \ud83d") == "a\\x1b[0m \\u202eb \\ud83d"
    assert plain_name("straße 中文") == "straße 中文"


@pytest.mark.parametrize("run", ["../outside", "/etc", "..", "a/b", "a\\b", "", "x\x1b"])
def test_a_plan_that_names_a_folder_elsewhere_is_not_followed(tmp_path: Path, run: str) -> None:
    study = make_study(tmp_path / "in", seeds=(0,), curves=False)
    cell = json.loads((study / "plan.json").read_text())["cells"][0]
    real = tmp_path / "in" / "runs" / cell["roles"]["finetuned"]["run"]
    real.rename(tmp_path / "in" / "outside")
    edit(study / "plan.json", lambda plan: plan["cells"][0]["roles"]["finetuned"].update(run=run))
    (cell,) = load_study(study).cells
    assert cell.status == "missing" and "no name of a folder" in cell.reason


@pytest.mark.parametrize(
    "damage",
    [
        {"cells": [{}]}, {"cells": "x"}, {"classes": 3}, {"updates_per_epoch": "many"}, {"cells": [{"roles": []}]},
        {"ladder_excluded": ["x"]}, {"finetune_epochs": None}, {"excluded": ["x"]}, {"excluded": [{"cell": "x"}]},
    ],
)  # fmt: skip
def test_a_damaged_plan_is_one_message(tmp_path: Path, damage: dict[str, Any]) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    edit(study / "plan.json", lambda plan: plan.update(damage))
    with pytest.raises(UserError, match="the study's plan is damaged"):
        load_study(study)


@pytest.mark.parametrize(
    "manifest", ['{"notes": 3, "domains": []}', '{"domains": {"real": {"scans": {"train": "x"}}}}', "[", "3"]
)
def test_a_damaged_manifest_is_as_none(tmp_path: Path, manifest: str) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    (study / "manifest.json").write_text(manifest)
    (study / "failures.json").write_text('{"a": 3}')
    results = load_study(study)
    assert results.notes == () and results.real_scans is None and not results.failures

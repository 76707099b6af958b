"""Writes a comparison of studies, and prints it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

import pandas as pd

from lidartune import html
from lidartune.errors import UserError
from lidartune.report.compare import differ, texts
from lidartune.report.compare.figures import Pair, Side, compared_table, overall_table
from lidartune.report.csv_files import csv_text
from lidartune.report.exports import latex, markdown_table, one_line, one_type_a_column
from lidartune.report.results import StudyResults, load_study
from lidartune.report.terminal import print_table
from lidartune.report.texts import TextTable
from lidartune.whole_file import write_whole

if TYPE_CHECKING:
    from rich.console import Console

NAMES = ("compare", "compare_overall", "compare_differences")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two studies compared: frames and texts by the names of NAMES, and what is said of them."""

    said: list[str]
    warned: list[str]
    absent: list[str]
    frames: dict[str, pd.DataFrame]
    texts: dict[str, TextTable]


def compare_studies(folders: Sequence[Path], output: Path | None = None, *, console: Console | None = None) -> Path:
    """Compares the first study with each of the others; returns the folder of the files.

    Args:
        folders: of studies, two or more.
        output: where compare.csv, .parquet, .md, .tex and .html and two smaller tables go; by default `report/compare`
            in the first study's folder.
        console: where it is printed; None prints nothing.

    Raises:
        UserError: a folder is none of a study, or a file cannot be written.
    """
    if not 2 <= len(folders) <= len(ascii_uppercase):
        raise UserError("two studies or more are compared", found=len(folders), wanted=f"2 to {len(ascii_uppercase)}")
    studies = [load_study(folder) for folder in folders]
    sides = [Side(letter=letter, results=each) for letter, each in zip(ascii_uppercase, studies, strict=False)]
    found = [compare(Pair(first=sides[0], other=other)) for other in sides[1:]]
    folder = output if output is not None else studies[0].folder / "report" / "compare"
    _write(found, [side.results for side in sides], folder)
    if console is not None:
        for each in found:
            _print(each, console)
    return folder


def compare(pair: Pair) -> Comparison:
    """All that is said of two studies."""
    compared, differences = compared_table(pair), differ.differences_table(pair)
    overall = overall_table(pair, compared)
    return Comparison(
        said=texts.sentences(pair, compared, overall, differences),
        warned=differ.warnings(pair),
        absent=texts.not_matched(pair, compared),
        frames=dict(zip(NAMES, (compared, overall, differences), strict=True)),
        texts=dict(
            zip(
                NAMES,
                (
                    texts.settings_text(pair, compared),
                    texts.overall_text(pair, overall),
                    texts.differences_text(pair, differences),
                ),
                strict=True,
            )
        ),
    )


def _write(found: list[Comparison], studies: list[StudyResults], folder: Path) -> None:
    for name in NAMES:
        frame = pd.concat([each.frames[name] for each in found], ignore_index=True)
        parquet = io.BytesIO()
        one_type_a_column(frame).to_parquet(parquet)
        shown = [each.texts[name] for each in found if each.texts[name].rows]
        write_whole(folder / f"{name}.csv", csv_text(frame))
        write_whole(folder / f"{name}.parquet", parquet.getvalue())
        write_whole(folder / f"{name}.tex", "\n".join(map(latex, shown)))
    title = "Studies compared: " + ", ".join(study.name for study in studies)
    write_whole(folder / "compare.md", _markdown(title, found))
    write_whole(folder / "compare.html", _page(title, found))


def _markdown(title: str, found: list[Comparison]) -> str:
    parts = [markdown_table(TextTable(title=title, heads=[], rows=[], left=0)).splitlines()[0][1:]]
    for each in found:
        lines = TextTable(title="In words", heads=["what"], rows=[[s] for s in _all_lines(each)], left=1)
        parts += [markdown_table(table) for table in (lines, *each.texts.values()) if table.rows]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _all_lines(each: Comparison) -> list[str]:
    return [*each.said, *each.warned, *each.absent]


def _page(title: str, found: list[Comparison]) -> str:
    parts = []
    for each in found:
        parts += [html.paragraphs(each.said, "say"), html.paragraphs([*each.warned, *each.absent], "warn")]
        for table in each.texts.values():
            if table.rows:
                heads = [one_line(head) for head in table.heads]
                parts.append(f"<h2>{escape(table.title)}</h2>{html.table(heads, table.rows, left=table.left)}")
                parts.append(html.paragraphs(table.notes, "soft"))
    return html.page(title, parts)


def _print(each: Comparison, console: Console) -> None:
    from rich.text import Text

    for table in each.texts.values():
        if table.rows:
            print_table(table, console)
    for line in [*each.warned, *each.absent]:
        console.print(Text(line, style="yellow"))
    for line in each.said:
        console.print(Text(line, style="bold"))

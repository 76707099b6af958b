"""Tables as files: CSV, Parquet, Markdown and LaTeX, and the page of text that holds the short ones."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

import pandas as pd

from lidartune.report.csv_files import write_csv
from lidartune.report.headline import headline
from lidartune.report.ladder import ladder_text
from lidartune.report.results import StudyResults
from lidartune.report.tables import TABLES, all_tables, all_texts
from lidartune.report.texts import TextTable, absent_lines, caption

FORMS = ("csv", "parquet", "md", "tex")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\to$", "±": r"$\pm$", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "–": "--", "×": r"$\times$", "…": r"\dots{}",
}  # fmt: skip


def write_tables(results: StudyResults, folder: Path) -> None:
    """Every table of the study in every form; files of those that it has not, from a report before, are taken away."""
    frames, texts = all_tables(results), all_texts(results)
    for table in TABLES:
        files = {form: folder / f"{table.name}.{form}" for form in FORMS}
        if table.name not in frames:
            for file in files.values():
                file.unlink(missing_ok=True)
            continue
        write_csv(frames[table.name], files["csv"])
        one_type_a_column(frames[table.name]).to_parquet(files["parquet"])
        files["md"].write_text(markdown_table(texts[table.name]), encoding="utf-8", newline="\n")
        files["tex"].write_text(latex(texts[table.name]), encoding="utf-8", newline="\n")


def one_type_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as Arrow can hold it: columns that may hold numbers and words (`all`, `checkpoint`) as words."""
    mixed = [c for c in frame.columns if frame[c].dtype == object and {type(v) for v in frame[c]} != {str}]
    mixed += ["labelled_scans"] if "labelled_scans" in frame.columns else []
    return frame.astype(dict.fromkeys(mixed, str))


def one_line(head: str) -> str:
    """A two-line head of the terminal on one line."""
    return {"fine-\ntuned": "fine-tuned"}.get(head, head.replace("-\n", "").replace("\n", " "))


def markdown(results: StudyResults) -> str:
    """report.md: what the terminal shows, as Markdown."""
    lines = [f"# Transfer study {_markdown_text(results.name)}", ""]
    lines += [f"- {_markdown_text(line)}" for line in headline(results)]
    lines += ["", *(f"{_markdown_text(line)}  " for line in caption(results))]
    texts = dict(all_texts(results))
    for ladder in ladder_text(results, sentences=True):
        texts["ladder"] = ladder
    lines += [f"\n{markdown_table(texts[t.name]).rstrip()}" for t in TABLES if t.printed and t.name in texts]
    absent = absent_lines(results)
    if absent:
        lines += ["", "## Not there", "", *(f"- {_markdown_text(line)}" for line in absent)]
    return "\n".join(lines) + "\n"


def markdown_table(table: TextTable) -> str:
    """One table with its title and notes."""
    heads = [_markdown_text(one_line(head)) for head in table.heads]
    rule = [":--" if i < table.left else "--:" for i in range(len(heads))]
    rows = [heads, rule, *([_markdown_text(text) for text in row] for row in table.rows)]
    lines = [f"## {_markdown_text(table.title)}", "", *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join([*lines, "", *(f"{_markdown_text(note)}  " for note in table.notes)]) + "\n"


def latex(table: TextTable) -> str:
    """A tabular for a paper that loads booktabs; its notes are comments."""
    columns = "l" * table.left + "r" * (len(table.heads) - table.left)
    rows = [" & ".join(latex_text(text) for text in row) + r" \\" for row in table.rows]
    heads = " & ".join(latex_text(one_line(head)) for head in table.heads) + r" \\"
    parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", heads, r"\midrule", *rows, r"\bottomrule"]
    notes = (f"% {' '.join(note.split())}" for note in table.notes)
    return "\n".join([*parts, r"\end{tabular}", *notes]) + "\n"


@lru_cache(maxsize=10_000)  # most fields of a table are there many times
def latex_text(text: str) -> str:
    """Text as LaTeX prints it, with any engine: no command, and no character that its fonts may lack."""
    escaped = "".join(_latex_character(character) for character in " ".join(text.split()))
    return f"{{}}{escaped}" if escaped[:1] in ("[", "*") else escaped  # after \\ either would be read as its argument


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii() and character.isprintable():
        return character
    parts = unicodedata.normalize("NFKD", character)
    accented = 0xC0 <= ord(character) <= 0x17F and len(parts) == 2 and parts[0].isascii() and parts[0].isalpha()
    return character if accented or character in "ßæøœłÆØŒŁ" else f"U+{ord(character):04X}"


@lru_cache(maxsize=10_000)
def _markdown_text(text: str) -> str:
    """Text that Markdown shows as it is: no HTML, no table edges, no heading, list, link, formula, emphasis or code."""
    text = " ".join(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())
    text = re.sub(r"([\\|`*_\[\]~$])", r"\\\1", text)
    return re.sub(r"^(\d*)([#+=.)-])(?=\s|[#=-]|$)", r"\1\\\2", text)

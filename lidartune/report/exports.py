"""The two tables of the terminal as Markdown and LaTeX."""

from __future__ import annotations

from lidartune.report.headline import headline
from lidartune.report.ladder import ladder_text
from lidartune.report.results import StudyResults
from lidartune.report.texts import TextTable, absent_lines, caption, gap_text, matrix_text

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\to$", "±": r"$\pm$", "<": r"\textless{}",
    ">": r"\textgreater{}", "–": "--",
}  # fmt: skip


def one_line(head: str) -> str:
    """A two-line head of the terminal on one line."""
    return {"fine-\ntuned": "fine-tuned"}.get(head, head.replace("-\n", "").replace("\n", " "))


def markdown(results: StudyResults) -> str:
    """report.md: what the terminal shows, as Markdown."""
    lines = [f"# Transfer study {_markdown_text(results.name)}", ""]
    lines += [f"- {_markdown_text(line)}" for line in headline(results)]
    lines += ["", *(f"{_markdown_text(line)}  " for line in caption(results))]
    for table in (gap_text(results), matrix_text(results), *ladder_text(results, sentences=True)):
        heads = [_markdown_text(one_line(head)) for head in table.heads]
        rule = [":--" if i < table.left else "--:" for i in range(len(heads))]
        rows = [heads, rule, *([_markdown_text(text) for text in row] for row in table.rows)]
        lines += ["", f"## {table.title}", "", *("| " + " | ".join(row) + " |" for row in rows)]
        lines += ["", *(f"{_markdown_text(note)}  " for note in table.notes)]
    absent = absent_lines(results)
    if absent:
        lines += ["", "## Not there", "", *(f"- {_markdown_text(line)}" for line in absent)]
    return "\n".join(lines) + "\n"


def latex(table: TextTable) -> str:
    """A tabular for a paper that loads booktabs."""
    columns = "l" * table.left + "r" * (len(table.heads) - table.left)
    rows = [" & ".join(_latex_text(text) for text in row) + r" \\" for row in table.rows]
    heads = " & ".join(_latex_text(one_line(head)) for head in table.heads) + r" \\"
    parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", heads, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([*parts, r"\end{tabular}", *(f"% {note}" for note in table.notes)]) + "\n"


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _markdown_text(text: str) -> str:
    """Text that Markdown shows as it is: no HTML, no table edges, no links, emphasis or code."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", " ").replace("\n", " ")
    for mark in ("\\", "|", "`", "*", "_", "[", "]"):
        text = text.replace(mark, f"\\{mark}")
    return text

"""report/index.html: one self-contained file, nothing fetched from anywhere, every name escaped."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import pandas as pd

from lidartune import html
from lidartune.report.committed import committed_file
from lidartune.report.exports import one_line
from lidartune.report.groups import pretraining_words
from lidartune.report.headline import headline
from lidartune.report.ladder import ladder_text
from lidartune.report.results import CellResult, StudyResults
from lidartune.report.texts import NA, TextTable, absent_lines, caption, gap_text, matrix_text, percent


def write_page(results: StudyResults, per_class: pd.DataFrame, figures: dict[str, Path], path: Path) -> None:
    """Writes the page.

    Args:
        per_class: the frame of tables.per_class_table.
        figures: title -> SVG file, put in as it is (figures.py escapes what it draws).
    """
    parts = [
        html.paragraphs(caption(results), "soft"),
        html.paragraphs(headline(results), "say"),
        html.paragraphs(absent_lines(results), "warn"),
    ]
    tables = (gap_text(results), matrix_text(results), *ladder_text(results, sentences=True))
    parts += [_table(table) for table in tables]
    parts += [f"<h2>{escape(name)}</h2>{html.svg_file(file)}" for name, file in figures.items()]
    parts += [_pictures(results), _per_class(results, per_class), _excluded(results), _failures(results)]
    path.write_text(html.page(f"Transfer study {results.name}", parts), encoding="utf-8", newline="\n")


def _table(table: TextTable) -> str:
    heads = [one_line(head) for head in table.heads]
    notes = html.paragraphs(table.notes, "soft")
    return f"<h2>{escape(table.title)}</h2>{html.table(heads, table.rows, left=table.left)}{notes}"


def _pictures(results: StudyResults) -> str:
    """The fixed test scan before and after fine-tuning, of the first cell that has it."""
    for cell in sorted(results.cells, key=lambda c: (c.status != "done", c.pretrain_epochs == 0)):
        found = [
            (role, domain, png)
            for role, domain in (
                ("start", "real"),
                ("finetuned", "real"),
                ("scratch", "real"),
                ("finetuned", "synthetic"),
            )
            if (png := _picture(results, cell, role, domain)) is not None
        ]
        if found:
            setting = (
                f"{cell.backbone}, width {cell.width}, {pretraining_words(cell.pretrain_epochs)}, seed {cell.seed}"
            )
            figures = "".join(
                f"<figure><img alt='{escape(caption_)}' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"
                f"<figcaption>{escape(caption_)}</figcaption></figure>"
                for role, domain, png in found
                if (caption_ := f"{role.replace('_', ' ')}, a {domain} test scan: range, prediction, truth, error")
            )
            return f"<h2>One scan</h2><p class='soft'>{escape(setting)}</p>{figures}"
    return ""


def _picture(results: StudyResults, cell: CellResult, role: str, domain: str) -> bytes | None:
    place = cell.roles.get(role)
    if place is None or place.score is None:
        return None
    return committed_file(results.runs_root / place.run, place.epoch, "test", f"picture-{domain}.png")[0]


def _per_class(results: StudyResults, frame: pd.DataFrame) -> str:
    heads = ("class", "S→R", "fine-tuned", "scratch", "gain, equal fine-tuning", "95 % interval", "negative transfer")
    parts: list[str] = []
    keys = ["backbone", "width", "pretrain_epochs", "freeze", "labelled_scans"]
    for key, rows in frame.groupby(keys, sort=False) if len(frame) else []:
        if key[2] == 0:
            continue
        body = []
        for row in rows.to_dict("records"):
            if row["in_real_test"] != "yes":
                continue
            gain, low, high = (row[f"gain_equal_finetuning{end}"] for end in ("", "_low", "_high"))
            bad = row["negative_transfer_equal_finetuning"]
            figures = [percent(row[name]) for name in ("synthetic_to_real", "finetuned", "scratch")]
            figures += [NA if pd.isna(gain) else f"{100 * gain:+.1f}"]
            figures += [NA if pd.isna(low) else f"{100 * low:+.1f} to {100 * high:+.1f}", bad or NA]
            body.append([str(row["name"]), *figures])
        label = escape(
            f"{key[0]}, width {key[1]}, {pretraining_words(key[2])}, freeze {key[3]}, {key[4]} real scans"
        )
        table = html.table(heads, body, cell_class=lambda text: "bad" if text == "yes" else html.plain_class(text))
        parts.append(f"<details{'' if parts else ' open'}><summary>{label}</summary>{table}</details>")
    if not parts:
        return ""
    absent = [n for i, n in enumerate(results.classes) if i and not results.class_sets["real"][i]]
    note = f"Not in the real test split, so n/a: {', '.join(absent)}. " if absent else ""
    note += "With many classes and settings, about one flag in forty comes by chance."
    return "<h2>Per class</h2>" + html.paragraphs([note], "soft") + "".join(parts)


def _excluded(results: StudyResults) -> str:
    if not results.excluded:
        return ""
    items = "".join(
        f"<li>{escape(', '.join(f'{k} {v}' for k, v in dict(e.get('cell') or {}).items() if k != 'roles'))}: "
        f"{escape(str(e.get('reason', '')))}</li>"
        for e in results.excluded
    )
    return f"<h2>Left out of the plan</h2><ul class='soft'>{items}</ul>"


def _failures(results: StudyResults) -> str:
    if not results.failures:
        return ""
    items = "".join(
        f"<details><summary>{escape(run)}: {escape(str(f.get('kind', 'failed')))}</summary>"
        f"<pre>{escape(str(f.get('message', '')))}\n{escape(str(f.get('log') or ''))}</pre></details>"
        for run, f in sorted(results.failures.items())
    )
    return f"<h2>Failures</h2>{items}"

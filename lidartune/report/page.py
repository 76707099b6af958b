"""report/index.html: one self-contained file, nothing fetched from anywhere, every name escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from lidartune import html
from lidartune.report.chart import chart_data
from lidartune.report.exports import one_line
from lidartune.report.figures import Drawn
from lidartune.report.figures.pictures import Picture
from lidartune.report.figures.telling import best_and_worst
from lidartune.report.groups import KEY
from lidartune.report.headline import headline
from lidartune.report.ladder import ladder_text
from lidartune.report.opening import opening
from lidartune.report.opening_marks import opening_list
from lidartune.report.results import StudyResults
from lidartune.report.tables import all_tables, all_texts
from lidartune.report.texts import KEY_HEADS, TextTable, absent_lines, count, meaning

FOLDER = "figures"  # beside the page
CHART = ("chosen.js", "drawing.js", "reading.js", "choosing.js")
MOST_CLASS_ROWS = 1200  # of more, the page shows two settings: per_class.csv has them all


def write_page(results: StudyResults, drawn: dict[str, Drawn], pictures: Sequence[Picture], path: Path) -> None:
    """Writes the page.

    Args:
        drawn: the study's figures, by name; their SVG is put in as it is (what they draw, they escape).
    """
    frames, texts = all_tables(results), all_texts(results)
    chart = chart_data(results, frames["gap"])

    def tables(*names: str) -> str:
        return "".join(_table(texts[name]) for name in names if name in texts)

    sections = [
        ("What the search comes to", tables("judged")),
        ("Learning curves", _curves(chart, drawn["curves"])),
        ("Gap and gains", tables("gap") + _figures(drawn, "gain", "heatmap")),
        ("What it depends on", tables("effects", "summary") + _figures(drawn, "epochs")),
        ("Labelled scans", tables("label_efficiency") + _figures(drawn, "labels")),
        ("Trained on, scored on", tables("matrix")),
        ("The ladder", "".join(map(_table, ladder_text(results, sentences=True))) + _figures(drawn, "ladder")),
        ("Class by class", _figures(drawn, "classes", "confusion") + _classes(texts["per_class"], frames["gap"])),
        ("One scan", _pictures(pictures)),
        ("The search", _figures(drawn, "search") + tables("points", "importances")),
        ("Ranking and speed", tables("ranking", "learning", "forgetting", "ceilings", "cost")),
        ("Every cell", tables("cells")),
        ("Left out", _excluded(results) + _not_drawn(drawn)),
        ("Failures", _failures(results)),
    ]
    sections = [(title, inside) for title, inside in sections if inside]
    parts = [
        f"<p class='facts'>{escape(_facts(results))}</p>",
        html.paragraphs(results.notes, "soft"),
        opening_list(opening(results, frames)),
        _folded("The same with every interval and count of seeds", html.paragraphs(headline(results), "say")),
        html.paragraphs(absent_lines(results), "warn"),
        _folded("What the figures are", html.paragraphs(meaning(results), "soft")),
        _contents([title for title, _ in sections]),
        *(f"<section id='{_anchor(t)}'><h2>{escape(t)}</h2>{inside}</section>" for t, inside in sections),
    ]
    script = f"(() => {{\n{''.join(map(_asset, CHART))}}})();\n" if chart["settings"] and drawn["curves"].svg else ""
    text = html.page(f"Transfer study {results.name}", parts, style=_asset("report.css"), script=script)
    path.write_text(text, encoding="utf-8", newline="\n")


def _asset(name: str) -> str:
    return resources.files("lidartune.report").joinpath("viewer", name).read_text("utf-8")


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-").replace(",", "")


def _contents(titles: Sequence[str]) -> str:
    links = "".join(f"<a href='#{_anchor(title)}'>{escape(title)}</a>" for title in titles)
    return f"<nav class='contents' aria-label='contents'>{links}</nav>"


def _folded(summary: str, inside: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>" if inside else ""


def _facts(results: StudyResults) -> str:
    """One line: how much is done, and the values of each axis."""
    done = sum(cell.status == "done" for cell in results.cells)
    parts = [f"{done} of {count(len(results.cells), 'cell')} done"]
    if results.cells:
        values = list(zip(*(cell.key for cell in results.cells), strict=True))
        backbones, widths, epochs, freezes, scans = (", ".join(dict.fromkeys(map(str, v))) for v in values)
        seeds = len({cell.seed for cell in results.cells})
        parts += [count(seeds, "seed"), backbones, f"width {widths}", f"pretraining epochs {epochs}"]
        parts += [f"freeze {freezes}", f"labelled real scans {scans}"]
    return " · ".join(parts)


def _table(table: TextTable, first: dict[str, str] | None = None) -> str:
    heads = [one_line(head) for head in table.heads]
    drawn = html.table(heads, table.rows, left=table.left, name=table.title, first=first, cell_class=_kind)
    return f"<h3>{escape(table.title)}</h3>{drawn}{html.paragraphs(table.notes, 'soft')}"


def _kind(text: str) -> str:
    return "bad" if text in ("yes", "failed", "blocked") else html.plain_class(text)


def _figures(drawn: dict[str, Drawn], *names: str) -> str:
    return "".join(
        f"<h3>{escape(figure.title)}</h3>{html.svg_file(figure.svg, figure.title, figure.note)}"
        for name in names
        if (figure := drawn[name]).svg is not None
    )


def _curves(chart: dict[str, Any], figure: Drawn) -> str:
    """The chart where scripts run; the figure where they do not, and on paper."""
    if figure.svg is None:
        return ""
    drawn = html.svg_file(figure.svg, figure.title, figure.note)
    if not chart["settings"]:
        return drawn
    said = (
        "Choose settings to compare. The frame begins with pretraining; a hollow mark is epoch 0 of fine-tuning, "
        "scored before its first update. Point at a curve, or reach the chart with Tab and read it with the arrow keys."
    )
    return (
        f"<p class='soft'>{said}</p><div id='chart' class='chart' hidden></div>{html.data('curves', chart)}"
        f"<details class='still' open><summary>As a figure (curves.svg, curves.png)</summary>{drawn}</details>"
    )


def _classes(table: TextTable, gap: pd.DataFrame) -> str:
    """The table of classes, filtered at first to the setting with the largest gain."""
    if not table.rows:
        return ""
    places = {one_line(head): part for head, part in zip(KEY_HEADS, KEY, strict=True)}
    columns = {head: at for at, head in enumerate(map(one_line, table.heads)) if at < table.left and head in places}
    settings = [{head: str(row[places[head]]) for head in columns} for _, row in best_and_worst(gap)]
    rows, notes = table.rows, table.notes
    if len(rows) > MOST_CLASS_ROWS and settings:
        rows = [row for row in rows if {head: row[at] for head, at in columns.items()} in settings]
        notes = ["Of the settings with the largest and the smallest gain; per_class.csv has all.", *notes]
    return _table(replace(table, rows=rows, notes=notes), settings[0] if settings else None)


def _pictures(pictures: Sequence[Picture]) -> str:
    """The fixed real test scan of the best and the worst setting, at each stage."""
    parts = []
    for (what, setting), group in groupby(pictures, key=lambda p: (p.what, p.setting)):
        parts.append(f"<h3>{escape(what[0].upper() + what[1:])}</h3><p class='soft'>{escape(setting)}</p>")
        for picture in group:
            said = escape(f"{picture.stage}: a real test scan, range, prediction, truth and error")
            image = f"<img alt='{said}' src='data:image/png;base64,{base64.b64encode(picture.png).decode()}'>"
            parts.append(f"<figure class='scan'><figcaption>{said}</figcaption>")
            parts.append(f"<div class='wide' tabindex='0'>{image}</div></figure>")
    return "".join(parts)


def _not_drawn(drawn: dict[str, Drawn]) -> str:
    absent = [figure for figure in drawn.values() if figure.svg is None]
    items = "".join(f"<li>{escape(figure.title)}: {escape(figure.note)}.</li>" for figure in absent)
    return f"<h3>Figures that this study has no data for</h3><ul class='soft absent'>{items}</ul>" if items else ""


def _excluded(results: StudyResults) -> str:
    if not results.excluded:
        return ""
    items = "".join(
        f"<li>{escape(', '.join(f'{k} {v}' for k, v in e['cell'].items() if k != 'roles'))}: "
        f"{escape(str(e.get('reason', '')))}</li>"
        for e in results.excluded
    )
    return f"<h3>Cells that the plan leaves out</h3><ul class='soft absent'>{items}</ul>"


def _failures(results: StudyResults) -> str:
    return "".join(
        f"<details><summary>{escape(run)}: {escape(str(f.get('kind', 'failed')))}</summary>"
        f"<pre>{escape(str(f.get('message', '')))}\n{escape(str(f.get('log') or ''))}</pre></details>"
        for run, f in sorted(results.failures.items())
    )

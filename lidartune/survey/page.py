"""A survey as a page of one file, with figures and with tables that sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from lidartune import html
from lidartune.survey import drawing, texts
from lidartune.survey.differences import differences
from lidartune.survey.findings import Finding
from lidartune.survey.overview import overview
from lidartune.survey.survey import Survey
from lidartune.survey.terminal import size_text
from lidartune.survey.width_advice import EXPLAINED, WIDTH_HEADS, width_rows
from lidartune.survey.width_counts import WidthFigures

_FILES_SHOWN = 20


def survey_page(
    surveys: Sequence[Survey],
    names: Sequence[str],
    *,
    widths: Mapping[str, Sequence[WidthFigures]] | None = None,
    widths_svg: str | None = None,
    widths_lines: Sequence[str] = (),
) -> str:
    """The page; canvas widths, their figure and what they say go into it where they were measured."""
    parts = [
        html.paragraphs([f"{name}: {survey.root}" for survey, name in zip(surveys, names, strict=True)], "soft"),
        _findings(surveys, names, wrong=True),
        _findings(surveys, names, wrong=False),
    ]
    if len(surveys) == 2:
        parts.append(_differences(surveys, names))
    parts += ["<h2>Overview</h2>", _overview(surveys, names)]
    parts += ["<h2>Range, elevation and remission</h2>", html.figure(drawing.draw_histograms(surveys, names))]
    parts.append(html.paragraphs(["Elevation: the points of a beam are spread over the step to the next."], "soft"))
    if widths_lines:
        drawn = html.figure(widths_svg) if widths_svg else ""
        parts += ["<h2>Canvas widths</h2>", drawn, html.paragraphs(widths_lines, "say")]
        if widths:
            parts += [html.table(WIDTH_HEADS, width_rows(widths)), html.paragraphs(EXPLAINED, "soft")]
    if any(survey.tally.labelled_points for survey in surveys):
        heads, rows = texts.classes(surveys, names)
        parts += [f"<h2>{texts.SHARES}</h2>", html.figure(drawing.draw_classes(surveys, names))]
        parts.append(html.table(heads, rows))
    for survey, name in zip(surveys, names, strict=True):
        if rows := texts.splits(survey):
            parts += [f"<h2>{escape(name)}: splits of the taxonomy</h2>", html.table(texts.SPLIT_HEADS, rows)]
        rows = texts.sequences(survey)
        parts += [f"<h2>{escape(name)}: sequences</h2>", html.table(texts.SEQUENCE_HEADS, rows, left=2)]
        raw = html.table(texts.RAW_HEADS, texts.raw_ids(survey), left=3)
        parts.append(f"<details><summary>Raw label ids of {escape(name)}</summary>{raw}</details>")
    return html.page(f"Check of {' and '.join(names)}", parts)


def _overview(surveys: Sequence[Survey], names: Sequence[str]) -> str:
    rows = [
        [row.name, *row.values, row.how]
        for group in overview(surveys).values()
        for row in group
        if row.name  # the bars of the terminal are figures here
    ]
    return html.table(["", *names, "how it was found"], rows, left=len(names) + 2)


def _differences(surveys: Sequence[Survey], names: Sequence[str]) -> str:
    found, unknown = differences(surveys[0], surveys[1], (names[0], names[1]))
    lines = [f"{size_text(difference)}  {difference.sentence}" for difference in found]
    note = html.paragraphs(["From 0, alike, to 1, nothing in common; the largest first."], "soft")
    lines = lines or ["Nothing that is worth naming."]
    return f"<h2>What differs</h2>{note}{html.paragraphs(lines, 'say')}{html.paragraphs(unknown, 'soft')}"


def _findings(surveys: Sequence[Survey], names: Sequence[str], *, wrong: bool) -> str:
    parts = [
        _finding(finding, name)
        for survey, name in zip(surveys, names, strict=True)
        for finding in texts.listed(survey.findings, wrong=wrong)
    ]
    if not parts:
        return html.paragraphs(["No fault was found."], "say") if wrong else ""
    return f"<h2>{'What is wrong' if wrong else 'Worth knowing'}</h2>" + "".join(parts)


def _finding(finding: Finding, name: str) -> str:
    head = f"{name}: {texts.finding_text(finding)}. Next: {finding.next}."
    if not finding.first:
        return html.paragraphs([head], "warn" if finding.wrong else "soft")
    files = "\n".join(f"{file['path']}  {file['found']}".rstrip() for file in finding.first[:_FILES_SHOWN])
    if finding.count > _FILES_SHOWN:
        files += f"\nand {finding.count - _FILES_SHOWN:,} more"
    return f"{html.paragraphs([head], 'warn' if finding.wrong else 'soft')}<pre>{escape(files)}</pre>"

"""A survey in a terminal of 100 columns: tables, then what differs, then what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lidartune.survey import texts
from lidartune.survey.differences import differences
from lidartune.survey.findings import KINDS, Finding
from lidartune.survey.overview import overview
from lidartune.survey.survey import Survey

WIDTH = 100
_FILES_SHOWN = 3


def print_surveys(surveys: Sequence[Survey], names: Sequence[str], console: Console) -> None:
    """All but the findings, which stand best at the end: `print_findings`."""
    console.print(_overview(surveys, names))
    console.print()
    for survey, name in zip(surveys, names, strict=True):
        if rows := texts.splits(survey):
            _print_table(f"{name}: splits of the taxonomy", texts.SPLIT_HEADS, rows, console)
        _print_table(f"{name}: sequences", *_sequences(survey), console)
    if any(survey.tally.labelled_points for survey in surveys):
        _print_table("Class shares, of all labelled points", *texts.classes(surveys, names), console)
    if len(surveys) == 2:
        print_differences(surveys, names, console)


def print_differences(surveys: Sequence[Survey], names: Sequence[str], console: Console) -> None:
    """The sentences, the largest difference first."""
    found, unknown = differences(surveys[0], surveys[1], (names[0], names[1]))
    console.print(Text("What differs, the largest first (0 alike, 1 nothing in common)", style="bold"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for difference in found:
        table.add_row(Text(f"{difference.size:.2f}"), Text(difference.sentence))
    for line in unknown:
        table.add_row(Text("?"), Text(line))
    console.print(table if found or unknown else Text("  nothing that is worth naming"))
    console.print()


def print_findings(surveys: Sequence[Survey], names: Sequence[str], console: Console) -> None:
    """What is worth knowing, then what is wrong, with the first files and what to do."""
    for survey, name in zip(surveys, names, strict=True):
        for wrong in (False, True):
            for finding in texts.listed(survey.findings, wrong=wrong):
                _print_finding(finding, name if len(surveys) > 1 else "", console)


def print_end(surveys: Sequence[Survey], seconds: float, processes: int, console: Console) -> None:
    """The verdict, how long it took, and how long everything would have taken."""
    read, found = (sum(values) for values in zip(*((s.tally.scans, _readable(s)) for s in surveys), strict=True))
    each = max((s.seconds_per_scan or 0.0 for s in surveys), default=0.0)
    speed = f", {1 / each:,.0f} scans/s in each of {texts.counted(processes, 'process', 'processes')}" if each else ""
    line = f"Read {read:,} of {found:,} scans in {seconds:,.1f} s{speed}."
    if read < found and each:
        line += f" All of them would take about {_duration(found * each / processes)}."
    console.print(Text(line, style="dim"))
    wrong = sum(finding.wrong for survey in surveys for finding in survey.findings)
    verdict = Text("Nothing is wrong.", style="bold green")
    if wrong:
        verdict = Text(f"{wrong} kind{'s' if wrong > 1 else ''} of fault, listed above.", style="bold red")
    console.print(verdict)


def _readable(survey: Survey) -> int:
    return sum(len(sequence.files.scans) for sequence in survey.sequences)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _print_finding(finding: Finding, name: str, console: Console) -> None:
    label, style = ("wrong", "bold red") if finding.wrong else ("note", "yellow")
    line = Text(f"{label}: ", style=style).append(f"{name}: " if name else "", style="")
    console.print(line.append(texts.finding_text(finding), style=""), soft_wrap=True)
    if finding.kind != "split-elsewhere":
        for file in finding.first[:_FILES_SHOWN]:
            console.print(Text(f"    {file['path']}" + (f"  {file['found']}" if file["found"] else "")), soft_wrap=True)
        if finding.first and finding.count > _FILES_SHOWN:
            console.print(Text(f"    and {finding.count - _FILES_SHOWN:,} more", style="dim"))
    console.print(Text(f"    next: {KINDS[finding.kind].do}", style="dim"), soft_wrap=True)


def _overview(surveys: Sequence[Survey], names: Sequence[str]) -> Table:
    table = _empty()
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(Text(name), overflow="fold")
    table.add_column("how it was found", style="dim", overflow="fold")
    for rows in overview(surveys).values():
        for row in rows:
            table.add_row(row.name, *(Text(v, style="dim" if v == texts.UNKNOWN else "") for v in row.values), row.how)
        table.add_section()
    return table


def _sequences(survey: Survey) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of all sequences, without their splits; in two blocks beside each other where they are many."""
    heads, *rows = [[row[0], *row[2:6]] for row in (texts.SEQUENCE_HEADS, *texts.sequences(survey))]
    if len(rows) > 6:
        length = -(-len(rows) // 2)
        rest = [*rows[length:], [""] * len(heads)]
        rows = [row + rest[at] for at, row in enumerate(rows[:length])]
        heads = heads * 2
    return heads, rows


def _empty() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False, show_edge=False)


def _print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Text in columns under a title: names to the left, figures to the right."""
    console.print(Text(title, style="bold"))
    table = _empty()
    for head in heads:
        left = head in ("class", "split", "seq", "sequences", "raw ids")
        folds = head in ("raw ids", "sequences") or head.endswith(" %")  # long lists, and names of folders
        table.add_column(Text(head), justify="left" if left else "right", no_wrap=not folds, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    console.print()

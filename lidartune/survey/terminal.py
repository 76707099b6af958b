"""A survey in a terminal of at most 100 columns: tables, then what differs, then what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lidartune.survey import texts
from lidartune.survey.differences import Difference, differences
from lidartune.survey.findings import Finding, counted
from lidartune.survey.overview import BAR_COUNT, overview
from lidartune.survey.survey import Survey

WIDTH = 100
_FILES_SHOWN = 3
_NAMES, _HOW = 21, 20  # columns for the names of the overview's rows, and for how they were found


def print_surveys(surveys: Sequence[Survey], names: Sequence[str], console: Console) -> None:
    """All but the findings, which stand best at the end: `print_findings`."""
    console.print(_overview(surveys, names, console), crop=False)
    console.print()
    for survey, name in zip(surveys, names, strict=True):
        if rows := texts.splits(survey):
            _print_table(f"{name}: splits of the taxonomy", texts.SPLIT_HEADS, rows, console)
        _print_table(f"{name}: sequences", *_sequences(survey, console.width), console)
    if any(survey.tally.labelled_points for survey in surveys):
        _print_table(texts.SHARES, *texts.classes(surveys, names), console)
    if len(surveys) == 2:
        print_differences(surveys, names, console)


def print_differences(surveys: Sequence[Survey], names: Sequence[str], console: Console) -> None:
    """The sentences, the largest difference first."""
    found, unknown = differences(surveys[0], surveys[1], (names[0], names[1]))
    console.print(Text("What differs, the largest first (0 alike, 1 nothing in common)", style="bold"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for difference in found:
        table.add_row(Text(size_text(difference)), Text(difference.sentence))
    for line in unknown:
        table.add_row(Text("?"), Text(line))
    console.print(table if found or unknown else Text("  nothing that is worth naming"))
    console.print()


def size_text(difference: Difference) -> str:
    """The size, or a dash where it has none."""
    return "–" if difference.size is None else f"{difference.size:.2f}"


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
    speed = f", {1 / each:,.0f} scans/s in each of {counted(processes, 'process', 'processes')}" if each else ""
    line = f"Read {read:,} of {counted(found, 'scan')} in {seconds:,.1f} s{speed}."
    if read < found and each:
        line += f" All of them would take about {_duration(found * each / processes)}."
    console.print(Text(line, style="dim"))
    wrong = len({finding.kind for survey in surveys for finding in survey.findings if finding.wrong})
    verdict = Text("Nothing is wrong.", style="bold green")
    if wrong:
        verdict = Text(f"{counted(wrong, 'kind')} of fault, listed above.", style="bold red")
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
    for file in finding.first[:_FILES_SHOWN]:
        console.print(Text(f"    {file['path']}" + (f"  {file['found']}" if file["found"] else "")), soft_wrap=True)
    if finding.count > _FILES_SHOWN:
        console.print(Text(f"    and {finding.count - _FILES_SHOWN:,} more", style="dim"))
    console.print(Text(f"    next: {finding.next}", style="dim"), soft_wrap=True)


def _overview(surveys: Sequence[Survey], names: Sequence[str], console: Console) -> Table:
    table = _empty()
    table.add_column("", no_wrap=True)
    bar_count = min(BAR_COUNT, max(4, (console.width - _NAMES - _HOW) // len(surveys) - 2))
    for name in names:
        table.add_column(Text(name), overflow="fold", min_width=bar_count)
    table.add_column("how it was found", style="dim", overflow="fold", min_width=8)
    for rows in overview(surveys, bar_count=bar_count, plain=console.options.ascii_only).values():
        for row in rows:
            table.add_row(row.name, *(Text(v, style="dim" if v == texts.UNKNOWN else "") for v in row.values), row.how)
        table.add_section()
    return table


def _sequences(survey: Survey, width: int) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of all sequences, without their splits; in two blocks beside each other where they are many and
    both fit."""
    heads, *rows = [[row[0], *row[2:6]] for row in (texts.SEQUENCE_HEADS, *texts.sequences(survey))]
    block = sum(max(map(len, column)) + 2 for column in zip(heads, *rows, strict=True))
    if len(rows) > 6 and 2 * block <= width:
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
    for at, head in enumerate(heads):
        left = head in ("class", "split", "seq", "sequences", "raw ids")
        folds = head in ("raw ids", "sequences")  # long lists
        figures = 0 if folds else max((len(row[at]) for row in rows), default=0)  # never cut, however narrow
        long_head = head.endswith(" %") or head == texts.RATIO  # names of folders
        table.add_column(
            Text(head), justify="left" if left else "right", no_wrap=not (folds or long_head), overflow="fold",
            min_width=figures if long_head else max(figures, len(head)) if not folds else None,
        )  # fmt: skip
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table, crop=False)
    console.print()

"""The tables and the headline in a terminal."""

from __future__ import annotations

from collections.abc import Collection

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from lidartune.report.headline import headline
from lidartune.report.results import StudyResults
from lidartune.report.tables import TABLES, all_texts
from lidartune.report.texts import KEY_HEADS, NA, NOT_HERE, TextTable, absent_lines, caption

WIDTH = 120  # columns that every table fits


def print_tables(results: StudyResults, console: Console, only: Collection[str] = ()) -> None:
    """`only` the tables named; or the short ones, what is not there, and the headline; for WIDTH columns or more."""
    texts = all_texts(results)
    if only:
        for name in only:
            print_table(texts[name], console)
        return
    for line in caption(results):
        console.print(Text(line, style="dim"))
    for table in TABLES:
        if table.printed and table.name in texts:
            print_table(texts[table.name], console)
    for line in absent_lines(results):
        console.print(Text(line, style="yellow"))
    for line in headline(results):
        console.print(Text(line, style="bold"))


def print_table(table: TextTable, console: Console) -> None:
    """A table with its notes; of several backbones one below the other."""
    for part in _by_backbone(table):
        drawn = _rich(part)
        # Never folded or cut: a narrow terminal wraps whole lines, a log file keeps them.
        wide = console.options.update(max_width=400)
        wide = wide.update(width=Measurement.get(console, wide, drawn).maximum)
        lines = [[*line, Segment.line()] for line in console.render_lines(drawn, wide, pad=False)]
        console.print(Segments(part for line in lines for part in line), crop=False, soft_wrap=True)
    for note in table.notes:
        console.print(Text(note, style="dim"))
    console.print()


def _by_backbone(table: TextTable) -> list[TextTable]:
    """One table for each backbone where they vary: its name is then the title, not a wide column."""
    if table.heads[0] != KEY_HEADS[0] or table.left == 1:
        return _folded(table)
    names = list(dict.fromkeys(row[0] for row in table.rows))
    parts: list[TextTable] = []
    for name in names:
        rows = [row[1:] for row in table.rows if row[0] == name]
        title = f"{table.title}: {name}"
        parts += _folded(TextTable(title=title, heads=table.heads[1:], rows=rows, left=table.left - 1))
    return parts


def _folded(table: TextTable) -> list[TextTable]:
    """The table; where it is wider than WIDTH, its last columns in a table of their own below, with the names again."""
    texts = [[*head.split("\n"), *column] for head, *column in zip(table.heads, *table.rows, strict=True)]
    widths = [max(map(len, column)) + 1 for column in texts]
    parts: list[list[int]] = [[]]
    for index in range(table.left, len(table.heads)):
        if parts[-1] and sum(widths[: table.left]) + sum(widths[i] for i in [*parts[-1], index]) - 1 > WIDTH:
            parts.append([])
        parts[-1].append(index)
    return [
        TextTable(
            title=table.title if number == 0 else f"{table.title}, continued",
            heads=[*table.heads[: table.left], *(table.heads[i] for i in part)],
            rows=[[*row[: table.left], *(row[i] for i in part)] for row in table.rows],
            left=table.left,
        )
        for number, part in enumerate(parts)
    ]


def _rich(table: TextTable) -> Table:
    drawn = Table(title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for index, head in enumerate(table.heads):
        drawn.add_column(Text(head), justify="left" if index < table.left else "right", no_wrap=True, vertical="bottom")
    for row in table.rows:
        drawn.add_row(*(Text(value, style="dim" if value in (NA, NOT_HERE) else "") for value in row))
    return drawn

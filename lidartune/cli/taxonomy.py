"""`lidartune taxonomy`: which label maps there are, what one says, and how two datasets' classes differ."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from lidartune.cli.console import console
from lidartune.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from lidartune.scans import Taxonomy
    from lidartune.scans.label_shift import LabelShift

WIDTH = 100  # columns that every table fits


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def taxonomy(names: tuple[str, ...], as_json: bool) -> None:
    """Show label maps: all built-in ones, one of them, or how the class shares of two differ.

    A name is a built-in one, the path of a data config (such as one that `lidartune stats` wrote), or several with "+"
    between them: then the classes of each are the raw ids of the next.
    """
    from lidartune.scans import built_in_taxonomies, load_taxonomy

    if len(names) > 2:
        raise click.UsageError("at most two names: one is shown, two are compared")
    if not names:
        _show_all([load_taxonomy(name) for name in built_in_taxonomies()], as_json)
    elif len(names) == 1:
        _show_one(load_taxonomy(names[0]), as_json)
    else:
        _show_shift(load_taxonomy(names[0]), load_taxonomy(names[1]), as_json)


def _show_all(known: list[Taxonomy], as_json: bool) -> None:
    rows = [
        {"name": t.name, "classes": t.num_classes - len(t.ignore), "ids": len(t.learning_map), "digest": t.digest}
        for t in known
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = _table("taxonomy", "classes", "raw ids", "digest", left=(0, 3))
    for row in rows:
        table.add_row(str(row["name"]), str(row["classes"]), str(row["ids"]), str(row["digest"])[:12])
    _print(table)


def _show_one(one: Taxonomy, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"id": raw, "label": one.labels.get(raw, ""), "class": number, "class_name": one.names[number],
         "ignored": number in one.ignore, "share": one.content.get(raw)}
        for raw, number in sorted(one.learning_map.items())
    ]  # fmt: skip
    if as_json:
        record = {"name": one.name, "num_classes": one.num_classes, "ignore": list(one.ignore), "digest": one.digest}
        click.echo(json.dumps(record | {"ids": rows}, indent=2))
        return
    table = _table("raw id", "label", "class", "class name", "share of points", left=(1, 3))
    for row in rows:
        table.add_row(
            str(row["id"]), Text(row["label"]), str(row["class"]), Text(row["class_name"]), _share(row["share"])
        )
    _print(table)
    summary = f"{one.name}: {one.num_classes - len(one.ignore)} classes, digest {one.digest}"
    console().print(Text(summary), soft_wrap=True)


def _show_shift(first: Taxonomy, second: Taxonomy, as_json: bool) -> None:
    from lidartune.scans.label_shift import in_words, label_shift

    if (first.names, first.ignore) != (second.names, second.ignore):
        longer = max(first, second, key=lambda one: one.num_classes).name
        raise UserError(
            "these two taxonomies have other classes, so their shares cannot be compared",
            where=f"{first.name} and {second.name}",
            found=f"{first.num_classes - len(first.ignore)} and {second.num_classes - len(second.ignore)} classes",
            wanted="the same classes in the same order",
            do=f"lead one to the classes of the other: {longer}+YOUR_BRIDGE.yaml",
        )
    shift = label_shift(_content(first), _content(second), first.names, ignore=first.ignore)
    titles = _titles(first, second)
    if as_json:
        record = {"first": first.name, "second": second.name, **dataclasses.asdict(shift)}
        click.echo(json.dumps(record | {"in_words": in_words(shift, *titles)}, indent=2))
        return
    _print(_shift_table(shift, titles))
    out = console()
    out.print(
        f"ignored {_share(shift.ignored[0])} and {_share(shift.ignored[1])} of all points; total variation "
        f"{shift.total_variation:.3f}, Jensen-Shannon {shift.jensen_shannon_bits:.3f} bit",
        highlight=False,
    )
    out.print(Text(in_words(shift, *titles)))


def _shift_table(shift: LabelShift, titles: tuple[str, str]) -> Table:
    """Shares of the labelled points by class, and their ratio: n/a where a side has none."""
    rows: list[tuple[str | Text, ...]] = []
    notes: list[str] = []
    for row in shift.classes:
        absent = [title for title, share in zip(titles, (row.first, row.second), strict=True) if not share]
        notes.append("in neither" if len(absent) == 2 else f"not in {absent[0]}" if absent else "")
        ratio = "n/a" if row.ratio is None else f"{row.ratio:,.3g}"
        shares = (_share(row.first or None), _share(row.second or None))
        rows.append((Text(row.name), *shares, ratio, Text(notes[-1])))
    columns = 5 if any(notes) else 4
    table = _table(*("class", Text(titles[0]), Text(titles[1]), "ratio", "")[:columns], left=(0, 4))
    for cells in rows:
        table.add_row(*cells[:columns])
    return table


def _content(one: Taxonomy) -> np.ndarray:
    import numpy as np

    shares = one.class_content()
    if shares is None or not np.delete(shares, one.ignore).sum() > 0:
        raise UserError(
            "this taxonomy does not say how many points each label has",
            where=f"{one.name}, key content",
            wanted="raw id: share of all points",
            do=f"count them: lidartune stats DIR --taxonomy {one.name} -o data.yaml, and give data.yaml",
        )
    return shares


def _titles(first: Taxonomy, second: Taxonomy) -> tuple[str, str]:
    """Short names: of a path the file's, where that tells the two apart."""
    short = tuple("+".join(Path(part).name for part in one.name.split("+")) for one in (first, second))
    return (short[0], short[1]) if short[0] != short[1] else (first.name, second.name)


def _table(*heads: str | Text, left: tuple[int, ...] = (0,)) -> Table:
    """A table with numbers to the right in all columns but `left`; long texts are folded."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i in left else "right", overflow="fold")
    return table


def _print(table: Table) -> None:
    out = console()
    out.print(table, width=min(WIDTH, out.width))


def _share(share: float | None) -> str:
    if share is None or not share:
        return "n/a" if share is None else "0 %"
    return f"{100 * share:.4f} %" if share >= 1e-6 else "< 0.0001 %"

"""`lidartune report`: a study's tables and page, from its files."""

from __future__ import annotations

from pathlib import Path

import click

from lidartune.cli.console import console


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Print this table instead.")
def report(study: Path, tables: tuple[str, ...]) -> None:
    """Write the report of a study anew.

    STUDY is its folder, results/<study>; the short tables are printed as well.
    """
    from lidartune.report import write_report

    folder = write_report(study, console=console(), only=tables)
    click.echo(f"\nreport  {folder / 'index.html'}")

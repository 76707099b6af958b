"""`lidartune report`: a study's tables and page, from its files."""

from __future__ import annotations

from pathlib import Path

import click

from lidartune.cli.console import console


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
def report(study: Path) -> None:
    """Write the report of a study anew.

    STUDY is its folder, results/<study>; the tables are printed as well.
    """
    from lidartune.report import write_report

    folder = write_report(study, console=console())
    click.echo(f"\nreport  {folder / 'index.html'}")

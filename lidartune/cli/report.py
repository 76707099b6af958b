"""`lidartune report`: a study's tables and page, from its files."""

from __future__ import annotations

import click

from lidartune.cli.console import console


@click.command()
@click.argument("study")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Print this table instead.")
def report(study: str, tables: tuple[str, ...]) -> None:
    """Write the report of a study anew.

    STUDY is its folder, results/<study> or s3://bucket/results/<study>; the short tables are printed as well. The
    report of one on S3 is written into a folder of this machine.
    """
    from lidartune.report import write_report
    from lidartune.runs.mirror import study_folder

    folder = write_report(study_folder(study), console=console(), only=tables)
    click.echo(f"\nreport  {folder / 'index.html'}")

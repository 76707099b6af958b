"""`lidartune report`: a study's tables and page, or several studies side by side, from their files."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from lidartune.cli.console import console
from lidartune.errors import UserError

MOST_PROCESSES = 4  # there are nine figures, and one takes a third of the time


@click.command()
@click.argument("studies", nargs=-1, required=True, metavar="STUDY [OTHER]...")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Print this table instead.")
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    help="Folder for the files of a comparison. [default: report/compare in STUDY]",
)
def report(studies: tuple[str, ...], tables: tuple[str, ...], output: Path | None) -> None:
    """Write the report of a study anew, or compare studies.

    STUDY is its folder, results/<study> or s3://bucket/results/<study>; the short tables are printed as well. The
    report of one on S3 is written into a folder of this machine. With OTHER studies each is laid beside the first: the
    settings that both have, paired by seed where they share seeds, and what differs between the two.
    """
    from lidartune.runs.mirror import study_folder

    if len(studies) == 1:
        _one(study_folder(studies[0]), tables, output)
        return
    if tables:
        raise UserError("--table is for the report of one study", found=f"{len(studies)} studies", do="leave it out")
    from lidartune.report.compare import compare_studies

    folder = compare_studies([study_folder(study) for study in studies], output, console=console())
    click.echo(f"\ncomparison  {folder / 'compare.html'}")


def _one(study: Path, tables: tuple[str, ...], output: Path | None) -> None:
    if output is not None:
        raise UserError(
            "-o is for comparisons", found="one study", do="leave it out: a report lies in its study's folder"
        )
    from lidartune.processes import available_processors
    from lidartune.report import write_report

    gc.disable()  # a report makes many small objects and ends: looking for rings among them is a tenth of its time
    try:
        processes = min(MOST_PROCESSES, available_processors())
        folder = write_report(study, console=console(), only=tables, processes=processes)
    finally:
        gc.enable()
    click.echo(f"\nreport  {folder / 'index.html'}")

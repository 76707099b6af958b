"""`lidartune check`: one dataset looked at, or two side by side."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, TextIO, cast

import click
from rich.text import Text

from lidartune.cli.console import console
from lidartune.errors import UserError
from lidartune.processes import available_processors

if TYPE_CHECKING:
    from rich.console import Console

    from lidartune.scans import Dataset
    from lidartune.survey.canvases import CanvasChoice
    from lidartune.survey.survey import Survey
    from lidartune.survey.widths import WidthFigures


class _TaxonomyOption(click.Option):
    """Its help names the built-in taxonomies, looked up only when somebody asks for help."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from lidartune.scans import built_in_taxonomies

        names = ", ".join(built_in_taxonomies())
        self.help = f"Required: its label ids: {names}, or a YAML file; once for each folder, or for both."
        return super().get_help_record(ctx)


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR [DIR2]", type=click.Path(path_type=Path))
@click.option("--taxonomy", "taxonomies", cls=_TaxonomyOption, multiple=True, metavar="T")
@click.option("--scans", type=click.IntRange(min=1), metavar="N",
              help="Read N scans of each sequence, evenly spread.  [default: all]")
@click.option("--processes", type=click.IntRange(min=1), help="How many processes to use.  [default: all processors]")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Also write a page with figures.")
@click.option("--json", "json_file", metavar="FILE", help="Also write every figure as JSON; - prints nothing else.")
@click.option("--widths", metavar="W,W,...", help="Compare canvas widths, such as 512,1024,2048.")
@click.option("--widths-figure", type=click.Path(path_type=Path), help="Draw them into this SVG or PNG.")
@click.option("--height", type=click.IntRange(min=1),
              help="Rows of these canvases.  [default: the beams found; of two folders the more]")
@click.option("--fov-up", type=float,
              help="Their upper edge in degrees.  [default: from the beams; of two folders the higher]")
@click.option("--fov-down", type=float,
              help="Their lower edge in degrees.  [default: from the beams; of two folders the lower]")
def check(
    folders: tuple[Path, ...], taxonomies: tuple[str, ...], scans: int | None, processes: int | None,
    page: Path | None, json_file: str | None, widths: str | None, widths_figure: Path | None,
    height: int | None, fov_up: float | None, fov_down: float | None,
) -> int:  # fmt: skip
    """Look at a dataset before trusting it.

    Counts, sizes, faults, class shares, and the sensor as the points tell it. With two folders also what differs
    between them and matters for a transfer. The exit status is 1 where something is wrong.
    """
    from lidartune.survey import canvases
    from lidartune.survey.as_json import as_json
    from lidartune.survey.page import survey_page
    from lidartune.survey.survey import survey_dataset
    from lidartune.survey.terminal import print_end, print_findings, print_surveys
    from lidartune.survey.texts import short_names
    from lidartune.whole_file import write_whole

    asked = canvases.parse_widths(widths) if widths is not None else None
    if widths_figure is not None and widths_figure.suffix.lower() not in (".svg", ".png"):
        raise UserError("a figure is an SVG or a PNG", where=widths_figure, wanted=".svg or .png")
    if asked is None and (widths_figure, height, fov_up, fov_down) != (None, None, None, None):
        raise UserError("no canvas widths are named", where="--widths", do="add --widths 512,1024,2048")
    for file in (page, widths_figure, None if json_file in (None, "-") else Path(json_file)):
        _refuse_unwritable(file)
    out = _console(to_stderr=json_file == "-")
    names = short_names(folders)
    datasets = _open(folders, taxonomies)
    started = time.monotonic()
    surveys = [survey_dataset(dataset, scans_per_sequence=scans, processes=processes) for dataset in datasets]
    took = time.monotonic() - started
    print_surveys(surveys, names, out)
    measured, svg = None, None
    advice: list[str] = []
    if asked is not None:
        choice = canvases.CanvasChoice(height=height, fov_up_deg=fov_up, fov_down_deg=fov_down)
        measured, svg, advice = _widths(datasets, surveys, names, asked, choice, widths_figure, processes, out)
    if page is not None:
        write_whole(page, survey_page(surveys, names, widths=measured, widths_svg=svg, widths_lines=advice).encode())
    if json_file is not None:
        _write_json(as_json(surveys, names, measured, advice), json_file)
    print_findings(surveys, names, out)
    print_end(surveys, took, processes or available_processors(), out)
    for what, written in (("page", page), ("json", json_file), ("figure", widths_figure if svg else None)):
        if written is not None and written != "-":
            out.print(Text(f"{what:<8}{written}"), soft_wrap=True)
    return int(any(survey.faulty for survey in surveys))


def _console(*, to_stderr: bool) -> Console:
    """Standard output, at most 100 columns wide; standard error where that is for JSON alone."""
    from rich.console import Console

    from lidartune.survey.terminal import WIDTH

    width = min(WIDTH, console().width)
    file = sys.stderr if to_stderr else sys.stdout
    plain = not (file.encoding or "ascii").lower().startswith("utf")
    return Console(width=width, file=cast(IO[str], _PlainFile(file)) if plain else file, highlight=False)


class _PlainFile:
    """A file that cannot hold every character: those it cannot are written as ones that it can."""

    def __init__(self, file: TextIO) -> None:
        self._file, self.encoding = file, file.encoding or "ascii"

    def write(self, text: str) -> int:
        """Writes what can be written; each character keeps its column."""
        plain = text.translate(str.maketrans("–°", "-d"))
        return self._file.write(plain.encode(self.encoding, "replace").decode(self.encoding))

    def flush(self) -> None:
        self._file.flush()

    def isatty(self) -> bool:
        return self._file.isatty()

    def fileno(self) -> int:
        return self._file.fileno()


def _refuse_unwritable(file: Path | None) -> None:
    """Looks before the work is done, not after hours of it."""
    if file is None:
        return
    found = "a folder" if file.is_dir() else None
    try:
        if not found:
            tempfile.TemporaryFile(dir=next(folder for folder in file.absolute().parents if folder.exists())).close()
    except OSError as error:
        found = error.strerror
    if found:
        raise UserError("the result cannot be written there", where=file, found=found, do="name another file")


def _open(folders: Sequence[Path], taxonomies: Sequence[str]) -> list[Dataset]:
    from lidartune.scans import built_in_taxonomies, open_dataset

    if len(folders) > 2:
        raise UserError("at most two folders are looked at side by side", found=f"{len(folders)} folders")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("the same folder twice", where=folders[0], do="name two different ones, or one alone")
    for folder in folders:
        if folder.is_file():
            raise UserError("this is a file", where=folder, wanted="the folder of a dataset")
    if not taxonomies:
        raise UserError(
            "whose label ids these are has to be said",
            where="--taxonomy",
            wanted=", ".join(built_in_taxonomies()) + ", or the path of a YAML file",
            do="add --taxonomy semantic-kitti, say; with two folders once for each, in their order",
        )
    if len(taxonomies) not in (1, len(folders)):
        raise UserError(
            "there must be one taxonomy for each folder, or one for both",
            where="--taxonomy",
            found=f"{len(taxonomies)} for {len(folders)} folder{'s' if len(folders) > 1 else ''}",
        )
    each = [taxonomies[min(i, len(taxonomies) - 1)] for i in range(len(folders))]
    return [open_dataset(folder, taxonomy) for folder, taxonomy in zip(folders, each, strict=True)]


def _widths(
    datasets: Sequence[Dataset], surveys: Sequence[Survey], names: Sequence[str], asked: Sequence[int],
    choice: CanvasChoice, figure: Path | None, processes: int | None, out: Console,
) -> tuple[dict[str, list[WidthFigures]], str | None, list[str]]:  # fmt: skip
    """Measures, prints and draws canvas widths: the figures of each dataset, the drawing, and what it says."""
    from lidartune.survey.canvases import common_canvas, widths_of
    from lidartune.survey.widths import draw_widths, widths_advice, widths_table

    measured: dict[str, list[WidthFigures]] = {}
    lines = []
    canvas = common_canvas(surveys, choice)
    for dataset, survey, name in zip(datasets, surveys, names, strict=True):
        try:
            measured[name], how = widths_of(dataset, survey, asked, canvas, processes=processes)
            lines.append(f"{name}: measured on {how}.")
        except UserError as error:  # hours of work on the scans are not thrown away for it
            lines.append(f"{name}: canvas widths were not measured: {error.what}.")
    rays = {name: survey.sensor.columns.number for survey, name in zip(surveys, names, strict=True)}
    lines += widths_advice(measured, rays)
    if measured:
        out.print(widths_table(measured), crop=False)
    for line in lines:
        out.print(Text(line))
    out.print()
    if not measured:
        return measured, None, lines
    with tempfile.TemporaryDirectory() as folder:
        drawing = Path(folder) / "widths.svg"
        draw_widths(measured, drawing)
        svg = drawing.read_text(encoding="utf-8")
    if figure is not None:
        draw_widths(measured, figure)
    return measured, svg, lines


def _write_json(text: str, file: str) -> None:
    from lidartune.whole_file import write_whole

    if file == "-":
        click.echo(text, nl=False)
    else:
        write_whole(Path(file), text.encode())

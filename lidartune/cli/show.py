"""`lidartune show`: one scan as a picture, or as a page in which it can be turned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from lidartune.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from lidartune.canvas import Canvas, Sensor
    from lidartune.pictures.labelled import LabelledScan
    from lidartune.scans import Taxonomy
    from lidartune.scoring.trained import TrainedNetwork

MOST_COLUMNS, MOST_ROWS = 16384, 512
_FEW = 0.1  # share of pixels filled, or of points shown, below which a picture says little
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("scan", type=_PATH)
@click.option("-o", "picture", metavar="PNG", type=_PATH, help="Draw range, remission, classes and errors here.")
@click.option("--html", "page", metavar="HTML", type=_PATH, help="Write a page in which the cloud can be turned.")
@click.option("--taxonomy", metavar="T", help="What the label ids mean: a built-in name, or a data config's path.")
@click.option("--labels", metavar="FILE", type=_PATH, help="The scan's labels.  [default: ../labels/NAME.label]")
@click.option("--no-labels", is_flag=True, help="Leave the labels out, also where there are some.")
@click.option("--prediction", metavar="FILE", type=_PATH, help="Predicted raw ids, as `lidartune predict` writes them.")
@click.option("--run", metavar="RUN", help="Predict here and now: a folder results/runs/<name>-<id>.")
@click.option("--epoch", type=click.IntRange(min=0), help="Which epoch's weights.  [default: the last that were kept]")
@click.option(
    "--width", type=click.IntRange(1, MOST_COLUMNS),
    help="Columns of the picture's canvas.  [default: the run's; the scan's own; 2048]",
)
@click.option("--height", type=click.IntRange(1, MOST_ROWS), help="Its rows.  [default: the run's; the scan's own; 64]")
@click.option("--fov-up", type=float, help="Elevation of its upper edge, in degrees.  [default: likewise, or 3]")
@click.option("--fov-down", type=float, help="Elevation of its lower edge.  [default: likewise, or -25]")
@click.option(
    "--rows",
    type=click.Choice(["elevation", "ring"]),
    help="A point's row: by its elevation, or by ring where the file is stored so.  [default: the run's; elevation]",
)
def show(
    scan: Path,
    picture: Path | None,
    page: Path | None,
    taxonomy: str | None,
    labels: Path | None,
    no_labels: bool,
    prediction: Path | None,
    run: str | None,
    epoch: int | None,
    width: int | None,
    height: int | None,
    fov_up: float | None,
    fov_down: float | None,
    rows: Literal["elevation", "ring"] | None,
) -> None:
    """Look at SCAN, a .bin file: range, remission, classes, prediction, errors.

    Classes are drawn where --taxonomy says what the label ids mean. Labels are looked for beside the scan. The canvas
    is that of the run, else as many rows and columns as the scan has rings and rays, where it is stored ring by ring.
    """
    _check_options(scan, picture, page, taxonomy, labels, no_labels, prediction, run, epoch)
    from lidartune.canvas import project
    from lidartune.pictures.labelled import label_path, read_labelled_scan
    from lidartune.pictures.scan import draw_labelled_scan, facts_line
    from lidartune.scans import load_taxonomy
    from lidartune.whole_file import write_whole

    known = load_taxonomy(taxonomy) if taxonomy else None
    beside = label_path(scan)
    chosen = None if no_labels else labels or (beside if beside.is_file() else None)
    shown = read_labelled_scan(scan, taxonomy=known, labels=chosen if known else None, prediction=prediction)
    network = None if run is None else _network(run, epoch)
    if network is not None:
        shown = _predicted(shown, network, known)
    given = (height, width, fov_up, fov_down)
    sensor, taken = _canvas(shown.points, given, None if network is None else network.spec.canvas)
    sensor = replace(sensor, rows=rows or sensor.rows)
    if sensor.rows == "ring":
        _check_rings(shown.points, sensor.height)
    canvas = project(shown.points, sensor)
    facts, score = facts_line(canvas, sensor), shown.score_line()
    click.echo(facts if score is None else f"{facts}\n{score}")
    if taken:
        click.echo(f"canvas   {taken}")
    if picture is not None:
        for line in _doubts(shown.points, canvas):
            click.echo(line)
    if picture is not None:
        write_whole(picture, draw_labelled_scan(shown, canvas, facts))
        click.echo(f"picture  {picture}")
    if page is not None:
        from lidartune.pictures.page import cloud_page

        write_whole(page, cloud_page(shown).encode())
        click.echo(f"page     {page}")
    if chosen is not None and known is None:
        click.echo(f"labels are in {chosen}: name their taxonomy to see the classes, as in --taxonomy semantic-kitti")
    if known is not None and chosen is None and not no_labels:
        click.echo(f"no labels at {beside}: shown without them")


def _check_options(
    scan: Path,
    picture: Path | None,
    page: Path | None,
    taxonomy: str | None,
    labels: Path | None,
    no_labels: bool,
    prediction: Path | None,
    run: str | None,
    epoch: int | None,
) -> None:
    """Raises UserError where options are missing or contradict each other."""
    if scan.suffix == ".label":
        raise UserError(
            "this is a file of labels, not of points",
            where=scan,
            wanted="a scan, such as sequences/08/velodyne/000000.bin",
            do="name the scan: its labels are found beside it, or given with --labels",
        )
    if picture is None and page is None:
        raise UserError("nothing to write is named", do="add -o image.png for a picture or --html page.html for a page")
    for option, path, endings in (("-o", picture, (".png",)), ("--html", page, (".html", ".htm"))):
        if path is not None and path.suffix.lower() not in endings:
            raise UserError(
                "this file's name has another ending than what is written into it",
                where=option,
                found=path,
                wanted="a name that ends in " + " or ".join(endings),
                do="name another file",
            )
    for pair, both in (
        ("--labels and --no-labels", labels is not None and no_labels),
        ("--prediction and --run", prediction is not None and run is not None),
    ):
        if both:
            raise UserError(f"{pair} cannot go together", do="give one of them")
    if epoch is not None and run is None:
        raise UserError("an epoch of what", where="--epoch", do="name the run as well: --run results/runs/<name>-<id>")
    if taxonomy is None and (labels is not None or prediction is not None):
        from lidartune.scans import built_in_taxonomies

        raise UserError(
            "ids without a taxonomy mean nothing",
            where="--labels" if labels is not None else "--prediction",
            wanted="--taxonomy with a built-in name ("
            + ", ".join(built_in_taxonomies())
            + ") or the path of a data config",
            do="name the taxonomy of this dataset",
        )


def _network(run: str, epoch: int | None) -> TrainedNetwork:
    import torch

    from lidartune.scoring.trained import load_trained

    return load_trained(run, epoch, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _predicted(scan: LabelledScan, network: TrainedNetwork, known: Taxonomy | None) -> LabelledScan:
    """The scan with the network's classes, drawn as the given taxonomy's, else as those of the network's own."""
    from dataclasses import replace

    from lidartune.scoring.predict import predict_points

    taxonomy = known or network.taxonomy()
    network.check_taxonomy(taxonomy)
    title = f"{scan.title}, predicted by {network.run}, epoch {network.epoch}"
    return replace(scan, title=title, prediction=predict_points(network, scan.points), taxonomy=taxonomy)


def _canvas(
    points: np.ndarray, given: tuple[int | None, int | None, float | None, float | None], runs: Sensor | None
) -> tuple[Sensor, str]:
    """The canvas asked for, and where what was not given comes from, in words.

    Height, width, upper and lower edge are the given ones, else the run's, else the scan's own, else HDL_64's.
    """
    from lidartune.canvas import Sensor
    from lidartune.pictures.grid import HDL_64, fits_usual, own_grid, own_turn

    usual, words = (runs or HDL_64), "the run's" if runs else ""
    if runs is None and None in given:
        own = own_grid(own_turn(points))
        if own is not None and own.width <= MOST_COLUMNS and not fits_usual(own):
            usual, words = own, f"the scan's own {own.height} rings and {own.width} rays a turn"
    height, width, up, down = given
    up, down = usual.fov_up_deg if up is None else up, usual.fov_down_deg if down is None else down
    if not -90 <= down < up <= 90:
        raise UserError(
            "the field of view must reach from a lower to a higher elevation",
            where="--fov-up, --fov-down",
            found=f"up {up:g}, down {down:g}",
            wanted="-90 <= down < up <= 90, in degrees above the horizon",
            do="mend the sign or the order; an HDL-64 has up 3, down -25",
        )
    names = ("--height", "--width", "--fov-up", "--fov-down")
    replaced = [name for name, value in zip(names, given, strict=True) if value is not None]
    if words and replaced:
        words = "" if len(replaced) == 4 else f"{words}, with {', '.join(replaced)} as given"
    return Sensor(height or usual.height, width or usual.width, up, down, usual.rows), words


def _check_rings(points: np.ndarray, height: int) -> None:
    """Raises UserError where the scan cannot be drawn ring by ring on so many rows."""
    from lidartune.canvas import ring_numbers
    from lidartune.pictures.grid import own_turn
    from lidartune.survey.turn import RINGS

    number = ring_numbers(points)
    count = int(number.max(initial=-1)) + 1
    if count % height == 0:
        return
    by_ring = own_turn(points).order == RINGS
    raise UserError(
        "this scan cannot be put onto rows by ring: its rings are not as many as the canvas has rows",
        where="--rows ring",
        found=f"{count} rings among {(number >= 0).sum():,} points"
        + ("" if by_ring else ", so the file is not stored ring by ring"),
        wanted=f"{height} rings, or a multiple of it",
        do=f"add --height {count}" if by_ring else "leave --rows ring out",
    )


def _doubts(points: np.ndarray, canvas: Canvas) -> list[str]:
    """What a person should know before they believe the picture."""
    from lidartune.pictures.grid import own_turn

    lines = []
    if canvas.mask.sum() < _FEW * len(points):
        lines.append(
            f"warning  only {canvas.mask.sum():,} of {len(points):,} points are in the picture: is this a scan of "
            "x, y, z and remission, and the canvas large enough?"
        )
    if canvas.mask.mean() < _FEW:
        turn = own_turn(points)
        found = [f"--{name} {value}" for name, value in (("height", turn.beams), ("width", turn.columns)) if value]
        do = " and ".join(found) if found else "a smaller --height and --width"
        lines.append(f"hint     less than {100 * _FEW:.0f} % of the pixels are filled: try {do}")
    return lines

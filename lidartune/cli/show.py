"""`lidartune show`: one scan as a picture, or as a page in which it can be turned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from lidartune.errors import UserError

if TYPE_CHECKING:
    from lidartune.canvas import Sensor
    from lidartune.pictures.labelled import LabelledScan
    from lidartune.scans import Taxonomy
    from lidartune.scoring.trained import TrainedNetwork

HDL_64 = (64, 2048, 3.0, -25.0)
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
@click.option("--width", type=int, help="Columns of the picture's canvas.  [default: 2048, or the run's]")
@click.option("--height", type=int, help="Its rows.  [default: 64, or the run's]")
@click.option("--fov-up", type=float, help="Elevation of its upper edge, in degrees.  [default: 3, or the run's]")
@click.option("--fov-down", type=float, help="Elevation of its lower edge.  [default: -25, or the run's]")
@click.option(
    "--rows",
    type=click.Choice(["elevation", "ring"]),
    default="elevation",
    show_default=True,
    help="A point's row in the picture: by its elevation, or by the order of a file that is stored ring by ring.",
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
    rows: Literal["elevation", "ring"],
) -> None:
    """Look at SCAN, a .bin file: range, remission, classes, prediction, errors.

    Classes are drawn where --taxonomy says what the label ids mean. Labels are looked for beside the scan.
    """
    _check_options(picture, page, taxonomy, labels, no_labels, prediction, run, epoch)
    from lidartune.canvas import Sensor, project
    from lidartune.pictures.labelled import label_path, read_labelled_scan
    from lidartune.pictures.scan import draw_labelled_scan, facts_line
    from lidartune.scans import load_taxonomy
    from lidartune.whole_file import write_whole

    known = load_taxonomy(taxonomy) if taxonomy else None
    beside = label_path(scan)
    chosen = None if no_labels else labels or (beside if beside.is_file() else None)
    shown = read_labelled_scan(scan, taxonomy=known, labels=chosen if known else None, prediction=prediction)
    usual = HDL_64
    if run is not None:
        network = _network(run, epoch)
        shown = _predicted(shown, network, known)
        usual = _grid(network.spec.canvas)
    given = (height, width, fov_up, fov_down)
    sensor = Sensor(*(usual[i] if value is None else value for i, value in enumerate(given)))  # type: ignore[arg-type]
    canvas = project(shown.points, sensor, rows=rows)
    facts, score = facts_line(canvas, sensor, rows), shown.score_line()
    click.echo(facts if score is None else f"{facts}\n{score}")
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


def _grid(sensor: Sensor) -> tuple[int, int, float, float]:
    return sensor.height, sensor.width, sensor.fov_up_deg, sensor.fov_down_deg

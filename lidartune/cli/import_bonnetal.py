"""`lidartune import-bonnetal`: a lidar-bonnetal model folder as a run in the store."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lidartune.runs.spec import Domain
    from lidartune.scans import Taxonomy


@click.command("import-bonnetal")
@click.argument("model_dir", type=click.Path(path_type=Path))
@click.option(
    "-o", "output", required=True, metavar="RUN", help="A run's folder results/runs/<name>, or the results folder."
)
@click.option(
    "--which",
    type=click.Choice(["valid", "train"]),
    default="valid",
    show_default=True,
    help="The weights of the best validation epoch, or of the best training epoch.",
)
@click.option(
    "--domain",
    type=click.Choice(["synthetic", "real"]),
    default="synthetic",
    show_default=True,
    help="Which of a study's domains it counts as trained on. Studies start from synthetic ones.",
)
def import_bonnetal(model_dir: Path, output: str, which: str, domain: Domain) -> None:
    """Put the network of MODEL_DIR, a folder that lidar-bonnetal wrote, into the store as RUN.

    Its canvas, normalisation and classes come along. It can predict, be shown and scored like any run, and studies can
    start from it. The folder's files are read as tensors and YAML only: nothing in them is run.
    """
    from safetensors.torch import save

    from lidartune.backbones import load_bonnetal
    from lidartune.runs import imported
    from lidartune.runs.store import Store

    network = load_bonnetal(model_dir, which=which)
    config = network.configuration
    assert config is not None
    weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    spec = imported.describe(network, weights, domain)
    results, run = imported.place_for(output, spec)
    fresh = imported.put_in(network, weights, spec, Store(results), run)
    place, sensor = shlex.quote(f"{results}/runs/{run}"), spec.canvas
    count = sum(parameter.numel() for parameter in network.parameters())
    crf = " with a CRF" if spec.network.crf else ""
    click.echo(
        f"{spec.backbone}{crf}, {count:,} parameters, {spec.network.num_classes} classes, "
        f"canvas {sensor.height} x {sensor.width}, {which} weights"
    )
    click.echo(f"\nrun         {place}" + ("" if fresh else "  (it was there already)"))
    click.echo(f"predict     lidartune predict {place} DIR -o OUT")
    click.echo(f"look        lidartune show SCAN --run {place} -o image.png")
    click.echo(f"start from  {_start_from(spec.backbone, place, domain, config.taxonomy)}")


def _start_from(backbone: str, place: str, domain: Domain, taxonomy: Taxonomy) -> str:
    """How a study starts from it, or why none can."""
    if not taxonomy.is_common:
        return f"no study can: its {taxonomy.num_classes} classes are not the common ones"
    if domain != "synthetic":
        return f"no study can: it counts as trained on {domain} scans (--domain)"
    return f"--set checkpoints.{backbone}={place} --set grid.pretrain_epochs=[0,checkpoint]"

"""`lidartune predict`: a trained network's classes for every point of a dataset, as files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from lidartune.cli.sequences import PARTS, SequenceList, Sequences, chosen
from lidartune.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from lidartune.scans import Dataset, ScanFile
    from lidartune.scoring.prediction_files import PredictionFolder
    from lidartune.scoring.trained import TrainedNetwork

GPU_BATCH = 8


@click.command()
@click.argument("run")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-o", "output", required=True, metavar="OUT", type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--epoch", type=click.IntRange(min=0), help="Which epoch's weights.  [default: the last that were kept]")
@click.option("--taxonomy", metavar="T", help="Whose raw ids to write.  [default: the one the run was trained with]")
@click.option("--sequences", type=SequenceList(), help="Predict these sequences.  [default: all]")
@click.option("--split", type=click.Choice(PARTS), help="Predict this part of the taxonomy's split.")
@click.option("--no-vote", is_flag=True, help="Each point takes its own pixel's class; no neighbours are asked.")
@click.option("--overwrite", is_flag=True, help="Predict again what is there of these sequences.")
@click.option("--device", help="cpu, cuda, cuda:1, ...  [default: a GPU where torch has one]")
@click.option("--batch", type=click.IntRange(min=1), help=f"Scans at once.  [default: 1, on a GPU {GPU_BATCH}]")
@click.option(
    "--speed",
    type=click.Choice(["exact", "fast", "compiled"]),
    default="exact",
    show_default=True,
    help="exact: as the study scored it. fast: rounded otherwise. compiled: SqueezeSeg faster still, after 10 to 20 s.",
)
def predict(
    run: str,
    folder: Path,
    output: Path,
    epoch: int | None,
    taxonomy: str | None,
    sequences: Sequences | None,
    split: str | None,
    no_vote: bool,
    overwrite: bool,
    device: str | None,
    batch: int | None,
    speed: Literal["exact", "fast", "compiled"],
) -> None:
    """Predict every scan of the dataset in DIR by the network of RUN, a folder results/runs/<name>-<id>.

    DIR needs no labels. OUT gets sequences/NN/predictions/*.label in raw ids, as semantic-kitti-api wants them. What is
    there already is left as it is, so that the same command goes on where it was interrupted. Points that no canvas can
    hold (at the sensor's origin, NaN, infinite) get the raw id of class 0.
    """
    import torch

    from lidartune.processes import available_processors
    from lidartune.scans import load_taxonomy, open_dataset
    from lidartune.scoring.prediction_files import PredictionFolder
    from lidartune.scoring.trained import load_trained

    place = _device(device)
    if place.type == "cpu":
        torch.set_num_threads(available_processors())
    network = load_trained(run, epoch, place)
    known = load_taxonomy(taxonomy) if taxonomy else network.taxonomy()
    network.check_taxonomy(known)
    dataset = open_dataset(folder, known)
    scans = dataset.scans(chosen(known, sequences, split))
    author = {
        "run": network.run,
        "epoch": network.epoch,
        "weights": network.weights_sha256[:16],
        "taxonomy": known.digest[:16],
        "vote": not no_vote,
        "speed": speed,
    }
    size = batch or (GPU_BATCH if place.type == "cuda" else 1)
    with _memory_named(size):
        network = network.at_speed(speed, batch=size)  # what cannot be made has not touched the folder
    target = PredictionFolder(output, author)
    target.claim(dataset, scans, overwrite=overwrite)
    missing = [scan for scan in scans if not target.is_there(scan)]
    click.echo(f"{network.run}, epoch {network.epoch}, on {place}; raw ids of {known.name}")
    seconds = _predict(network, dataset, missing, target, use_vote=not no_vote, batch=size)
    _tell(seconds, len(missing), len(scans))
    click.echo(f"\npredictions  {output}")
    if all(scan.labels for scan in scans):
        click.echo(f"score them   lidartune evaluate {output} {folder} --taxonomy {known.name}")
    else:
        click.echo(f"submit them  cd {output} && zip -r submission.zip sequences -x '*.json'")


def _predict(
    network: TrainedNetwork,
    dataset: Dataset,
    scans: list[ScanFile],
    target: PredictionFolder,
    *,
    use_vote: bool,
    batch: int,
) -> float:
    """Predicts and writes the scans; returns the seconds that it took."""
    from lidartune.processes import available_processors, reporter
    from lidartune.scoring.predict import predict_scans

    def write(scan: ScanFile, classes: np.ndarray) -> None:
        target.write(scan, dataset.taxonomy.to_raw(classes))

    began = time.perf_counter()
    busy = 2 if network.device.type == "cpu" else 1  # the network keeps the processors busy itself
    threads = max(1, available_processors() // busy)
    with _memory_named(batch), reporter(True, len(scans), "predict") as report:
        written = predict_scans(network, scans, write, use_vote=use_vote, batch=batch, threads=threads)
        for done, _ in enumerate(written, start=1):
            report(done, len(scans))
    return time.perf_counter() - began


@contextmanager
def _memory_named(batch: int) -> Iterator[None]:
    """One message where a GPU's memory is full."""
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise UserError(
            "out of GPU memory", found=f"--batch {batch}", do="choose a smaller --batch; what is written stays"
        ) from None


def _tell(seconds: float, done: int, total: int) -> None:
    kept = f"; {total - done:,} were there already" if done < total else ""
    if not done:
        click.echo(f"nothing to do: all {total:,} scans are predicted already")
    else:
        click.echo(f"{done:,} scans in {seconds:.1f} s ({done / seconds:.1f} scans/s){kept}")


def _device(name: str | None) -> torch.device:
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError("no such device", where="--device", found=name, wanted="cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError("no such device", where="--device", found=name, wanted="cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            "torch cannot use this GPU",
            where="--device",
            found=f"{name}; torch {torch.__version__}, built for CUDA {torch.version.cuda}, "
            f"sees {torch.cuda.device_count()} GPUs",
            wanted="a GPU that torch sees",
            do="leave --device out, or install a torch build that fits the driver",
        )
    return device

"""`lidartune export`: a trained network as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from lidartune.errors import UserError


@click.command()
@click.argument("run")
@click.option("-o", "output", required=True, metavar="ONNX", type=click.Path(path_type=Path), help="File to write.")
@click.option("--epoch", type=click.IntRange(min=0), help="Which epoch's weights.  [default: the last that were kept]")
def export(run: str, output: Path, epoch: int | None) -> None:
    """Write the network of RUN, a folder results/runs/<name>-<id>, as an ONNX model.

    It takes raw range images (image: B x 5 x H x W: range, x, y, z in metres, remission) and where they hold a point
    (mask: B x H x W), and gives logits. Class names, canvas and normalisation are in its metadata. It is written only
    where onnxruntime predicts the same classes as torch. Needs onnx and onnxruntime: pip install 'lidartune[export]'.
    """
    import torch

    from lidartune.export.agreement import agreement
    from lidartune.export.onnx_model import OPSET, needed, onnx_model
    from lidartune.processes import available_processors
    from lidartune.scoring.trained import load_trained
    from lidartune.whole_file import write_whole

    if output.suffix.lower() != ".onnx":
        raise UserError("this is no ONNX model's name", where="-o", found=output, wanted="a name that ends in .onnx")
    for package in ("onnx", "onnxruntime"):
        needed(package)
    torch.set_num_threads(available_processors())
    network = load_trained(run, epoch, torch.device("cpu"))
    model = onnx_model(network)
    found = agreement(model, network)
    if not found.same:
        raise UserError(
            "onnxruntime does not predict what torch predicts: nothing was written",
            where=f"{network.run}, epoch {network.epoch}",
            found=f"{found.differing:,} of {found.pixels:,} pixels have another class; the logits differ by up to "
            f"{found.largest_difference:.1e} of the largest",
            do="install the onnx and onnxruntime that constraints.txt names; if it stays, report it",
        )
    write_whole(output, model)
    sensor = network.spec.canvas
    click.echo(
        f"{network.run}, epoch {network.epoch}: {len(model) / 2**20:.1f} MiB, opset {OPSET}, "
        f"canvas {sensor.height} x {sensor.width}, {network.num_classes} classes"
    )
    draws = f" but for {found.draws:,} draws" if found.draws else ""
    click.echo(
        f"onnxruntime {needed('onnxruntime').__version__} predicts the same classes as torch on {found.pixels:,} pixels"
        f"{draws}; the logits differ by up to {found.largest_difference:.1e} of the largest"
    )
    click.echo(f"\nmodel  {output}")

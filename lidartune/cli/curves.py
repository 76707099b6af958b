"""`lidartune curves`: a pretraining and a fine-tuning that somebody else ran, in one frame and one table."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("pretraining", type=click.Path(path_type=Path))
@click.argument("finetuning", type=click.Path(path_type=Path))
@click.option("-o", "output", required=True, type=click.Path(path_type=Path), help="Folder for figure and tables.")
@click.option("--scratch", type=click.Path(path_type=Path), help="The log of a training from scratch, if there is one.")
@click.option("--tag", help="The scalar that is the validation mIoU. [default: valid_iou, or lidartune's own]")
@click.option("--study", help="A study, results/<study> or s3://bucket/results/<study>, shown beside them.")
def curves(
    pretraining: Path, finetuning: Path, output: Path, scratch: Path | None, tag: str | None, study: str | None
) -> None:
    """Does fine-tuning start where pretraining ended? From two logs, without a study.

    PRETRAINING and FINETUNING are log folders of lidar-bonnetal, or TensorBoard event files (events.out.tfevents...) or
    folders that hold one training's. They are read as numbers only: nothing in them is run. What they cannot tell is
    listed as unknown.
    """
    from lidartune.report import load_study
    from lidartune.report.foreign import Curves
    from lidartune.report.foreign_log import read_log
    from lidartune.report.foreign_write import write_curves
    from lidartune.runs.mirror import study_folder

    read = Curves(
        pretraining=read_log(pretraining, tag=tag, domain="synthetic"),
        finetuning=read_log(finetuning, tag=tag),
        scratch=read_log(scratch, tag=tag) if scratch is not None else None,
    )
    results = load_study(study_folder(study)) if study is not None else None
    for line in write_curves(read, output, results):
        click.echo(line)
    click.echo(f"\nfigure  {output / 'curves.svg'}")

"""`lidartune stats`: a dataset's class shares, channel means and deviations, as a data config."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lidartune.cli.console import console
from lidartune.cli.sequences import SequenceList, Sequences
from lidartune.errors import UserError

if TYPE_CHECKING:
    from lidartune.scans import Dataset
    from lidartune.survey.data_config import Split

_part: Callable[..., Any] = partial(click.option, type=SequenceList())


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--taxonomy", required=True, metavar="T", help="Name of a built-in taxonomy, or path of a data config.")
@click.option("-o", "output", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The YAML to write.")
@click.option("--split", "part", type=click.Choice(["train", "valid", "test"]), help="Measure this part of the split.")
@_part("--sequences", help="Measure these sequences.  [default: the train split, else all]")
@_part("--train", help="The split to write; default the taxonomy's, as far as the folder has its sequences.")
@_part("--valid", help="Likewise.")
@_part("--test", help="Likewise.")
@click.option("--scans", type=click.IntRange(min=1), help="Measure only so many scans, spread over all of them.")
@click.option("--width", default=2048, show_default=True, help="Columns of the canvas for means and deviations.")
@click.option("--height", default=64, show_default=True, help="Its rows.")
@click.option("--fov-up", default=3.0, show_default=True, help="Elevation of its upper edge, in degrees.")
@click.option("--fov-down", default=-25.0, show_default=True, help="Elevation of its lower edge, in degrees.")
@click.option("--processes", type=click.IntRange(min=1), help="How many to use.  [default: all processors]")
@click.option("--skip-faulty", is_flag=True, help="Leave out scans that cannot be counted; the file names them.")
def stats(
    folder: Path,
    taxonomy: str,
    output: Path,
    part: str | None,
    sequences: Sequences | None,
    train: Sequences | None,
    valid: Sequences | None,
    test: Sequences | None,
    scans: int | None,
    width: int,
    height: int,
    fov_up: float,
    fov_down: float,
    processes: int | None,
    skip_faulty: bool,
) -> None:
    """Measure the dataset in DIR: class shares, and means and deviations of the five channels.

    Writes a data config that lidar-bonnetal, semantic-kitti-api and lidartune read. It can be interrupted at any time;
    the same command goes on from there.
    """
    from lidartune.canvas import Sensor
    from lidartune.scans import open_dataset
    from lidartune.scans.splits import spelled
    from lidartune.survey import data_config, stats_tables
    from lidartune.survey.stats import StatsSettings, measure
    from lidartune.survey.stats_journal import Journal
    from lidartune.whole_file import write_whole

    sensor = Sensor(height, width, fov_up, fov_down)
    dataset = open_dataset(folder, taxonomy)
    data_config.refuse_other_files(output)
    split = data_config.written_split(dataset, {"train": train, "valid": valid, "test": test})
    given = (train, valid, test) != (None, None, None)
    chosen, why = _chosen(dataset, split, part, sequences, given=given)
    click.echo(f"measuring sequences {spelled(chosen)} ({why})")
    settings = StatsSettings(sequences=chosen, sensor=sensor, scans=scans)
    if not any(split.values()):
        split = {"train": chosen, "valid": (), "test": ()}
    with Journal(output) as journal:
        sums = measure(
            dataset,
            settings,
            journal,
            skip_faulty=skip_faulty,
            processes=processes,
            tell=lambda text: click.echo(text, err=True),
        )
        text = data_config.config_text(dataset.taxonomy, settings, sums, split)
        write_whole(output, text.encode())
        journal.remove()
    for table in (stats_tables.class_table(dataset.taxonomy, sums), stats_tables.channel_table(sums)):
        console().print(table, crop=False)
    for line in stats_tables.notes(dataset.taxonomy, settings, sums, split):
        click.echo(line)
    click.echo(f"\ndata config  {output}")


def _chosen(
    dataset: Dataset, split: Split, part: str | None, sequences: Sequences | None, *, given: bool
) -> tuple[Sequences, str]:
    """The sequences to measure, and why these."""
    from lidartune.scans.splits import spelled
    from lidartune.survey import data_config

    if sequences is not None:
        if part is not None:
            raise UserError("--split and --sequences cannot go together", do="give one of them")
        return data_config.present(dataset, sequences), "--sequences"
    wanted = part or "train"
    if split[wanted]:
        published = () if given else dataset.taxonomy.split.get(wanted, ())
        absent = [number for number in published if number not in dataset.sequences]
        partly = f"; {len(absent)} of its {len(published)} sequences are not in this folder" if absent else ""
        return split[wanted], f"the {wanted} split{' as given' if given else ''}{partly}"
    if part is not None:
        raise UserError(
            f"the {part} split has no sequence in this folder",
            where=dataset.root,
            found=f"sequences {spelled(dataset.sequences)}",
            do=f"name its sequences with --{part}, or name the sequences to measure with --sequences",
        )
    return tuple(dataset.sequences), "all there are: no train split names any of them"

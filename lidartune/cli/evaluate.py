"""`lidartune evaluate`: predictions in files against a dataset's labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lidartune.cli.console import console
from lidartune.cli.sequences import PARTS, SequenceList, Sequences, chosen
from lidartune.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lidartune.scans import Taxonomy
    from lidartune.scoring.blocks import Block

# Points of a class that a block holds though the rule leaves all of them out: enough to count as being there, too few
# to be seen in a figure.
TRACE = 1e-9
TOOLS = {"semantic-kitti": "semantic-kitti-api", "bonnetal": "lidar-bonnetal"}


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--taxonomy", required=True, metavar="T", help="Name of a built-in taxonomy, or path of a data config.")
@click.option("--sequences", type=SequenceList(), help="Score these sequences.  [default: those with predictions]")
@click.option("--split", type=click.Choice(PARTS), help="Score this part of the taxonomy's split.")
@click.option(
    "--rule",
    type=click.Choice(list(TOOLS)),
    default="semantic-kitti",
    show_default=True,
    help="What a prediction 'ignored' on a labelled point is: an error, or (bonnetal) left out.",
)
@click.option("--block", default=50, show_default=True, type=click.IntRange(min=1), help="Scans of a block.")
@click.option("--json", "output", metavar="F", type=click.Path(path_type=Path), help="Also write all figures here.")
@click.option("--processes", type=click.IntRange(min=1), help="How many to use.  [default: all processors]")
def evaluate(
    predictions: Path,
    folder: Path,
    taxonomy: str,
    sequences: Sequences | None,
    split: str | None,
    rule: str,
    block: int,
    output: Path | None,
    processes: int | None,
) -> None:
    """Score PREDICTIONS against the labels of the dataset in DIR, on points.

    PREDICTIONS holds sequences/NN/predictions/*.label (or NN/predictions/*.label) in the raw ids of the taxonomy. The
    interval resamples blocks of consecutive scans: it says how far a figure hangs on which scans were tested.
    """
    from lidartune.scans import open_dataset
    from lidartune.scoring.evaluate_files import count_blocks, pair_up
    from lidartune.scoring.prediction_files import find_predictions

    dataset = open_dataset(folder, taxonomy)
    folders = find_predictions(predictions)
    wanted = chosen(dataset.taxonomy, sequences, split) or tuple(folders)
    pairs, extra = pair_up(dataset, folders, wanted)
    blocks = count_blocks(dataset.taxonomy, pairs, block=block, processes=processes)
    values = figures(blocks, dataset.taxonomy, rule, block)
    _show(values)
    if extra:
        noun = "prediction belongs" if extra == 1 else "predictions belong"
        click.echo(f"{extra:,} {noun} to no scan of these sequences: left out")
    if output is not None:
        write_whole(output, json.dumps(values) + "\n")
        click.echo(f"\nfigures  {output}")


def figures(blocks: Sequence[Block], taxonomy: Taxonomy, rule: str, block: int) -> dict[str, Any]:
    """All that is known of the predictions, as JSON values; None is n/a."""
    import numpy as np

    from lidartune.scoring.confusion import ConfusionMatrix

    forgive = rule == "bonnetal"
    total = ConfusionMatrix(taxonomy.num_classes, taxonomy.ignore)
    for part in blocks:
        total += part.points
    counts = _bootstrap_counts(blocks, forgive)
    real = [c for c in range(taxonomy.num_classes) if c not in taxonomy.ignore]
    iou = total.iou(ignore_predicted=forgive)
    labelled = total.counted(False)
    classes = []
    for c in real:
        points = int(labelled[c].sum())
        figure = {"iou": _or_none(iou[c]), **_bounds(counts[..., [c - 1]] if points else None)}
        classes.append({"class": c, "name": taxonomy.names[c], "points": points} | figure)
    bounds = _bounds(counts if labelled.any() else None)
    return {
        "taxonomy": taxonomy.name,
        "taxonomy_digest": taxonomy.digest,
        "rule": rule,
        "sequences": list(dict.fromkeys(part.sequence for part in blocks)),
        "scans": sum(part.scans for part in blocks),
        "labelled_points": int(labelled.sum()),
        "predicted_ignored": int(labelled[:, list(taxonomy.ignore)].sum()),
        "miou": _or_none(total.miou(ignore_predicted=forgive)),
        "miou_low": bounds["low"],
        "miou_high": bounds["high"],
        "classes_in_mean": int(np.count_nonzero(~np.isnan(iou))),
        "accuracy": _or_none(total.accuracy(ignore_predicted=forgive)),
        "tool": {
            "name": TOOLS[rule],
            "miou": _or_none(total.miou(ignore_predicted=forgive, absent_as_zero=True)),
            "accuracy": _or_none(total.accuracy(ignore_predicted=True)),
        },
        "classes": classes,
        "confusion_matrix": total.matrix.tolist(),
        "block_scans": block,
        "blocks": [part.as_dict() | {"scans": part.scans} for part in blocks],
    }


def _bounds(counts: Any | None) -> dict[str, float | None]:
    """The 95 % interval of the mean IoU of `counts`; None of a class without ground truth."""
    from lidartune.transfer.blocks import block_bootstrap

    low, high = (float("nan"),) * 2 if counts is None else block_bootstrap(counts)
    return {"low": _or_none(low), "high": _or_none(high)}


def _bootstrap_counts(blocks: Sequence[Block], forgive: bool) -> Any:
    """(1, B, 3, C-1) counts for `block_bootstrap`, by the rule.

    `block_bootstrap` draws blocks such that every class is in the ground truth, and takes a class to be there that
    has points. One whose points of a block are all left out by the rule is there still: TRACE says so.
    """
    import numpy as np

    from lidartune.transfer.blocks import block_counts

    present = np.stack([part.points.counted(False).sum(axis=1) > 0 for part in blocks])[:, 1:]
    counts = block_counts(np.stack([part.points.counted(forgive) for part in blocks]))
    counts[:, 0] = np.where(present & (counts[:, 0] == 0), TRACE, counts[:, 0])
    return counts[None]


def _show(values: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from lidartune.scans.splits import spelled

    names = spelled(map(int, values["sequences"]))
    click.echo(
        f"sequences {names}: {values['scans']:,} scans, {values['labelled_points']:,} labelled points; "
        f"taxonomy {values['taxonomy']}, rule {values['rule']}"
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for head in ("class", "IoU %", "95 % interval", "labelled points"):
        table.add_column(head, justify="left" if head == "class" else "right", no_wrap=True)
    for entry in values["classes"]:
        interval = _interval(entry["low"], entry["high"])
        table.add_row(entry["name"], _percent(entry["iou"]), interval, f"{entry['points']:,}")
    console().print(table)
    for line in _lines(values):
        click.echo(line)


def _lines(values: dict[str, Any]) -> list[str]:
    absent = [entry["name"] for entry in values["classes"] if entry["iou"] is None]
    mean = f"mean of {values['classes_in_mean']} of {len(values['classes'])} classes"
    interval = _interval(values["miou_low"], values["miou_high"])
    lines = [
        "  ".join(part for part in (f"mIoU      {_percent(values['miou'])} %", interval, mean) if part),
        f"accuracy  {_percent(values['accuracy'])} %",
    ]
    if absent:
        lines.append(f"n/a: not in the ground truth, in no mean: {', '.join(absent)}")
    if values["predicted_ignored"]:
        count, kept = values["predicted_ignored"], "errors" if values["rule"] == "semantic-kitti" else "left out"
        lines.append(f"{count:,} labelled points are predicted as ignored: {kept} by this rule")
    tool = values["tool"]
    for name, ours, theirs, why in (
        ("IoU avg", values["miou"], tool["miou"], "classes without ground truth count as 0"),
        ("Acc avg", values["accuracy"], tool["accuracy"], "points predicted as ignored are left out"),
    ):
        if ours is not None and f"{ours:.3f}" != f"{theirs:.3f}":
            lines.append(f"{tool['name']} prints {name} {theirs:.3f}: there {why}")
    if values["miou"] is not None and values["miou_low"] is None:
        count, size = len(values["blocks"]), values["block_scans"]
        noun = f"{count} block{'s' if count > 1 else ''} of up to {size} scan{'s' if size > 1 else ''}"
        more = "; a smaller --block gives more" if size > 1 else ""
        lines.append(f"no interval: {noun} hold{'' if count > 1 else 's'} too little to be resampled{more}")
    return lines


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None else f"[{_percent(low)}, {_percent(high)}]"


def _or_none(value: float) -> float | None:
    return float(value) if value == value else None

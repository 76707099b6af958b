"""What `lidartune stats` prints: the measured figures as tables, and what a reader must know of them."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from lidartune.canvas import CHANNELS
from lidartune.scans import Taxonomy
from lidartune.survey.data_config import Split
from lidartune.survey.stats import StatsSettings
from lidartune.survey.stats_sums import Sums


def class_table(taxonomy: Taxonomy, sums: Sums) -> Table:
    """Points and share of each class; beside them the shares that the taxonomy's file has, where it has any."""
    counts, published = sums.class_counts(taxonomy), taxonomy.class_content()
    table = _table(f"Classes of {sums.points:,} points in {sums.scans:,} scans")
    for header in ("class", "points", "share"):
        table.add_column(header, justify="left" if header == "class" else "right")
    if published is not None:
        table.add_column("share in the taxonomy", justify="right")
        table.add_column("ratio", justify="right")
    for number, name in enumerate(taxonomy.names):
        share = int(counts[number]) / sums.points
        row = [f"{number} {name}", f"{int(counts[number]):,}", _percent(share)]
        if published is not None:
            known = float(published[number])
            row += [_percent(known), f"{share / known:.3g}" if known else "n/a"]
        table.add_row(Text(row[0]), *row[1:])
    return table


def channel_table(sums: Sums) -> Table:
    """Mean and standard deviation of each channel over the valid pixels."""
    table = _table(f"Channels of {sums.moments.count:,} valid pixels")
    for header in ("channel", "mean", "std"):
        table.add_column(header, justify="left" if header == "channel" else "right")
    means, stds = sums.moments.mean_and_std()
    for name, mean, std in zip(CHANNELS, means, stds, strict=True):
        table.add_row(name if name == "remission" else f"{name}, m", f"{mean:.4f}", f"{std:.4f}")
    return table


def notes(taxonomy: Taxonomy, settings: StatsSettings, sums: Sums, split: Split) -> list[str]:
    """Sentences below the tables."""
    sensor = settings.sensor
    canvas = f"{sensor.height} x {sensor.width}, {sensor.fov_up_deg:+g} to {sensor.fov_down_deg:+g} degrees"
    lines = [f"means and deviations are those of this canvas: {canvas}"]
    missing = [
        taxonomy.names[c] for c, n in enumerate(sums.class_counts(taxonomy)) if not n and c not in taxonomy.ignore
    ]
    if missing:
        lines.append(f"not one point: {', '.join(missing)}; their loss weights would be the largest there are")
    if sums.faults:
        shown = [f"  {fault.scan}: {fault.reason}" for fault in sums.faults[:10]]
        more = [f"  and {len(sums.faults) - 10:,} more"] if len(sums.faults) > 10 else []
        lines += [f"left out {len(sums.faults):,} faulty scans; the file names them:", *shown, *more]
    if not split["train"] or not split["valid"]:
        lines.append("the split in the file has no validation sequences: name them with --valid before you train on it")
    return lines


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)


def _percent(share: float) -> str:
    return f"{100 * share:.4f} %"

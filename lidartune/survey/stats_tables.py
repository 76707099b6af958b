"""What `lidartune stats` prints: the measured figures as tables, and what a reader must know of them."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lidartune.canvas import CHANNELS
from lidartune.scans import Taxonomy
from lidartune.survey.bins import FARTHEST_M, LARGEST_REMISSION
from lidartune.survey.data_config import Split
from lidartune.survey.findings import counted
from lidartune.survey.stats import StatsSettings
from lidartune.survey.stats_sums import Sums


def class_table(taxonomy: Taxonomy, sums: Sums) -> Group:
    """Points and share of each class; beside them the shares that the taxonomy's file has, where it has any."""
    counts, published = sums.class_counts(taxonomy), taxonomy.class_content()
    table = _table()
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
    return Group(Text(f"Classes of {counted(sums.points, 'point')} in {counted(sums.scans, 'scan')}", "bold"), table)


def channel_table(sums: Sums) -> Group:
    """Mean and standard deviation of each channel over the valid pixels."""
    table = _table()
    for header in ("channel", "mean", "std"):
        table.add_column(header, justify="left" if header == "channel" else "right")
    means, stds = sums.moments.mean_and_std()
    for name, mean, std in zip(CHANNELS, means, stds, strict=True):
        table.add_row(name if name == "remission" else f"{name}, m", f"{mean:.4f}", f"{std:.4f}")
    return Group(Text(f"Channels of {counted(sums.moments.count, 'valid pixel')}", "bold"), table)


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
    if sums.far:
        lines.append(
            f"warning: {counted(sums.far, 'point')} beyond {FARTHEST_M:,.0f} m, in the means and deviations all the "
            "same: find out what wrote them (lidartune check names the files), and measure again"
        )
    if sums.odd_remissions:
        lines.append(
            f"warning: {counted(sums.odd_remissions, 'point')} with remission that is negative or above "
            f"{LARGEST_REMISSION:,.0f}, in the means and deviations all the same: find out what wrote them"
        )
    if sums.faults:
        shown = [f"  {fault.scan}: {fault.reason}" for fault in sums.faults[:10]]
        more = [f"  and {len(sums.faults) - 10:,} more"] if len(sums.faults) > 10 else []
        lines += [f"left out {counted(len(sums.faults), 'faulty scan')}; the file names them:", *shown, *more]
    if not split["train"] or not split["valid"]:
        lines.append("the split in the file has no validation sequences: name them with --valid before you train on it")
    return lines


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False)


def _percent(share: float) -> str:
    return f"{100 * share:.4f} %"

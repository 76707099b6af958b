"""What the terminal, Markdown and the page show: the gap table and the matrix, in percent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from lidartune.report.groups import Group, group_cells, mean_score, mean_scores, plain_reason
from lidartune.report.headline import count, headline
from lidartune.report.results import StudyResults
from lidartune.report.tables import TRAINED_ON, trained_on
from lidartune.transfer import gap

NA = "n/a"
_KEY_HEADS = ("backbone", "width", "pre\nepochs", "freeze", "real\nscans")
_KEY_WORDS = ("backbone {}", "width {}", "pretraining epochs {}", "freeze {}", "labelled real scans {}")
_SHORT = {
    "synthetic": "S", "real": "R", "synthetic then real": "S,R", "synthetic then synthetic": "S,S",
    "real then real": "R,R", "real then synthetic": "R,S", "real (all scans)": "Rall",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of strings for people; `left` says how many columns hold names."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    left: int
    notes: list[str] = field(default_factory=list)


def percent(value: float) -> str:
    """mIoU in percent, one decimal."""
    return NA if np.isnan(value) else f"{100 * value + 0.0:.1f}"


def with_half_width(interval: gap.Interval) -> str:
    """A difference in points with the half width of its interval."""
    if np.isnan(interval.mean):
        return NA
    mean = f"{100 * float(interval.mean):+.1f}"
    return mean if np.isnan(interval.high) else f"{mean} ±{100 * float(interval.high - interval.mean):.1f}"


def closed(interval: gap.Interval) -> str:
    """Gap closed in percent."""
    return NA if np.isnan(interval.mean) else f"{100 * float(interval.mean):.0f}%"


_GAP_COLUMNS: tuple[tuple[str, str, Callable[[gap.Interval], str]], ...] = (
    ("S→S", "synthetic_to_synthetic", lambda i: percent(i.mean)),
    ("S→R", "synthetic_to_real", lambda i: percent(i.mean)),
    ("domain\ngap", "domain_gap", with_half_width),
    ("fine-\ntuned", "finetuned", lambda i: percent(i.mean)),
    ("scra-\ntch", "scratch", lambda i: percent(i.mean)),
    ("scratch\nlonger", "scratch_longer", lambda i: percent(i.mean)),
    ("all\nscans", "full_longer", lambda i: percent(i.mean)),
    ("gain, equal\nfine-tuning", "gain_equal_finetuning", with_half_width),
    ("gain, equal\ntotal", "gain_equal_total", with_half_width),
    ("gap\nclosed", "gap_closed", closed),
    ("jump-\nstart", "jumpstart", lambda i: NA if np.isnan(i.mean) else f"{100 * float(i.mean):+.1f}"),
)


def caption(results: StudyResults) -> list[str]:
    """What the figures are, then the notes of the manifest."""
    planned = sorted({len(g.cells) for g in group_cells(results)})
    seeds = f"{planned[0]} to {planned[-1]} seeds" if len(planned) > 1 else count(planned[0] if planned else 0, "seed")
    lines = [
        "Figures: mIoU in percent, on points, whole test split, last epoch, mean over "
        f"{seeds}; gains in percentage points, ± = half width of the 95 % t interval of paired differences.",
        f"Means over {int(results.class_sets['real'].sum())} classes in the real test split and "
        f"{int(results.class_sets['synthetic'].sum())} in the synthetic one; an epoch is "
        f"{count(results.updates_per_epoch, 'update')}, fine-tuning {count(results.finetune_epochs, 'epoch')}. "
        "n/a = not there or not defined.",
    ]
    return lines + list(results.notes)


def gap_text(results: StudyResults) -> TextTable:
    """The compact gap table: a row a setting."""
    groups = group_cells(results)
    heads, keys, constant = _keys(groups)
    rows = []
    for group, key in zip(groups, keys, strict=True):
        measures = gap.measure(mean_scores(results, group))
        seeds = f"{group.done}/{len(group.cells)}" + ("" if group.status == "done" else f" {group.status}")
        if group.key[2] == 0:  # no pretraining: fine-tuning updates are all there are
            measures["full_longer"] = measures["full"]
        figures = [show(measures[name]) for _, name, show in _GAP_COLUMNS]
        rows.append([*key, seeds, *figures])
    notes = constant + [
        "S→S, S→R: trained on synthetic, scored on synthetic / real (zero-shot); domain gap: how far S→R is below "
        "training on all real scans for as many updates. scratch longer, all scans: from scratch for as many updates "
        "as pretraining and fine-tuning together, the latter on all labelled real scans."
    ]
    return TextTable(
        title="Transfer gap",
        heads=[*heads, "seeds", *(head for head, _, _ in _GAP_COLUMNS)],
        rows=rows,
        left=len(heads) + 1,
        notes=notes,
    )


def matrix_text(results: StudyResults) -> TextTable:
    """Trained on x scored on, a row a setting, all after the same number of updates."""
    groups = group_cells(results)
    heads, keys, constant = _keys(groups)
    columns = [(trained, domain) for trained in TRAINED_ON for domain in ("synthetic", "real")]
    rows = []
    for group, key in zip(groups, keys, strict=True):
        roles = trained_on(group)
        figures = []
        for trained, domain in columns:
            values = [mean_score(results, c, roles[trained], domain) for c in group.cells] if trained in roles else []
            figures.append(percent(float(gap.nan_mean(np.array(values, dtype=np.float64), 0))))
        rows.append([*key, *figures])
    return TextTable(
        title="Trained on, scored on, at equal total updates",
        heads=[*heads, *(f"{_SHORT[trained]}\n→{domain[0].upper()}" for trained, domain in columns)],
        rows=rows,
        left=len(heads),
        notes=[
            *constant,
            "S synthetic, R real (the labelled scans), Rall real (all scans); S,R = synthetic then real.",
        ],
    )


def absent_lines(results: StudyResults, limit: int = 12) -> list[str]:
    """Which cells are not done and why, those of one reason together."""
    found: dict[str, int] = {}
    for cell in results.cells:
        if cell.status != "done":
            line = f"{cell.status}: {plain_reason(cell.reason)}"
            found[line] = found.get(line, 0) + 1
    lines = [
        f"{count(n, 'cell')} {reason}" for reason, n in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
    rest = len(lines) - limit
    return lines[:limit] + ([f"and {rest} more reasons, see cells.csv"] if rest > 0 else [])


def print_tables(results: StudyResults, console: Console) -> None:
    """Gap table, matrix, what is not there, and the headline, for a terminal of 120 columns."""
    for line in caption(results):
        console.print(Text(line, style="dim"))
    for table in (gap_text(results), matrix_text(results)):
        for drawn in _by_backbone(table):
            # Never folded or cut: a narrow terminal wraps whole lines, a log file keeps them.
            wide = console.options.update(max_width=400)
            wide = wide.update(width=Measurement.get(console, wide, drawn).maximum)
            lines = [[*line, Segment.line()] for line in console.render_lines(drawn, wide, pad=False)]
            console.print(Segments(part for line in lines for part in line), crop=False, soft_wrap=True)
        for note in table.notes:
            console.print(Text(note, style="dim"))
        console.print()
    for line in absent_lines(results):
        console.print(Text(line, style="yellow"))
    for line in headline(results):
        console.print(Text(line, style="bold"))


def _by_backbone(table: TextTable) -> list[Table]:
    """One table for each backbone where they vary: its name is then the title, not a wide column."""
    if table.heads[0] != _KEY_HEADS[0] or table.left == 1:
        return [_rich(table)]
    names = list(dict.fromkeys(row[0] for row in table.rows))
    return [
        _rich(
            TextTable(
                title=f"{table.title}: {name}",
                heads=table.heads[1:],
                rows=[row[1:] for row in table.rows if row[0] == name],
                left=table.left - 1,
            )
        )
        for name in names
    ]


def _rich(table: TextTable) -> Table:
    drawn = Table(title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for index, head in enumerate(table.heads):
        drawn.add_column(Text(head), justify="left" if index < table.left else "right", no_wrap=True, vertical="bottom")
    for row in table.rows:
        drawn.add_row(*(Text(value, style="dim" if value == NA else "") for value in row))
    return drawn


def _keys(groups: list[Group]) -> tuple[list[str], list[list[str]], list[str]]:
    """Column heads and fields of the key's parts that vary, and a line for those that do not."""
    values = [[str(part) for part in group.key] for group in groups]
    varying = [i for i in range(len(_KEY_HEADS)) if len({v[i] for v in values}) > 1] or [0]
    constant = [_KEY_WORDS[i].format(values[0][i]) for i in range(len(_KEY_HEADS)) if i not in varying and values]
    line = ["Throughout: " + ", ".join(constant) + "."] if constant else []
    return [_KEY_HEADS[i] for i in varying], [[v[i] for i in varying] for v in values], line

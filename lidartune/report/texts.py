"""What the terminal, Markdown, LaTeX and the page show: the gap table and the matrix as text, in percent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lidartune.report.groups import KEY, Group, group_cells, mean_score, measures, plain_reason
from lidartune.report.results import StudyResults
from lidartune.report.scores import DOMAINS
from lidartune.report.settings import TRAINED_ON, trained_on
from lidartune.transfer import gap

NA = "n/a"
NOT_HERE = "–"  # stands in another row
KEY_HEADS = ("backbone", "width", "pre\nepochs", "freeze", "real\nscans")
_KEY_WORDS = ("backbone {}", "width {}", "pretraining epochs {}", "freeze {}", "labelled real scans {}")
# Two-stage controls: never frozen, so they stand in the rows with nothing frozen.
_CONTROLS = ("synthetic then synthetic", "real then real", "real then synthetic")
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


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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
    """Gap closed in percent with its interval, which is not symmetric: `64% [31, 502]`."""
    if np.isnan(interval.mean):
        return NA
    mean, low, high = (round(100 * float(end)) for end in (interval.mean, interval.low, interval.high))
    return f"{mean}% [{low}, {high}]"


def row_interval(row: Mapping[str, Any], name: str) -> gap.Interval:
    """The interval that columns.interval_fields wrote into a row."""
    return gap.Interval(mean=row[name], low=row[f"{name}_low"], high=row[f"{name}_high"], seeds=row[f"{name}_seeds"])


_GAP_COLUMNS: tuple[tuple[str, str, Callable[[gap.Interval], str]], ...] = (
    ("S→S", "synthetic_to_synthetic", lambda i: percent(i.mean)),
    ("S→R", "synthetic_to_real", lambda i: percent(i.mean)),
    ("domain\ngap", "domain_gap", with_half_width),
    ("fine-\ntuned", "finetuned", lambda i: percent(i.mean)),
    ("scra-\ntch", "scratch", lambda i: percent(i.mean)),
    ("scra-\ntch\nlonger", "scratch_longer", lambda i: percent(i.mean)),
    ("all\nscans", "full_longer", lambda i: percent(i.mean)),
    ("gain, equal\nfine-tuning", "gain_equal_finetuning", with_half_width),
    ("gain,\nequal\ntotal", "gain_equal_total", with_half_width),
    ("gap\nclosed", "gap_closed", closed),
    ("jump-\nstart", "jumpstart", with_half_width),
)


def caption(results: StudyResults) -> list[str]:
    """What the figures are, then the study's notes."""
    return [*meaning(results), *results.notes]


def meaning(results: StudyResults) -> list[str]:
    """What the figures are."""
    planned = sorted({len(g.cells) for g in group_cells(results)})
    seeds = f"{planned[0]} to {planned[-1]} seeds" if len(planned) > 1 else count(planned[0] if planned else 0, "seed")
    return [
        f"Figures: mIoU in percent, on points, {_tested(results)}, last epoch, mean over "
        f"{seeds}; gains in percentage points, ± = half width of the 95 % t interval of paired differences, "
        "[ ] = 95 % interval of a ratio.",
        f"Means over {int(results.class_sets['real'].sum())} classes in the real test split and "
        f"{int(results.class_sets['synthetic'].sum())} in the synthetic one; an epoch is "
        f"{count(results.updates_per_epoch, 'update')}, fine-tuning {count(results.finetune_epochs, 'epoch')}. "
        "n/a = not there or not defined.",
    ]


def _tested(results: StudyResults) -> str:
    """Which test scans are scored: the whole splits, or how many of how many where it is a spread of one."""
    if not results.tested_part:
        return "whole test split"
    parts = {d: f"{scored:,} of {available:,} {d} test scans" for d, (scored, available) in results.tested_part.items()}
    return "on " + " and ".join(parts.get(domain, f"the whole {domain} test split") for domain in DOMAINS)


def gap_text(results: StudyResults) -> TextTable:
    """The compact gap table: a row a setting."""
    groups = group_cells(results)
    heads, keys, constant = _varying([group.key for group in groups])
    rows = []
    for group, key in zip(groups, keys, strict=True):
        found = dict(measures(results, group))
        seeds = f"{group.done}/{len(group.cells)}" + ("" if group.status == "done" else f" {group.status}")
        if group.key[2] == 0:  # no pretraining: fine-tuning updates are all there are
            found["full_longer"] = found["full"]
        figures = [show(found[name]) for _, name, show in _GAP_COLUMNS]
        rows.append([*key, seeds, *figures])
    notes = constant + [
        "S→S, S→R: trained on synthetic, scored on synthetic / real (zero-shot); domain gap: how far S→R is below "
        "training on all real scans for as many updates. scratch longer, all scans: from scratch for as many updates "
        "as pretraining and fine-tuning together, the latter on all labelled real scans.",
        "Equal total: equal updates, not equal schedules, since fine-tuning starts warm-up and learning rate again; "
        "gain_over_real_control in gap.csv has both sides do so.",
    ]
    if any(group.from_checkpoint for group in groups):
        notes.append(
            "checkpoint: an imported network of unknown length, one for all seeds; S→S, S→R are its own scores. What "
            "needs as many updates as it had is n/a: domain gap, scratch longer, all scans, equal total, gap closed. "
            "The intervals of its gains are over seeds of fine-tuning and of scratch, not of pretraining."
        )
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
    heads, keys, constant = _varying([group.key for group in groups])
    columns = [(trained, domain) for trained in TRAINED_ON for domain in ("synthetic", "real")]
    elsewhere = [_has_row_without_freeze(group, groups) for group in groups]
    rows = []
    for group, key, other_row in zip(groups, keys, elsewhere, strict=True):
        roles = trained_on(group)
        figures = []
        for trained, domain in columns:
            values = [mean_score(results, c, roles[trained], domain) for c in group.cells] if trained in roles else []
            mean = percent(float(gap.nan_mean(np.array(values, dtype=np.float64), 0)))
            figures.append(NOT_HERE if other_row and trained in _CONTROLS else mean)
        rows.append([*key, *figures])
    notes = [*constant, "S synthetic, R real (the labelled scans), Rall real (all scans); S,R = synthetic then real."]
    frozen = [other_row for group, other_row in zip(groups, elsewhere, strict=True) if group.key[3] != "none"]
    if frozen:
        where = "the rows of freeze none" if all(frozen) else "other rows where there is no row of freeze none"
        notes.append(f"S,S and R,R and R,S are trained with nothing frozen and stand in {where} only.")
    if any(group.from_checkpoint for group in groups):
        notes.append(
            "checkpoint: S is the imported network itself, S,R the same after fine-tuning; nobody knows its updates: "
            "nothing stands beside it at equal ones."
        )
    return TextTable(
        title="Trained on, scored on, at equal total updates",
        heads=[*heads, *(f"{_SHORT[trained]}\n→{domain[0].upper()}" for trained, domain in columns)],
        rows=rows,
        left=len(heads),
        notes=notes,
    )


def _has_row_without_freeze(group: Group, groups: list[Group]) -> bool:
    """Whether another row is the same setting with nothing frozen."""
    backbone, width, epochs, freeze, labelled = group.key
    return freeze != "none" and any(g.key == (backbone, width, epochs, "none", labelled) for g in groups)


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


def key_columns(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]], list[str]]:
    """Of rows that begin with a setting's key: heads and fields of its parts that vary, and a line for the others."""
    return _varying([tuple(row[name] for name in KEY) for row in records])


def _varying(keys: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[str]], list[str]]:
    values = [[str(part) for part in key] for key in keys]
    varying = [i for i in range(len(KEY_HEADS)) if len({v[i] for v in values}) > 1] or [0]
    words = [words.format(value) for words, value in zip(_KEY_WORDS, values[0], strict=True)] if values else []
    constant = [said for i, said in enumerate(words) if i not in varying]
    line = ["Throughout: " + ", ".join(constant) + "."] if constant else []
    return [KEY_HEADS[i] for i in varying], [[v[i] for i in varying] for v in values], line

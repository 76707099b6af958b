"""Which canvas width suits which domain, and why: rules over measured figures, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from lidartune.survey.findings import counted
from lidartune.survey.holes import holes_apart
from lidartune.survey.sensor import WIDTH_STEP
from lidartune.survey.width_counts import WidthFigures, share

NEAR_BEST = 0.005  # mIoU; the seeds of one training differ by as much or more, so less is no reason for more pixels
HARDLY_FILLED = 0.25  # share of the pixels a width adds; below it the sensor has no more columns to give
NEAR_RAYS = 1.15  # a width within this factor of the sensor's rays stands for them

TOO_NARROW, SUITS, WIDER, TOO_WIDE, UNKNOWN = "too narrow", "suits", "wider than needed", "too wide", "n/a"


def verdicts(figures: Sequence[WidthFigures]) -> list[str]:
    """One verdict for each width of a domain, the narrowest width first; n/a where no point has a class.

    - too wide: fewer than HARDLY_FILLED of the pixels that it adds to the next narrower width show a further point, or
      that holds for a narrower one. Empty pixels cost as much as full ones and tell a network nothing.
    - suits: of the others, the narrowest whose ceiling is within NEAR_BEST of the best of them.
    - too narrow, wider than needed: on either side of it.
    """
    ceilings = [f.ceiling.miou() for f in figures]
    if np.isnan(ceilings).any():
        return [UNKNOWN] * len(figures)
    added = [added_fill(a, b) for a, b in zip(figures, figures[1:], strict=False)]
    fitting = next((i + 1 for i, fill in enumerate(added) if fill < HARDLY_FILLED), len(figures))
    suits = next((i for i in range(fitting) if ceilings[i] >= max(ceilings[:fitting]) - NEAR_BEST), 0)
    words = [TOO_NARROW] * suits + [SUITS] + [WIDER] * (fitting - suits - 1)
    return words[:fitting] + [TOO_WIDE] * (len(figures) - fitting)


def added_fill(narrow: WidthFigures, wide: WidthFigures) -> float:
    """Further points shown for each pixel that the wider canvas adds; no less than 0."""
    return max(0, wide.shown - narrow.shown) / max(1, wide.pixels - narrow.pixels)


WIDTH_HEADS = [
    "domain", "width", "scans", "fill", "shown", "lost", "behind another class", "ceiling mIoU", "ceiling accuracy",
    "verdict",
]  # fmt: skip
EXPLAINED = (
    "fill: pixels that show a point.",
    "shown: points that a pixel shows; lost: the others.",
    "behind another class: points whose pixel shows a point of another class.",
    "ceiling: the true classes of the pixels through the neighbour vote: what a network that never errs would reach.",
)


def width_rows(named: Mapping[str, Sequence[WidthFigures]]) -> list[list[str]]:
    """A row of text under WIDTH_HEADS for each domain and width."""
    rows = []
    for name, figures in named.items():
        for f, word in zip(figures, verdicts(figures), strict=True):
            shares = [share(n, f.points) for n in (f.shown, f.lost, f.other_class)]
            cells = [_percent(v) for v in (f.fill, *shares, f.ceiling.miou(), f.ceiling.accuracy())]
            rows.append([name, str(f.width), f"{f.scans:,}", *cells, word])
    return rows


def widths_table(named: Mapping[str, Sequence[WidthFigures]]) -> Table:
    """A row for each domain and width."""
    table = Table(
        title="Canvas widths",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        collapse_padding=True,
        pad_edge=False,
        caption=" ".join(EXPLAINED),
        caption_justify="left",
    )
    numbers = ("width", "fill", "shown", "lost", "behind\nanother\nclass", "ceiling\nmIoU", "ceiling\naccuracy")
    for header in ("domain", *numbers, "verdict"):
        figures_width = 7 if header in numbers[1:] else 5 if header == "width" else None  # never cut
        table.add_column(
            header, justify="right" if header in numbers else "left", overflow="fold", min_width=figures_width
        )
    for name, figures in named.items():
        scans = counted(figures[0].scans, "scan") if figures else ""
        for i, (_, width, _, *cells) in enumerate(width_rows({name: figures})):
            label = f"{name}\n{scans}" if len(figures) == 1 else (name, scans, "")[min(i, 2)]
            table.add_row(Text(label), width, *cells, end_section=i == len(figures) - 1)
    return table


def widths_advice(
    named: Mapping[str, Sequence[WidthFigures]], rays: Mapping[str, float | None] | None = None
) -> list[str]:
    """Sentences: the widths of each domain, then what two domains can share; `rays` of a turn, where they are known."""
    lines = []
    for name, figures in named.items():
        lines += _of_domain(name, figures) + _unmeasured(name, figures, (rays or {}).get(name))
    for first, second in combinations(named, 2):
        lines += _fill_of_two(first, named[first], second, named[second])
        lines += _shared_by_two(first, named[first], second, named[second])
    if lines:
        lines.append("A ceiling is what a canvas allows, not what a network reaches; its cost grows with its width.")
    return lines


def _of_domain(name: str, figures: Sequence[WidthFigures]) -> list[str]:
    words = verdicts(figures)
    if SUITS not in words:
        return [f"{name}: no labelled points, so nothing can be said about its widths."]
    at = words.index(SUITS)
    best, ceiling = figures[at], figures[at].ceiling.miou()
    if len(figures) == 1:
        return [f"{name}: the ceiling is {_percent(ceiling)} at width {best.width}; name several widths to compare."]
    rises = f"it is the narrowest within {100 * NEAR_BEST:g} mIoU points of the best ceiling"
    if at and at == len(figures) - 1:
        rises = "the ceiling still rises up to it, the widest that was measured"
    lines = [f"{name}: {best.width} suits: {rises} ({_percent(ceiling)}), and {_percent(best.fill)} of it is filled."]
    groups = {word: [f for f, own in zip(figures, words, strict=True) if own == word] for word in words}
    for word, members in groups.items():
        gains = _listed([_signed(f.ceiling.miou() - ceiling) for f in members])
        which = f"{name}: {_listed([str(f.width) for f in members])} {'is' if len(members) == 1 else 'are'} {word}: "
        if word == TOO_NARROW:
            behind = _listed([_percent(share(f.other_class, f.points)) for f in members])
            lines.append(
                f"{which}{gains} mIoU points of ceiling against {best.width}, {behind} of points behind another class."
            )
        elif word == WIDER:
            times = _listed([f"{f.width / best.width:.3g}" for f in members])
            lines.append(f"{which}{times} times the pixels of {best.width} for {gains} mIoU points of ceiling.")
        elif word == TOO_WIDE:
            narrower = figures[words.index(TOO_WIDE) - 1]
            filled = _percent(added_fill(narrower, members[0]))
            lines.append(
                f"{which}of the pixels that {members[0].width} adds to {narrower.width}, {filled} show a further "
                f"point: the sensor has hardly more columns. {gains} mIoU points of ceiling against {best.width}."
            )
    return lines


def _unmeasured(name: str, figures: Sequence[WidthFigures], rays: float | None) -> list[str]:
    """Advice must not depend on which widths somebody thought of: the sensor's own should be among them."""
    if not rays or not figures or any(1 / NEAR_RAYS <= f.width / rays <= NEAR_RAYS for f in figures):
        return []
    width = -(-round(rays) // WIDTH_STEP) * WIDTH_STEP
    return [f"{name}: the sensor has {rays:,.0f} rays a turn: measure {width} too."]


def _fill_of_two(
    first: str, first_figures: Sequence[WidthFigures], second: str, second_figures: Sequence[WidthFigures]
) -> list[str]:
    """A network that is moved between two domains meets their emptiness before anything else."""
    there = {f.width: f.fill for f in second_figures}
    fills = {f.width: (f.fill, there[f.width]) for f in first_figures if f.width in there}
    fills = {width: pair for width, pair in fills.items() if np.isfinite(pair).all() and max(pair) > 0}
    if not fills:
        return []
    apart = {width: pair for width, pair in fills.items() if holes_apart(*pair)}
    pairs = "; ".join(f"{width}: {_percent(a)} and {_percent(b)}" for width, (a, b) in (apart or fills).items())
    if apart:
        reason = "there empty pixels alone tell the domains apart, which is a part of the gap."
        return [f"{first} and {second} are not filled alike at {pairs}; {reason}"]
    return [f"{first} and {second} are filled alike ({pairs}): empty pixels hardly tell the domains apart."]


def _shared_by_two(
    first: str, first_figures: Sequence[WidthFigures], second: str, second_figures: Sequence[WidthFigures]
) -> list[str]:
    """Pretraining and fine-tuning need one width for both domains."""
    here, there = (
        {f.width: word for f, word in zip(figures, verdicts(figures), strict=True)}
        for figures in (first_figures, second_figures)
    )
    words = {width: (here[width], there[width]) for width in here if width in there}
    possible = {width: pair for width, pair in words.items() if TOO_WIDE not in pair and UNKNOWN not in pair}
    if not possible:
        return []
    serving = [width for width, pair in possible.items() if TOO_NARROW not in pair]
    if serving:
        return [f"For a transfer between {first} and {second} take {serving[0]}, the narrowest that serves both."]
    width = max(possible)
    losers = [name for name, word in zip((first, second), possible[width], strict=True) if word == TOO_NARROW]
    return [
        f"For a transfer between {first} and {second} no width serves both: {width} is the widest that is too wide for "
        f"neither, and too narrow for {' and '.join(losers)}."
    ]


def _percent(value: float) -> str:
    return UNKNOWN if np.isnan(value) else f"{100 * value:.1f} %"


def _signed(difference: float) -> str:
    return f"{round(100 * difference, 1) + 0.0:+.1f}"  # + 0.0: never -0.0


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]

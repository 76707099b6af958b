"""What two datasets differ in that matters for a transfer, in sentences, the largest difference first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lidartune.errors import UserError
from lidartune.scans.label_shift import in_words, label_shift
from lidartune.survey import bins
from lidartune.survey.holes import holes_apart
from lidartune.survey.sensor import Estimate
from lidartune.survey.survey import Survey, points_of_a_ring

SMALLEST = 0.02  # smaller differences are not named
_OTHER_UNIT = 8.0  # a scale so many times the other is another unit, not another street
MOVED = "share of the points that would have to move to another bin"
RATIO = "1 - smaller / larger"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference. `size` runs from 0, alike, to 1, nothing in common; `measured_by` says what it is.

    Without a size, None, it cannot be ranked.
    """

    topic: str
    size: float | None
    measured_by: str
    sentence: str


Compared = Iterator[Difference | str]
"""Differences, and sentences on what could not be compared."""


def differences(first: Survey, second: Survey, names: tuple[str, str]) -> tuple[list[Difference], list[str]]:
    """The differences of at least SMALLEST between two surveys, the largest first and those without a size last, and
    what could not be compared."""
    found: list[Difference] = []
    unknown: list[str] = []
    for compare in (_remission, _view, _figures, _fill, _ranges, _labels):
        for item in compare(first, second, names):
            if isinstance(item, str):
                unknown.append(item)
            elif item.size is None or item.size >= SMALLEST:
                found.append(item)
    return sorted(found, key=lambda d: 1.0 if d.size is None else -d.size), unknown


def _remission(first: Survey, second: Survey, names: tuple[str, str]) -> Compared:
    """Scale and kind of the fourth value."""
    kinds = [str(survey.sensor.remission.value) for survey in (first, second)]
    constant = [name for name, kind in zip(names, kinds, strict=True) if kind == "constant"]
    if len(constant) == 1:
        say = f"{constant[0]} has none (one value throughout): a network must not learn it from the other."
        yield Difference(topic="remission", size=1.0, measured_by=MOVED, sentence=f"Remission: {say}")
    if len(constant) == 2:
        yield "Remission: both sides have one value throughout."
    here, there = (_quantiles(s, "remissions", (0.01, 0.5, 0.99)) for s in (first, second))
    if constant or here is None or there is None:
        return
    said = " and ".join(
        f"{name} {low:.3g} to {high:.3g}, median {middle:.3g}"
        for name, (low, middle, high) in zip(names, (here, there), strict=True)
    )
    advice = "normalise each domain with its own mean and deviation, or train without it"
    factor = max(here[2], there[2]) / max(min(here[2], there[2]), 1e-9)
    if factor > _OTHER_UNIT:
        advice = f"another unit: bring both to one scale first (a factor of about {factor:,.0f})"
    size = bins.moved(*(bins.coarse_remissions(s.tally.remissions) for s in (first, second)))
    yield Difference(topic="remission", size=size, measured_by=MOVED, sentence=f"Remission: {said}: {advice}.")
    steps = [i for i, kind in enumerate(kinds) if kind.startswith("steps")]
    if len(steps) == 1 and "continuous" in kinds:
        sentence = (
            f"Remission: {names[steps[0]]} stores it in {kinds[steps[0]]}, {names[1 - steps[0]]} does not: round both "
            "alike, or the steps tell the domains apart."
        )
        yield Difference(topic="remission steps", size=None, measured_by="not measured", sentence=sentence)


def _view(first: Survey, second: Survey, names: tuple[str, str]) -> Compared:
    """How far the two spans of the elevation overlap."""
    lows, highs = ([getattr(s.sensor, end).number for s in (first, second)] for end in ("down_deg", "up_deg"))
    if None in lows or None in highs or max(highs) <= min(lows):
        return
    both = max(0.0, min(highs) - max(lows))
    said = " and ".join(f"{name} {lows[i]:+.1f} to {highs[i]:+.1f}°" for i, name in enumerate(names))
    yield Difference(
        topic="field of view",
        size=1 - both / (max(highs) - min(lows)),
        measured_by="1 - common / whole span of the elevation",
        sentence=f"Field of view: {said}: the same row of a canvas looks elsewhere unless one canvas holds both.",
    )


def _figures(first: Survey, second: Survey, names: tuple[str, str]) -> Compared:
    """Single figures of the sensor, by their ratio; `{more}` in an advice is the side with the larger one."""
    figures: tuple[tuple[str, str, Callable[[Survey], Estimate], str], ...] = (
        ("Beams", "{:g}", lambda s: s.sensor.beams, "rows of a canvas beyond the beams stay empty"),
        ("Rays of a turn", "{:,g}", lambda s: s.sensor.columns, "a canvas with more columns has holes; see --widths"),
        ("Points of a ring", "{:,.0f}", points_of_a_ring, "the same object gets more points in {more}"),
        ("Mounting height", "{:.2f} m", lambda s: s.sensor.height_m, "shift z, or use each domain's own means"),
    )
    for noun, pattern, figure, advice in figures:
        values = [figure(survey).number for survey in (first, second)]
        known = [value for value in values if value is not None and value > 0]
        if len(known) == 2:
            said = " and ".join(f"{name} {pattern.format(v)}" for name, v in zip(names, known, strict=True))
            advice = advice.format(more=names[int(known[1] > known[0])])
            yield Difference(
                topic=noun.split(" (")[0].lower(),
                size=1 - min(known) / max(known),
                measured_by=RATIO,
                sentence=f"{noun}: {said}: {advice}.",
            )
        elif noun != "Points of a ring":  # that follows from the beams
            missing = " and ".join(name for name, value in zip(names, values, strict=True) if not value)
            yield f"{noun}: unknown in {missing}, so not compared."


def _fill(first: Survey, second: Survey, names: tuple[str, str]) -> Compared:
    """Rays that come back, and whether those that do not tell the domains apart."""
    here, there = (survey.sensor.returns.number for survey in (first, second))
    if here is None or there is None:
        return
    advice = "holes tell the domains apart" if holes_apart(here, there) else "holes hardly tell the domains apart"
    yield Difference(
        topic="fill",
        size=min(1.0, abs(here - there)),
        measured_by="difference of the shares of rays that do not come back",
        sentence=f"Fill (rays that come back): {names[0]} {100 * here:.1f} % and {names[1]} {100 * there:.1f} %: "
        f"{advice}.",
    )


def _ranges(first: Survey, second: Survey, names: tuple[str, str]) -> Compared:
    here, there = (_quantiles(s, "ranges", (0.5, 0.95)) for s in (first, second))
    if here is None or there is None:
        yield "Ranges: one side has no points."
        return
    said = (
        f"half of {names[0]} lies within {here[0]:.1f} m and 95 % within {here[1]:.0f} m, of {names[1]} within "
        f"{there[0]:.1f} m and {there[1]:.0f} m"
    )
    yield Difference(
        topic="ranges",
        size=bins.moved(*(bins.coarser(s.tally.ranges, 8) for s in (first, second))),
        measured_by=MOVED,
        sentence=f"Ranges: {said}: normalise each domain with its own mean and deviation.",
    )


def _labels(first: Survey, second: Survey, names: tuple[str, str]) -> Compared:
    if first.taxonomy.names != second.taxonomy.names:
        yield "Classes: the two taxonomies lead to other classes, so their shares were not compared."
        return
    try:
        shift = label_shift(first.class_points, second.class_points, first.taxonomy.names, ignore=first.taxonomy.ignore)
    except UserError:
        yield "Classes: one side has no labelled points."
        return
    yield Difference(
        topic="classes",
        size=shift.total_variation,
        measured_by="share of the labelled points that would have to change class",
        sentence=f"Classes: {in_words(shift, *names)}",
    )


def only_in_one(first: Survey, second: Survey) -> tuple[list[str], list[str]]:
    """Classes that have points in the first dataset alone, and in the second alone, by name."""
    mine, theirs = (
        [name for name, points in zip(s.taxonomy.names, s.class_points, strict=True) if points] for s in (first, second)
    )
    return [name for name in mine if name not in theirs], [name for name in theirs if name not in mine]


def _quantiles(survey: Survey, what: str, shares: tuple[float, ...]) -> list[float] | None:
    centres = bins.range_centres_m() if what == "ranges" else bins.remission_centres()
    return bins.quantiles(getattr(survey.tally, what), centres, shares)

"""What the terminal and the page show of one survey or of two side by side, as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lidartune.scans.splits import spelled
from lidartune.survey import bins
from lidartune.survey.findings import KINDS, Finding, counted
from lidartune.survey.sensor import Estimate
from lidartune.survey.survey import SequenceSurvey, Survey, by_split, together

UNKNOWN, NA = "unknown", "n/a"
SHARES = "Class shares, of the labelled points without the ignored ones"
RATIO = "ratio = first / second"
IGNORED, NO_CLASS = "ignored, of all points", "unknown ids, of all points"


def short_names(roots: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, with as many of the folders above it as tell them apart."""
    parts = [root.resolve().parts for root in roots]
    for depth in range(1, max(map(len, parts)) + 1):
        names = [str(Path(*part[-depth:])) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]


def size_text(size: float) -> str:
    """Bytes in the unit that fits."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def estimate_text(estimate: Estimate, pattern: str = "{:,g}", unit: str = "") -> str:
    """The value with what single scans show: `1,041 (1,039 to 1,043)`, `64 in 98 % of scans`, `unknown`."""

    def said(value: float) -> str:
        return pattern.format(value + 0.0).replace("%", " %")

    text = UNKNOWN if estimate.value is None else str(estimate.value)
    if estimate.number is not None:
        text = said(estimate.number) + unit
    if estimate.low is not None and estimate.high is not None and said(estimate.low) != said(estimate.high):
        text += f" ({said(estimate.low)} to {said(estimate.high)})"
    elif estimate.agree is not None and estimate.agree < 1:
        text += f" in {100 * min(estimate.agree, 0.999):.3g} % of scans"
    return text


SPLIT_HEADS = ["split", "sequences", "scans", "labelled", "points read", "size MB"]


def splits(survey: Survey) -> list[list[str]]:
    """A row for each split of the taxonomy that has sequences here; empty where the taxonomy has no splits."""
    return [
        [name, _spelled(survey, name, sequences), *_sums(sequences)]
        for name, sequences in by_split(survey).items()
        if survey.taxonomy.split
    ]


def _spelled(survey: Survey, split: str, sequences: Sequence[SequenceSurvey]) -> str:
    """`11-19, without 20, 21`: the sequences that are here, and those of the split that are not."""
    here = {int(sequence.files.name) for sequence in sequences}
    absent = set(survey.taxonomy.split.get(split, ())) - here
    return spelled(here) + (f", without {spelled(absent)}" if absent else "")


def _sums(sequences: Sequence[SequenceSurvey]) -> list[str]:
    read = together(sequence.tally for sequence in sequences)
    files, labels, size = (sum(getattr(s.files, name) for s in sequences) for name in ("files", "labels", "bytes"))
    return [f"{files:,}", f"{labels:,}", f"{read.points:,}", f"{size / 1e6:,.1f}"]


SEQUENCE_HEADS = ["seq", "split", "scans", "labelled", "points/scan", "size MB", "range m", "remission"]


def sequences(survey: Survey) -> list[list[str]]:
    """A row for each sequence; range and remission are medians."""
    rows = []
    for sequence in survey.sequences:
        files, tally = sequence.files, sequence.tally
        middles = [
            bins.quantiles(tally.ranges, bins.range_centres_m(), (0.5,)),
            bins.quantiles(tally.remissions, bins.remission_centres(), (0.5,)),
        ]
        rows.append(
            [
                files.name,
                ", ".join(files.splits) or "–",
                f"{files.files:,}",
                f"{files.labels:,}",
                f"{tally.points / tally.scans:,.0f}" if tally.scans else NA,
                f"{files.bytes / 1e6:,.1f}",
                *(f"{m[0]:.3g}" if m else NA for m in middles),
            ]
        )
    return rows


def classes(surveys: Sequence[Survey], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of `class_shares`, in percent. One dataset has its raw ids beside them, two have their ratio.
    """
    shares = [class_shares(survey) for survey in surveys]
    every = list(dict.fromkeys(name for own in shares for name in own))
    columns = [[own.get(name, 0.0) for name in every] for own in shares]
    if len(surveys) == 1:
        raw = _raw_texts(surveys[0])
        heads = ["class", "share %", "raw ids"]
        return heads, [[name, percent(share), raw.get(name, "")] for name, share in zip(every, columns[0], strict=True)]
    rows = []
    for name, first, second in zip(every, *columns, strict=True):
        ratio = f"{first / second:,.3g}" if first and second else NA
        rows.append([name, percent(first), percent(second), ratio])
    return ["class", *(f"{name} %" for name in names), RATIO], rows


def class_shares(survey: Survey) -> dict[str, float]:
    """Class name -> share of the labelled points without the ignored ones; then what is left out, as the share of all
    that it is, where there is any."""
    taxonomy, points = survey.taxonomy, survey.class_points
    labelled, counted_ = survey.tally.labelled_points, compared_points(survey)
    kept = [c for c in range(taxonomy.num_classes) if c not in taxonomy.ignore]
    shares = {taxonomy.names[c]: int(points[c]) / max(1, counted_) for c in kept}
    left_out = {IGNORED: int(points.sum()) - counted_, NO_CLASS: labelled - int(points.sum())}
    return shares | {name: count / labelled for name, count in left_out.items() if count}


def compared_points(survey: Survey) -> int:
    """Labelled points of the classes that are not ignored: what shares are shares of."""
    return int(np.delete(survey.class_points, list(survey.taxonomy.ignore)).sum())


def _raw_texts(survey: Survey) -> dict[str, str]:
    """Class name -> the raw ids with points that lead to it, each with its share in percent."""
    found: dict[str, list[str]] = {}
    ignored = {survey.taxonomy.names[c] for c in survey.taxonomy.ignore}
    for raw, label, name, _, share in raw_ids(survey):
        name = IGNORED if name in ignored else NO_CLASS if name == "–" else name
        if share != "0":
            found.setdefault(name, []).append(f"{raw} {label} {share}")
    return {name: ", ".join(parts) for name, parts in found.items()}


RAW_HEADS = ["id", "label", "class", "points", "share %"]


def raw_ids(survey: Survey) -> list[list[str]]:
    """A row for each raw id that occurs, and for each id of the taxonomy that does not; shares as `class_shares`."""
    taxonomy, rows = survey.taxonomy, []
    for raw in sorted(survey.tally.raw_ids.keys() | taxonomy.learning_map.keys()):
        points = survey.tally.raw_ids.get(raw, 0)
        known = raw in taxonomy.learning_map
        names = [taxonomy.labels.get(raw, "–"), taxonomy.names[taxonomy.learning_map[raw]]] if known else ["–", "–"]
        compared = known and taxonomy.learning_map[raw] not in taxonomy.ignore
        whole = compared_points(survey) if compared else survey.tally.labelled_points
        rows.append([str(raw), *names, f"{points:,}", percent(points / max(1, whole))])
    return rows


def percent(share: float) -> str:
    """In percent with three digits: rare classes have shares far below 0.1 %."""
    return "0" if not share else f"{100 * share:.2f}" if share >= 0.001 else f"{100 * share:.2g}"


def listed(findings: Sequence[Finding], *, wrong: bool) -> list[Finding]:
    """Those that are wrong, or those that are not."""
    return [finding for finding in findings if finding.wrong == wrong]


def finding_text(finding: Finding) -> str:
    """One line: what, how many files or sequences, and how many points."""
    text = f"{KINDS[finding.kind].what}: {finding.count:,}"
    if finding.kind == "unknown-id":
        text = f"{KINDS[finding.kind].what}: {finding.detail}; in {counted(finding.count, 'scan')}"
    return f"{text} ({counted(finding.points, 'point')})" if finding.points else text

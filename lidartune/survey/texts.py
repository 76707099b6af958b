"""What the terminal and the page show of one survey or of two side by side, as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lidartune.scans.splits import spelled
from lidartune.survey import bins
from lidartune.survey.findings import KINDS, Finding
from lidartune.survey.sensor import Estimate
from lidartune.survey.survey import SequenceSurvey, Survey, by_split, together

UNKNOWN, NA = "unknown", "n/a"
IDS_SHOWN = 5


def short_names(roots: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, with as many of the folders above it as tell them apart."""
    parts = [root.resolve().parts for root in roots]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 scan`, `2,000 scans`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


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
        [name, spelled(int(sequence.files.name) for sequence in sequences), *_sums(sequences)]
        for name, sequences in by_split(survey).items()
        if survey.taxonomy.split
    ]


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
    """Heads and rows of the class shares, in percent of all labelled points.

    One dataset has its raw ids beside them, two have their ratio.
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
    return ["class", *(f"{name} %" for name in names), "ratio"], rows


def class_shares(survey: Survey) -> dict[str, float]:
    """Class name -> share of all labelled points; `unknown ids` among them where there are any."""
    labelled, known = survey.tally.labelled_points, int(survey.class_points.sum())
    points = zip(survey.taxonomy.names, survey.class_points.tolist(), strict=True)
    shares = {name: count / max(1, labelled) for name, count in points}
    return shares | ({"unknown ids": 1 - known / labelled} if known < labelled else {})


def _raw_texts(survey: Survey) -> dict[str, str]:
    """Class name -> the raw ids with points that lead to it, each with its share in percent."""
    found: dict[str, list[str]] = {}
    for raw, label, name, _, share in raw_ids(survey):
        if share != "0":
            found.setdefault(name, []).append(f"{raw} {label} {share}")
    return {name: ", ".join(parts) for name, parts in found.items()}


RAW_HEADS = ["id", "label", "class", "points", "share %"]


def raw_ids(survey: Survey) -> list[list[str]]:
    """A row for each raw id that occurs, and for each id of the taxonomy that does not."""
    taxonomy, rows = survey.taxonomy, []
    for raw in sorted(survey.tally.raw_ids.keys() | taxonomy.learning_map.keys()):
        points = survey.tally.raw_ids.get(raw, 0)
        known = raw in taxonomy.learning_map
        names = [taxonomy.labels.get(raw, "–"), taxonomy.names[taxonomy.learning_map[raw]]] if known else ["–", "–"]
        rows.append([str(raw), *names, f"{points:,}", percent(points / max(1, survey.tally.labelled_points))])
    return rows


def percent(share: float) -> str:
    """In percent with three digits: rare classes have shares far below 0.1 %."""
    return "0" if not share else f"{100 * share:.2f}" if share >= 0.001 else f"{100 * share:.2g}"


def listed(findings: Sequence[Finding], *, wrong: bool) -> list[Finding]:
    """Those that are wrong, or those that are not; of unknown ids the commonest, the others in one."""
    chosen = [finding for finding in findings if finding.wrong == wrong]
    unknown = [finding for finding in chosen if finding.kind == "unknown-id"]
    hidden = unknown[IDS_SHOWN:] if len(unknown) > IDS_SHOWN + 1 else []
    if not hidden:
        return chosen
    points, most = sum(f.points for f in hidden), max(f.count for f in hidden)
    others = Finding(kind="unknown-id", detail=f"{len(hidden):,} other ids", count=most, points=points)
    at = chosen.index(hidden[0])
    return [*chosen[:at], others, *chosen[at + len(hidden) :]]


def finding_text(finding: Finding) -> str:
    """One line: what, how many files or sequences, and how many points."""
    if finding.kind == "unknown-id":
        points = counted(finding.points, "point")
        scans = f" in {counted(finding.count, 'scan')}" if finding.first else ""
        return f"{KINDS[finding.kind].what}: {finding.detail}, {points}{scans}"
    if finding.kind == "split-elsewhere":
        return "; ".join(f"split {f['path']}: {f['found']} are not here" for f in finding.first)
    text = f"{KINDS[finding.kind].what}: {finding.count:,}"
    return f"{text} ({counted(finding.points, 'point')})" if finding.points else text

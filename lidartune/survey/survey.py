"""A whole dataset looked at: its files by name and size, its scans by content, one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from lidartune.processes import Progress, in_processes
from lidartune.scans.catalogue import built_in_taxonomies, load_taxonomy
from lidartune.scans.dataset import Dataset, ScanFile, spread
from lidartune.scans.taxonomy import Taxonomy
from lidartune.survey.findings import KINDS, Finding, Findings, counted
from lidartune.survey.inventory import SequenceFiles, take_inventory
from lidartune.survey.sensor import Estimate, SensorEstimate, estimate_sensor
from lidartune.survey.tally import ScanResult, Tally, tally_scan

ORDERS = 20  # scans of each sequence whose order is looked at
IDS_NAMED = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceSurvey:
    """One sequence: its files, and the counts of its scans that were read."""

    files: SequenceFiles
    tally: Tally


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """What was found in one dataset.

    Attributes:
        class_points: (num_classes,) int64, points of each class of the taxonomy; those of unknown ids are not in it.
        whole: scans that were read with their labels, without a fault in either.
        seconds_per_scan: of one process; None where too few scans were read to say.
    """

    root: Path
    taxonomy: Taxonomy
    sequences: tuple[SequenceSurvey, ...]
    tally: Tally
    sensor: SensorEstimate
    class_points: np.ndarray
    findings: list[Finding]
    whole: tuple[ScanFile, ...] = ()
    seconds_per_scan: float | None = None

    @property
    def faulty(self) -> bool:
        """Whether something in it has to be put right."""
        return any(finding.wrong for finding in self.findings)


def survey_dataset(
    dataset: Dataset,
    *,
    scans_per_sequence: int | None = None,
    processes: int | None = None,
    progress: Progress = True,
) -> Survey:
    """Looks at every file's size, and reads all scans or an even spread of each sequence.

    The result is the same for any number of processes. A file that cannot be read is a finding, and the rest goes on.
    """
    findings = Findings()
    sequences = take_inventory(dataset, findings)
    jobs = [job for files in sequences for job in _jobs(spread(files.scans, scans_per_sequence))]
    tallies = {files.name: Tally() for files in sequences}
    repeated = _Repeated({files.name: files.splits for files in sequences}, findings)
    whole = []
    names = dataset.taxonomy.names
    work = partial(
        tally_scan, lookup=dataset.taxonomy.lookup, road_class=names.index("road") if "road" in names else None
    )
    seconds: dict[bool, deque[float]] = {True: deque(maxlen=1000), False: deque(maxlen=1000)}
    results = in_processes(work, jobs, processes=processes, progress=progress, title=dataset.root.name)
    for (scan, look_at_order), result in results:
        tallies[scan.sequence].add(result.tally)
        _note(scan, result, findings)
        if scan.labels is not None and result.error is None and not result.unknown:
            whole.append(scan)
        repeated.add(scan, result)
        seconds[look_at_order].append(result.seconds)
    total = together(tallies.values())
    _describe_unknown(total, dataset.taxonomy, findings)
    return Survey(
        root=dataset.root,
        taxonomy=dataset.taxonomy,
        sequences=tuple(SequenceSurvey(files=files, tally=tallies[files.name]) for files in sequences),
        tally=total,
        sensor=estimate_sensor(total),
        class_points=_class_points(total, dataset.taxonomy),
        findings=findings.sorted(),
        whole=tuple(whole),
        seconds_per_scan=_seconds_per_scan(seconds),
    )


def _jobs(scans: Sequence[ScanFile]) -> list[tuple[ScanFile, bool]]:
    """The scans, and whether the order of each is looked at."""
    chosen = {scan.name for scan in spread(scans, ORDERS)}
    return [(scan, scan.name in chosen) for scan in scans]


def _note(scan: ScanFile, result: ScanResult, findings: Findings) -> None:
    """What reading one scan brought to light."""
    if result.error is not None:
        broken = scan.labels if result.tally.scans and scan.labels is not None else scan.points
        findings.add_error(result.error, broken)
    if result.unknown:
        points = sum(result.unknown.values())
        findings.add("unknown-id", scan.labels or scan.points, counted(points, "point"), points=points)
    tally = result.tally
    odd = {
        "nan": tally.nan_points,
        "infinite": tally.infinite_points,
        "far": tally.far_points,
        "odd-remission": tally.odd_remissions,
        "origin": tally.origin_points,
    }
    for kind, points in odd.items():
        if points:
            findings.add(kind, scan.points, f"{points:,} of {counted(tally.points, 'point')}", points=points)


def _describe_unknown(tally: Tally, taxonomy: Taxonomy, findings: Findings) -> None:
    """Names the commonest of the unknown ids, and the built-in taxonomies that know every id that occurs."""
    unknown = [(raw, points) for raw, points in tally.raw_ids.items() if raw not in taxonomy.learning_map]
    if not unknown:
        return
    unknown.sort(key=lambda item: (-item[1], item[0]))
    named = [f"id {raw} ({counted(points, 'point')})" for raw, points in unknown[:IDS_NAMED]]
    others = len(unknown) - len(named)
    here = tally.raw_ids.keys()
    fitting = [name for name in built_in_taxonomies() if here <= load_taxonomy(name).learning_map.keys()]
    findings.describe(
        "unknown-id",
        detail=", ".join(named) + (f" and {counted(others, 'other id')}" if others else ""),
        do=f"take --taxonomy {' or '.join(fitting)}: every id is known there" if fitting else KINDS["unknown-id"].do,
    )


def _seconds_per_scan(seconds: dict[bool, deque[float]]) -> float | None:
    """Median of scans whose order was not looked at, where they are enough: in a large dataset nearly all are such."""
    return next((median(times) for times in (seconds[False], seconds[True]) if len(times) >= 20), None)


class _Repeated:
    """Scans that are the same, byte for byte, as an earlier one; worse where the two are in different splits."""

    def __init__(self, splits: Mapping[str, tuple[str, ...]], findings: Findings) -> None:
        self._splits, self._findings = splits, findings
        self._first: dict[bytes, dict[tuple[str, ...], Path]] = {}

    def add(self, scan: ScanFile, result: ScanResult) -> None:
        """Notes the scan if one like it came before."""
        if not result.tally.points:
            return
        mine = self._splits[scan.sequence]
        earlier = self._first.setdefault(result.digest, {})
        other = next((splits for splits in earlier if splits and mine and splits != mine), None)
        if other is not None:
            said = f"in {' and '.join(mine)}; in {' and '.join(other)}: {earlier[other]}"
            self._findings.add("split-leak", scan.points, said)
        elif earlier:
            self._findings.add("same-scan", scan.points, f"as {next(iter(earlier.values()))}")
        earlier.setdefault(mine, scan.points)


def _class_points(tally: Tally, taxonomy: Taxonomy) -> np.ndarray:
    points = np.zeros(len(taxonomy.names), np.int64)
    for raw, count in tally.raw_ids.items():
        if raw in taxonomy.learning_map:
            points[taxonomy.learning_map[raw]] += count
    return points


def points_of_a_ring(survey: Survey) -> Estimate:
    """Mean number of usable points on one beam in one scan."""
    scans, beams = survey.tally.scans - survey.tally.empty_scans, survey.sensor.beams.number
    if not scans or not beams:
        return Estimate(value=None, how="needs the beams")
    return Estimate(value=round(survey.tally.usable_points / scans / beams, 1), how="points / beams")


def by_split(survey: Survey) -> dict[str, list[SequenceSurvey]]:
    """Split of the taxonomy -> its sequences that are here; "no split" -> those that are in none."""
    splits = {name: [s for s in survey.sequences if name in s.files.splits] for name in survey.taxonomy.split}
    splits["no split"] = [s for s in survey.sequences if not s.files.splits]
    return {name: sequences for name, sequences in splits.items() if sequences}


def together(tallies: Iterable[Tally]) -> Tally:
    """The sum of several tallies."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total

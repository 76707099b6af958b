"""A whole dataset looked at: its files by name and size, its scans by content, one after another."""

from __future__ import annotations

import filecmp
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from lidartune.processes import Progress, in_processes
from lidartune.scans.dataset import Dataset, ScanFile, spread
from lidartune.scans.taxonomy import Taxonomy
from lidartune.survey.findings import Finding, Findings
from lidartune.survey.inventory import SequenceFiles, take_inventory
from lidartune.survey.sensor import Estimate, SensorEstimate, estimate_sensor
from lidartune.survey.tally import ScanResult, Tally, tally_scan

ORDERS = 20  # scans of each sequence whose order is looked at
_COMPARED = 1000  # pairs of files compared byte by byte, at most


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
        seconds_per_scan: of one process; None where too few scans were read to say.
    """

    root: Path
    taxonomy: Taxonomy
    sequences: tuple[SequenceSurvey, ...]
    tally: Tally
    sensor: SensorEstimate
    class_points: np.ndarray
    findings: list[Finding]
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
    repeated = _Repeated()
    names = dataset.taxonomy.names
    work = partial(
        tally_scan, lookup=dataset.taxonomy.lookup, road_class=names.index("road") if "road" in names else None
    )
    seconds: dict[bool, deque[float]] = {True: deque(maxlen=1000), False: deque(maxlen=1000)}
    results = in_processes(work, jobs, processes=processes, progress=progress, title=dataset.root.name)
    for (scan, look_at_order), result in results:
        tallies[scan.sequence].add(result.tally)
        _note(scan, result, findings)
        repeated.add(scan, result)
        seconds[look_at_order].append(result.seconds)
    repeated.note(findings)
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    return Survey(
        root=dataset.root,
        taxonomy=dataset.taxonomy,
        sequences=tuple(SequenceSurvey(files=files, tally=tallies[files.name]) for files in sequences),
        tally=total,
        sensor=estimate_sensor(total),
        class_points=_class_points(total, dataset.taxonomy),
        findings=findings.sorted(),
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
    for raw, points in result.unknown.items():
        findings.add("unknown-id", scan.labels or scan.points, f"{points:,} points", points=points, detail=f"id {raw}")
    tally = result.tally
    odd = {"nan": tally.nan_points, "infinite": tally.infinite_points, "origin": tally.origin_points}
    for kind, points in odd.items():
        if points:
            findings.add(kind, scan.points, f"{points:,} of {tally.points:,} points", points=points)


def _seconds_per_scan(seconds: dict[bool, deque[float]]) -> float | None:
    """Median of scans whose order was not looked at, where they are enough: in a large dataset nearly all are such."""
    return next((median(times) for times in (seconds[False], seconds[True]) if len(times) >= 20), None)


class _Repeated:
    """Scans that are the same, byte for byte, as an earlier one."""

    def __init__(self) -> None:
        self._first: dict[int, Path] = {}
        self._pairs: list[tuple[Path, Path]] = []

    def add(self, scan: ScanFile, result: ScanResult) -> None:
        if not result.tally.points:
            return
        earlier = self._first.setdefault(result.head, scan.points)
        if earlier != scan.points and len(self._pairs) < _COMPARED:
            self._pairs.append((earlier, scan.points))

    def note(self, findings: Findings) -> None:
        for earlier, later in self._pairs:
            if _same(earlier, later):
                findings.add("same-scan", later, f"as {earlier}")


def _same(first: Path, second: Path) -> bool:
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:
        return False


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

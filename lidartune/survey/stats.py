"""What a data config must know of a dataset, measured in one pass that may be interrupted: counts and moments."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from lidartune import __version__
from lidartune.canvas import Sensor, project
from lidartune.errors import UserError
from lidartune.processes import Progress, in_processes, reporter
from lidartune.scans import Dataset, ScanFile, Taxonomy, check_scan
from lidartune.scans.statistics import canvas_moments
from lidartune.survey.bins import FARTHEST_M, LARGEST_REMISSION
from lidartune.survey.stats_journal import Journal
from lidartune.survey.stats_sums import Fault, ScanSums, Sums

CHUNK = 128  # scans between two entries of the journal
MOST_FAULTS = 100  # so many faulty scans are no accident: the wrong taxonomy, or a folder of something else


@dataclass(frozen=True, kw_only=True)
class StatsSettings:
    """What is measured.

    Attributes:
        sequences: the sequence numbers, in rising order.
        sensor: the canvas that the channel statistics are taken on.
        scans: at most so many scans, evenly spread over all of these sequences; None takes all.
    """

    sequences: tuple[int, ...]
    sensor: Sensor
    scans: int | None = None


def measure(
    dataset: Dataset,
    settings: StatsSettings,
    journal: Journal,
    *,
    skip_faulty: bool = False,
    processes: int | None = None,
    progress: Progress = True,
    tell: Callable[[str], None] = print,
) -> Sums:
    """Counts of all points and moments of all valid pixels, over all scans in their order.

    The sums reached are written into the journal after every CHUNK scans and at an interruption; with the same
    settings and files they are taken up there. The result is the same to the bit however often it was interrupted and
    whatever the number of processes: each scan's sums are joined one by one, in order. Memory does not grow with the
    number of scans, but for the names of one sequence's files.

    Args:
        skip_faulty: leave faulty scans out (`Sums.faults` names them) in place of refusing.
        tell: called with sentences for the user: from where it goes on, or why it starts anew.

    Raises:
        UserError: faulty scans (unlabelled, cut short, with unknown ids), all of them in one message; no points.
    """
    listing = _look_at_files(dataset, settings, progress)
    if listing.faults and not skip_faulty:
        raise _refused(listing.faults, listing.scans)
    sums, note = journal.read(_key(dataset.taxonomy, settings, listing.digest), with_faults=skip_faulty)
    if note:
        tell(note)
    if sums.done:
        tell(f"going on after {sums.done:,} of {listing.scans:,} scans, from {journal.path}")
    jobs = (scan for n, scan in enumerate(_chosen(dataset, settings, listing.available)) if n >= sums.done)
    work = partial(_sums_of, dataset.taxonomy, settings.sensor)
    saved = sums.done
    try:
        with reporter(progress, listing.scans, "scans") as report:
            for _, found in in_processes(work, jobs, processes=processes, progress=False):
                sums = sums.joined(found)
                report(sums.done, listing.scans)
                if sums.done - saved >= CHUNK:
                    journal.add(sums)
                    saved = sums.done
                if len(sums.faults) >= MOST_FAULTS and not skip_faulty:
                    break
    finally:
        if sums.done > saved:
            journal.add(sums)
    if sums.faults and not skip_faulty:
        raise _refused(sums.faults, sums.done)
    if not sums.points:
        raise UserError(
            "not one point to count",
            where=dataset.root,
            found=_listed(sums.faults) if sums.faults else None,
            do="name sequences that hold labelled scans with --sequences",
        )
    return sums


@dataclass(frozen=True)
class _Listing:
    available: int
    scans: int
    digest: str
    faults: tuple[Fault, ...]


def _look_at_files(dataset: Dataset, settings: StatsSettings, progress: Progress) -> _Listing:
    """Every file's name, size and time of change, hashed; scans without labels or with sizes that cannot be."""
    total = sum(_scans_in(dataset, number) for number in settings.sequences)
    digest, faults, count = hashlib.sha256(), [], 0
    with reporter(progress is True, total, "looking at the files") as report:
        for scan in _chosen(dataset, settings, total):
            count += 1
            try:
                if scan.labels is None:
                    raise UserError("no label file")
                check_scan(scan.points, scan.labels)
                stats = [path.stat() for path in (scan.points, scan.labels)]
                digest.update(f"{_name(scan)} {[(s.st_size, s.st_mtime_ns) for s in stats]}\n".encode())
            except (UserError, OSError) as error:
                faults.append(Fault(_name(scan), _short(error)))
                digest.update(f"{faults[-1]}\n".encode())
            report(count, total)
    return _Listing(total, count, digest.hexdigest(), tuple(faults))


def _scans_in(dataset: Dataset, number: int) -> int:
    try:
        return len(dataset.scans([number]))
    except UserError as error:
        if any((dataset.sequences[number] / "velodyne").glob("*.bin")):
            raise
        raise UserError(
            error.what,
            where=dataset.sequences[number],
            do="unpack its scans, or name the other sequences with --sequences",
        ) from None


def _chosen(dataset: Dataset, settings: StatsSettings, available: int) -> Iterator[ScanFile]:
    """The scans to measure, one sequence's names in memory at a time; `available` counts all of them."""
    picks = None
    if settings.scans is not None and settings.scans < available:
        picks = {i * available // settings.scans for i in range(settings.scans)}
    number = 0
    for sequence in settings.sequences:
        for scan in dataset.scans([sequence]):
            if picks is None or number in picks:
                yield scan
            number += 1


def _sums_of(taxonomy: Taxonomy, sensor: Sensor, scan: ScanFile) -> ScanSums | Fault:
    """One scan's part; a fault where it cannot be read or holds ids that the taxonomy does not know."""
    try:
        points, ids = scan.read()
        if ids is None:
            raise UserError("no label file")
        taxonomy.to_common(ids, where=scan.labels)
    except (UserError, OSError) as error:
        return Fault(_name(scan), _short(error))
    found = np.bincount(ids.astype(np.intp))
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    distance, remission = np.linalg.norm(finite[:, :3], axis=1), finite[:, 3]
    return ScanSums(
        counts={int(raw): int(found[raw]) for raw in np.flatnonzero(found)},
        moments=canvas_moments(project(points, sensor)),
        far=int((distance > FARTHEST_M).sum()),
        odd_remissions=int(((remission < 0) | (remission > LARGEST_REMISSION)).sum()),
    )


def _key(taxonomy: Taxonomy, settings: StatsSettings, files: str) -> str:
    """Changes with everything that the sums depend on."""
    known = [__version__, sorted(taxonomy.learning_map), asdict(settings), files]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _name(scan: ScanFile) -> str:
    return os.fsencode(f"{scan.sequence}/{scan.name}").decode(errors="replace")  # names need not be UTF-8


def _short(error: UserError | OSError) -> str:
    """The parts of a message that differ between scans, on one line; never a path."""
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    found = [line.split(":", 1)[1].strip() for line in str(error).splitlines() if line.startswith("  found:")]
    return ": ".join([error.what, *found])


def _listed(faults: tuple[Fault, ...]) -> str:
    """The first of them, one in a line."""
    shown = [f"{fault.scan}: {fault.reason}" for fault in faults[:10]]
    if len(faults) > 10:
        shown.append(f"and {len(faults) - 10:,} more")
    return ("\n" + " " * 10).join(shown)


def _refused(faults: tuple[Fault, ...], looked_at: int) -> UserError:
    return UserError(
        f"{len(faults):,} of {looked_at:,} scans cannot be counted; nothing was written",
        found=_listed(faults),
        wanted="whole points and labels in every scan, all of the taxonomy's ids",
        do="mend these scans, choose the taxonomy that fits, or leave them out with --skip-faulty",
    )

"""From prediction files to confusion matrices: streaming, in several processes, one matrix for each block of scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lidartune.errors import UserError
from lidartune.processes import Progress, in_processes
from lidartune.scans import Dataset, ScanFile, Taxonomy, read_labels
from lidartune.scoring.blocks import Block, consecutive
from lidartune.scoring.confusion import ConfusionMatrix

SCANS_OF_A_JOB = 16
WORTH_A_PROCESS = 200  # fewer scans than this are counted before another process has started
NAMES_SHOWN = 5

Pair = tuple[ScanFile, Path]


@dataclass(frozen=True)
class _Job:
    """Scans of one block and their predictions."""

    block: int
    pairs: tuple[Pair, ...]


def pair_up(dataset: Dataset, folders: Mapping[int, Path], sequences: Sequence[int]) -> tuple[list[Pair], int]:
    """Each labelled scan of these sequences with its prediction, and how many predictions belong to none of them.

    Args:
        folders: sequence number -> folder of predictions, from `find_predictions`.

    Raises:
        UserError: a sequence or a label that is not there, scans without a prediction.
    """
    scans = dataset.scans(sequences, labelled=True)
    there = {number: _label_files(folders[number]) if number in folders else {} for number in sequences}
    pairs = [(scan, there[int(scan.sequence)].get(scan.name)) for scan in scans]
    missing = [scan for scan, path in pairs if path is None]
    if missing:
        first = missing[0]
        nowhere = f"sequences/{first.sequence}/predictions"
        raise UserError(
            "scans without a prediction",
            where=folders.get(int(first.sequence), nowhere),
            found=f"{len(missing):,} of {len(scans):,} scans have none: {_names(missing)}",
            wanted="a .label file for every scan of the sequences that are scored",
            do="predict them as well, or name other sequences",
        )
    found = [(scan, path) for scan, path in pairs if path is not None]
    return found, sum(map(len, there.values())) - len(found)


def count_blocks(
    taxonomy: Taxonomy,
    pairs: Sequence[Pair],
    *,
    block: int,
    processes: int | None = None,
    progress: Progress = True,
) -> list[Block]:
    """The confusion matrix of every `block` consecutive scans of a sequence, in their order.

    Args:
        processes: how many count; default one for each available processor, or one where there is little to do.

    Raises:
        UserError: files that cannot be read or do not fit, or ids that the taxonomy does not know: how many, and which.
    """
    paths = dict(pairs)
    groups = consecutive(paths, block)
    blocks = [Block.of(group, ConfusionMatrix(taxonomy.num_classes, taxonomy.ignore)) for group in groups]
    jobs = list(_jobs(groups, paths))
    faults: list[tuple[ScanFile, UserError]] = []
    if processes is None and len(pairs) < WORTH_A_PROCESS:
        processes = 1
    work = partial(_count, taxonomy)
    for job, (matrix, wrong) in in_processes(work, jobs, processes=processes, progress=progress, title="evaluate"):
        blocks[job.block].points.matrix += matrix
        faults += wrong
    if faults:
        raise _faulty(faults, len(pairs))
    return blocks


def _jobs(groups: Sequence[Sequence[ScanFile]], paths: Mapping[ScanFile, Path]) -> Iterator[_Job]:
    for number, group in enumerate(groups):
        for start in range(0, len(group), SCANS_OF_A_JOB):
            part = group[start : start + SCANS_OF_A_JOB]
            yield _Job(number, tuple((scan, paths[scan]) for scan in part))


def _count(taxonomy: Taxonomy, job: _Job) -> tuple[np.ndarray, list[tuple[ScanFile, UserError]]]:
    """The counts of a job's scans, and what is wrong with those that could not be counted."""
    confusion = ConfusionMatrix(taxonomy.num_classes, taxonomy.ignore)
    faults = []
    for scan, path in job.pairs:
        try:
            confusion.add(*_classes(taxonomy, scan, path))
        except UserError as error:
            faults.append((scan, error))
    return confusion.matrix, faults


def _classes(taxonomy: Taxonomy, scan: ScanFile, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true classes `(N,)` of a scan."""
    assert scan.labels is not None
    predicted, truth = read_labels(path), read_labels(scan.labels)
    if len(predicted) != len(truth):
        raise UserError(
            "a prediction does not have one label for each point",
            where=path,
            found=f"{len(predicted):,} labels",
            wanted=f"{len(truth):,}, as {scan.labels}",
            do="predict this scan again",
        )
    return taxonomy.to_common(predicted, where=path), taxonomy.to_common(truth, where=scan.labels)


def _faulty(faults: Sequence[tuple[ScanFile, UserError]], total: int) -> UserError:
    """One error for all: each kind with its scans, and the first of each kind in full."""
    kinds: dict[str, list[tuple[ScanFile, UserError]]] = {}
    for scan, error in faults:
        kinds.setdefault(error.what, []).append((scan, error))
    lines = [f"{len(faults):,} of {total:,} scans cannot be scored"]
    for of_it in kinds.values():
        lines += [f"{len(of_it):,}: {_names([scan for scan, _ in of_it])}", f"  {of_it[0][1]}".replace("\n", "\n  ")]
    return UserError("\n".join(lines))


def _label_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in folder.glob("*.label") if not path.name.startswith(".")}


def _names(scans: Sequence[ScanFile]) -> str:
    shown = ", ".join(f"{scan.sequence}/{scan.name}" for scan in scans[:NAMES_SHOWN])
    return shown + (f" and {len(scans) - NAMES_SHOWN:,} more" if len(scans) > NAMES_SHOWN else "")

"""The scans of a dataset, sequence by sequence: which there are, what they hold, and the hash they are known by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from lidartune.errors import UserError
from lidartune.scans.catalogue import load_taxonomy
from lidartune.scans.document import shown
from lidartune.scans.files import file_size, read_points, read_scan
from lidartune.scans.layout import LAYOUT, scan_files, sequence_folders
from lidartune.scans.taxonomy import Taxonomy

SCANS_WITH_CONTENTS = 16
LONGEST_NAME = 255  # characters of a folder's name


@dataclass(frozen=True)
class ScanFile:
    """One scan on disk; `labels` is None where there is no label file."""

    sequence: str
    name: str
    points: Path
    labels: Path | None

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Points (N, 4) float32 and raw semantic ids (N,) uint32, or None without a label file. `Dataset.read` gives
        common classes. Raises UserError as `read_scan` does."""
        if self.labels is None:
            return read_points(self.points), None
        return read_scan(self.points, self.labels)


@dataclass(frozen=True)
class Dataset:
    """A folder of sequences and the taxonomy of its labels. Made by `open_dataset`."""

    root: Path
    taxonomy: Taxonomy
    sequences: dict[int, Path] = field(hash=False)
    """Sequence number -> its folder, in rising order."""

    def scans(
        self, sequence_numbers: Iterable[int | str] | None = None, *, labelled: bool = False
    ) -> tuple[ScanFile, ...]:
        """The scans of these sequences (all of them where None), by sequence, then number or name; each scan once.

        Args:
            sequence_numbers: numbers or folder names: 8, "8" and "08" are the same sequence.
            labelled: every scan must have a label file.

        Raises:
            UserError: a sequence that is not there, one without scans, two scans with one number, or a scan without
                labels where `labelled`.
        """
        wanted = self.sequences if sequence_numbers is None else {self._number(s) for s in sequence_numbers}
        scans = tuple(scan for number in sorted(wanted) for scan in _scans_of(self.sequences[number]))
        bare = [scan for scan in scans if scan.labels is None] if labelled else []
        if bare:
            raise UserError(
                "scans without a label file",
                where=_label_path(bare[0].points),
                found=f"{len(bare):,} of {len(scans):,} scans have none",
                wanted="a .label file for every .bin",
                do="unpack the labels beside the points, or name only sequences that have labels",
            )
        return scans

    def has_labels(self, number: int) -> bool:
        """One of this sequence's scans has a label file; False where the folder holds no scans at all."""
        points, labels = scan_files(self.sequences[number])
        return not points.keys().isdisjoint(labels)

    def read(self, scan: ScanFile) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 4) float32 and common classes (N,) uint8 of one of its scans.

        Raises:
            UserError: no label file, files that do not fit each other, or ids that the taxonomy does not know.
        """
        points, ids = scan.read()
        if ids is None or scan.labels is None:
            raise UserError(
                "a scan without a label file",
                where=_label_path(scan.points),
                do="unpack the labels beside the points, or name only sequences that have labels",
            )
        return points, self.taxonomy.to_common(ids, where=scan.labels)

    def _number(self, sequence: int | str) -> int:
        text = shown(sequence) if isinstance(sequence, int) else str(sequence)
        if len(text) <= LONGEST_NAME and text.isdecimal() and int(text) in self.sequences:
            return int(text)
        raise UserError(
            "there is no such sequence",
            where=self.root,
            found=f"sequences {', '.join(folder.name for folder in self.sequences.values())}",
            wanted=f"sequence {text[:LONGEST_NAME]}",
            do="name sequences that are there, or download this one",
        )


def open_dataset(root: str | Path, taxonomy: str | Path | Taxonomy) -> Dataset:
    """The dataset under a folder that holds sequences 00, 01, ..., or holds them under `sequences/`.

    Raises:
        UserError: no such folder, no numbered sequence in it, or scans both in it and under `sequences/`; as
            `load_taxonomy` does.
    """
    taxonomy = taxonomy if isinstance(taxonomy, Taxonomy) else load_taxonomy(taxonomy)
    folder, sequences = sequence_folders(root)
    return Dataset(folder, taxonomy, sequences)


def fingerprint(scans: Iterable[ScanFile]) -> str:
    """Hash over each scan's sequence, name and file sizes, and over the contents of a few scans spread over all.

    It changes with the split and with whatever touches many files, such as another release of the labels. A change to
    single files that keeps their sizes can go unseen: reading all of a large dataset would take hours.
    """
    scans = tuple(scans)
    digest = hashlib.sha256()
    for scan in scans:
        labels = -1 if scan.labels is None else file_size(scan.labels, "labels")
        line = f"{scan.sequence}/{scan.name} {file_size(scan.points, 'points')} {labels}\n"
        digest.update(line.encode(errors="surrogateescape"))  # names need not be UTF-8
    for scan in spread(scans, SCANS_WITH_CONTENTS):
        for path in (scan.points, scan.labels):
            digest.update(_contents(path) if path is not None else b"")
    return digest.hexdigest()


def spread(scans: Sequence[ScanFile], count: int | None) -> tuple[ScanFile, ...]:
    """At most `count` of the scans, evenly spaced over all of them; all where `count` is None."""
    if count is None or len(scans) <= count:
        return tuple(scans)
    return tuple(scans[i * len(scans) // count] for i in range(count))


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            "a scan file cannot be read", where=path, found=error.strerror, do="check its permissions"
        ) from None


def _scans_of(sequence: Path) -> list[ScanFile]:
    points, labels = scan_files(sequence)
    if not points:
        raise UserError(
            "a sequence without scans",
            where=sequence,
            found="no .bin file in its velodyne folder" if (sequence / "velodyne").is_dir() else "no velodyne folder",
            wanted=LAYOUT,
            do="unpack its scans, or leave this sequence out",
        )
    names = sorted(points, key=_in_time)
    for one, other in pairwise(names):
        if _in_time(one)[:2] == _in_time(other)[:2]:
            raise UserError(
                "two scans with one number",
                where=sequence / "velodyne",
                found=f"{one}.bin and {other}.bin",
                do="keep one of them, and its label file",
            )
    return [ScanFile(sequence.name.zfill(2), name, points[name], labels.get(name)) for name in names]


def _in_time(name: str) -> tuple[int, int | str, str]:
    """Sorts numbers as numbers, before all other names: recorders do not always fill up with zeros."""
    return (0, int(name), name) if name.isascii() and name.isdecimal() else (1, name, name)


def _label_path(points: Path) -> Path:
    return points.parent.parent / "labels" / (points.stem + ".label")

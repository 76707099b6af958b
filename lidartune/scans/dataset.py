"""Where a dataset's scans lie: sequences of numbered files, with and without a `sequences/` level."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lidartune.errors import UserError
from lidartune.scans.files import file_size, read_points, read_scan
from lidartune.scans.taxonomy import Taxonomy, load_taxonomy

SCANS_WITH_CONTENTS = 16
LAYOUT = "DIR/00/velodyne/000000.bin with DIR/00/labels/000000.label, or the same under DIR/sequences"


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
        """The scans of these sequences (all of them where None), by sequence, then name; each scan once.

        Args:
            sequence_numbers: numbers or folder names: 8, "8" and "08" are the same sequence.
            labelled: every scan must have a label file.

        Raises:
            UserError: a sequence that is not there, one without scans, or a scan without labels where `labelled`.
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
        text = str(sequence)
        if text.isdecimal() and int(text) in self.sequences:
            return int(text)
        raise UserError(
            "there is no such sequence",
            where=self.root,
            found=f"sequences {', '.join(folder.name for folder in self.sequences.values())}",
            wanted=f"sequence {text}",
            do="name sequences that are there, or download this one",
        )


def open_dataset(root: str | Path, taxonomy: str | Path | Taxonomy) -> Dataset:
    """The dataset under a folder that holds sequences 00, 01, ..., or holds them under `sequences/`.

    Raises:
        UserError: no such folder, or no numbered sequence in it; as `load_taxonomy` does.
    """
    taxonomy = taxonomy if isinstance(taxonomy, Taxonomy) else load_taxonomy(taxonomy)
    folder = _folder(root)
    if folder is None:
        raise UserError("there is no such dataset folder", where=root, wanted=LAYOUT, do="check the path")
    sequences = _sequences_in(folder / "sequences") or _sequences_in(folder)
    if not sequences:
        inside = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise UserError(
            "no sequences in this dataset folder", where=folder, found=inside, wanted=LAYOUT, do=_advice(folder)
        )
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


def _folder(root: str | Path) -> Path | None:
    try:
        folder = Path(root).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):  # a folder above it that may not be looked into, the home of nobody
        return None


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            "a scan file cannot be read", where=path, found=error.strerror, do="check its permissions"
        ) from None


def _sequences_in(folder: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for entry in _numbered_folders(folder):
        if int(entry.name) in found:
            raise UserError(
                "two folders for one sequence",
                where=folder,
                found=f"{found[int(entry.name)].name} and {entry.name}",
                do="keep one of them",
            )
        found[int(entry.name)] = entry
    return dict(sorted(found.items()))


def _numbered_folders(folder: Path) -> list[Path]:
    try:
        if not folder.is_dir():
            return []
        entries = sorted(folder.iterdir())
        return [e for e in entries if e.name.isascii() and e.name.isdecimal() and e.is_dir()]
    except OSError as error:
        raise UserError(
            "a folder cannot be read", where=folder, found=error.strerror, do="check its permissions"
        ) from None


def _scans_of(sequence: Path) -> list[ScanFile]:
    points = _files_in(sequence / "velodyne", ".bin")
    if not points:
        raise UserError(
            "a sequence without scans",
            where=sequence,
            found="no .bin file in its velodyne folder" if (sequence / "velodyne").is_dir() else "no velodyne folder",
            wanted=LAYOUT,
            do="unpack its scans, or leave this sequence out",
        )
    labels = _files_in(sequence / "labels", ".label")
    return [ScanFile(sequence.name.zfill(2), name, path, labels.get(name)) for name, path in sorted(points.items())]


def _files_in(folder: Path, suffix: str) -> dict[str, Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name.endswith(suffix) and not e.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UserError(
            "a folder cannot be read", where=folder, found=error.strerror, do="check its type and permissions"
        ) from None
    return {name.removesuffix(suffix): folder / name for name in names}


def _label_path(points: Path) -> Path:
    return points.parent.parent / "labels" / (points.stem + ".label")


def _advice(root: Path) -> str:
    if (root / "velodyne").is_dir():
        return f"this is one sequence: give the folder above it, {root.parent}"
    for entry in sorted(root.iterdir()):
        if _numbered_folders_or_none(entry / "sequences") or _numbered_folders_or_none(entry):
            return f"give {entry}, which holds sequences"
    return "give the folder that holds the sequences"


def _numbered_folders_or_none(folder: Path) -> list[Path]:
    try:
        return _numbered_folders(folder)
    except UserError:
        return []

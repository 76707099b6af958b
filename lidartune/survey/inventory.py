"""A dataset's files as the folders show them, before one is read: numbers, sizes, and what does not fit."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from lidartune.scans.dataset import Dataset, ScanFile
from lidartune.scans.files import LABEL_BYTES, POINT_BYTES
from lidartune.survey.findings import Findings, counted


@dataclass(frozen=True, kw_only=True)
class SequenceFiles:
    """One sequence.

    Attributes:
        name: as its folder is called, with two digits at least.
        splits: the splits of the taxonomy that it is in.
        bare: whether it has scans and not one label file.
        scans: those that can be read, by name; their `labels` only where they fit the points.
        files: files of points, readable or not.
        labels: label files that stand beside a file of points, fitting or not.
        bytes: of all files of points and labels.
    """

    name: str
    folder: Path
    splits: tuple[str, ...]
    bare: bool
    scans: tuple[ScanFile, ...]
    files: int
    labels: int
    bytes: int


def take_inventory(dataset: Dataset, findings: Findings) -> list[SequenceFiles]:
    """Looks at the name and size of every file of a dataset; what is wrong goes into `findings`."""
    split = dataset.taxonomy.split
    sequences = []
    for number, folder in dataset.sequences.items():
        splits = tuple(name for name, numbers in split.items() if number in numbers)
        sequences.append(_sequence(folder, splits, findings))
        if split and not splits:
            findings.add("no-split", folder)
    _note_unlabelled(dataset, sequences, findings)
    return sequences


def _note_unlabelled(dataset: Dataset, sequences: list[SequenceFiles], findings: Findings) -> None:
    """Sequences without labels, but those of the test split alone; a note where no sequence has any."""
    bare = [files for files in sequences if files.bare and files.splits != ("test",)]
    if bare and all(files.bare for files in sequences if files.files):
        findings.add("unlabelled", dataset.root, counted(sum(files.files for files in sequences), "scan"))
        return
    for files in bare:
        findings.add("unlabelled-sequence", files.folder, counted(files.files, "scan"))


def _sequence(folder: Path, splits: tuple[str, ...], findings: Findings) -> SequenceFiles:
    points = _sizes(folder / "velodyne", ".bin", findings)
    labels = _sizes(folder / "labels", ".label", findings)
    if not points:
        missing = "no .bin file in its velodyne folder" if (folder / "velodyne").is_dir() else "no velodyne folder"
        findings.add("empty-sequence", folder, missing)
    bare = bool(points) and not labels
    scans = []
    for name in sorted(points):
        scan = _scan(folder, name, points[name], labels.get(name), findings, look_for_labels=not bare)
        scans += [scan] if scan is not None else []
    for name in sorted(labels.keys() - points.keys()):
        findings.add("extra-labels", folder / "labels" / f"{name}.label")
    return SequenceFiles(
        name=folder.name.zfill(2),
        folder=folder,
        splits=splits,
        bare=bare,
        scans=tuple(scans),
        files=len(points),
        labels=len(labels.keys() & points.keys()),
        bytes=sum(points.values()) + sum(labels.values()),
    )


def _scan(
    folder: Path, name: str, size: int, label_size: int | None, findings: Findings, *, look_for_labels: bool
) -> ScanFile | None:
    """The scan of these two sizes in bytes, without its labels where they do not fit; None where the points are cut."""
    points, labels = folder / "velodyne" / f"{name}.bin", folder / "labels" / f"{name}.label"
    if label_size is None and look_for_labels:
        findings.add("missing-labels", points)
    whole = label_size is not None and label_size % LABEL_BYTES == 0
    if label_size is not None and not whole:
        findings.add("labels-size", labels, f"{label_size:,} bytes, {label_size % LABEL_BYTES} too many")
    if size % POINT_BYTES:
        findings.add("points-size", points, f"{size:,} bytes, {size % POINT_BYTES} too many")
        return None
    if not size:
        findings.add("empty-scan", points)
    if label_size is not None and whole and label_size // LABEL_BYTES != size // POINT_BYTES:
        found = f"{label_size // LABEL_BYTES:,} labels for {size // POINT_BYTES:,} points"
        findings.add("label-count", labels, found)
        whole = False
    return ScanFile(folder.name.zfill(2), name, points, labels if whole else None)


def _sizes(folder: Path, suffix: str, findings: Findings) -> dict[str, int]:
    """Name without suffix -> bytes, of the regular files of a folder; what cannot be looked at is a finding."""
    sizes: dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not entry.name.endswith(suffix) or entry.name.startswith("."):
                    continue
                try:
                    found = entry.stat()
                except OSError as error:
                    findings.add("unreadable", entry.path, error.strerror or "")
                    continue
                if stat.S_ISREG(found.st_mode):
                    sizes[entry.name.removesuffix(suffix)] = found.st_size
                else:
                    findings.add("unreadable", entry.path, "no regular file")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        findings.add("unreadable", folder, error.strerror or "")
    return sizes

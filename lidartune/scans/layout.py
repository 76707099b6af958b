"""How a dataset's folder is laid out: numbered sequences, with and without a `sequences/` level, and their files."""

from __future__ import annotations

import os
from pathlib import Path

from lidartune.errors import UserError

PARTS = (("velodyne", ".bin"), ("labels", ".label"))
LAYOUT = "DIR/00/velodyne/000000.bin with DIR/00/labels/000000.label, or the same under DIR/sequences"


def sequence_folders(root: str | Path) -> tuple[Path, dict[int, Path]]:
    """The folder itself, and its sequences by number, in rising order.

    Raises:
        UserError: no such folder, no numbered sequence in it, two of one number, or some in it and some under
            `sequences/`.
    """
    folder = _folder(root)
    if folder is None:
        raise UserError("there is no such dataset folder", where=root, wanted=LAYOUT, do="check the path")
    sequences = numbered_sequences(folder / "sequences")
    if sequences:
        _refuse_sequences_beside(folder)
    else:
        sequences = numbered_sequences(folder)
    if not sequences:
        inside = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise UserError(
            "no sequences in this dataset folder", where=folder, found=inside, wanted=LAYOUT, do=_advice(folder)
        )
    return folder, sequences


def numbered_sequences(folder: Path) -> dict[int, Path]:
    """The numbered folders right inside a folder, in rising order; none where it is no folder.

    Raises:
        UserError: two folders of one number, or it cannot be read.
    """
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


def scan_files(sequence: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The point files and the label files of a sequence, by name without ending; empty where there are none."""
    points, labels = (_files_in(sequence / part, ending) for part, ending in PARTS)
    return points, labels


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


def _folder(root: str | Path) -> Path | None:
    try:
        folder = Path(root).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):  # a folder above it that may not be looked into, the home of nobody
        return None


def _refuse_sequences_beside(folder: Path) -> None:
    beside = [entry.name for entry in _numbered_folders_or_none(folder) if os.path.isdir(entry / "velodyne")]
    if beside:
        raise UserError(
            "sequences in this dataset folder, and others under its `sequences` folder",
            where=folder,
            found=", ".join(beside[:8]) + " beside sequences/",
            wanted=LAYOUT,
            do=f"name {folder / 'sequences'} to take those; else move one of the two elsewhere",
        )


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

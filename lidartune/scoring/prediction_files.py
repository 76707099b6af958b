"""Predictions as files, in SemanticKITTI's layout: sequences/NN/predictions/*.label, raw ids as uint32."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lidartune.errors import UserError
from lidartune.scans import Dataset, ScanFile, fingerprint
from lidartune.scans.files import LABEL_BYTES, POINT_BYTES
from lidartune.scans.layout import numbered_sequences
from lidartune.whole_file import write_whole

LAYOUT = "FOLDER/sequences/00/predictions/000000.label, or the same without `sequences`"
MARKER = "predictions.json"
LABELS = "predictions/*.label"
POINTS = "points"  # in a marker: fingerprint of the sequence that is predicted
MARKER_WAIT_S = 2.0


def find_predictions(root: Path) -> dict[int, Path]:
    """Sequence number -> the folder of its `.label` files, in rising order.

    Raises:
        UserError: no such folder, no predictions in it, or two folders for one sequence.
    """
    if not root.is_dir():
        raise UserError("there is no such folder of predictions", where=root, wanted=LAYOUT, do="check the path")
    found = _folders(root / "sequences") or _folders(root)
    if not found:
        inside = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
        raise UserError("no predictions in this folder", where=root, found=inside, wanted=LAYOUT, do="check the path")
    return found


def _folders(folder: Path) -> dict[int, Path]:
    folders = {number: sequence / "predictions" for number, sequence in numbered_sequences(folder).items()}
    return {number: predictions for number, predictions in folders.items() if predictions.is_dir()}


class PredictionFolder:
    """The folder that one network's predictions on one dataset are written to.

    A marker in each sequence's folder, `sequences/NN/predictions.json`, says whose predictions it is for: the first job
    that makes it has the sequence, before anything is predicted, so that several jobs may write to one folder at once
    and another network's predictions are never mixed in. semantic-kitti-api looks into `predictions` only. Files are
    put in place whole, so that a file that is there is whole.

    Raises:
        UserError: two folders for one sequence, or one that cannot be read.
    """

    def __init__(self, root: Path, author: Mapping[str, Any]):
        self.root = root
        self._author = dict(author)
        self._sequences = numbered_sequences(root / "sequences")

    def path(self, scan: ScanFile) -> Path:
        return self._sequence(scan.sequence) / "predictions" / f"{scan.name}.label"

    def is_there(self, scan: ScanFile) -> bool:
        """It has a label for each point."""
        try:
            return self.path(scan).stat().st_size * POINT_BYTES == scan.points.stat().st_size * LABEL_BYTES
        except OSError:
            return False

    def claim(self, dataset: Dataset, scans: Sequence[ScanFile], *, overwrite: bool) -> None:
        """Makes the sequences of these scans this network's, or finds that they are already.

        No marker ever goes, but by `overwrite`. Of two networks that claim at the same time sequences which may not
        go together, none or one gets through.

        Args:
            scans: all of their sequences.
            overwrite: takes away what is there of these sequences, whosever it is.

        Raises:
            UserError: it is for predictions of another network, or of other scans by these names.
        """
        self._check_place(dataset)
        digests = _digests(scans)
        markers = {self._sequence(name): self._author | {POINTS: digest} for name, digest in digests.items()}
        there = self._markers()
        self._check({folder: there[folder] for folder in there if not (overwrite and folder in markers)}, markers)
        for folder, marker in markers.items():
            content = (json.dumps(marker, indent=1, sort_keys=True) + "\n").encode()
            if overwrite and folder in there:
                for path in folder.glob(LABELS):
                    path.unlink(missing_ok=True)
                write_whole(folder / MARKER, content)
            else:
                _write_first(folder / MARKER, content)
        self._check(dict.fromkeys(markers, {}) | self._markers(), markers)  # another job may have come in between

    def write(self, scan: ScanFile, raw_ids: np.ndarray) -> None:
        """Puts the raw ids `(N,)` of a scan's points in place."""
        write_whole(self.path(scan), raw_ids.astype("<u4", copy=False).tobytes())

    def _sequence(self, name: str) -> Path:
        """Its folder: in a dataset's own folder it may be spelled otherwise, as 8 for 08."""
        return self._sequences.get(int(name), self.root / "sequences" / name)

    def _markers(self) -> dict[Path, dict[str, Any]]:
        """Folder of each sequence that is somebody's -> its marker, empty where none says whose the labels are."""
        folders = numbered_sequences(self.root / "sequences").values()
        found = {folder: _read_marker(folder / MARKER) for folder in folders}
        return {
            folder: marker or {}
            for folder, marker in found.items()
            if marker is not None or any(folder.glob(LABELS))
        }

    def _check(self, there: Mapping[Path, dict[str, Any]], wanted: Mapping[Path, dict[str, Any]]) -> None:
        """Raises UserError where a marker is another network's, or one of those wanted is for other scans."""
        of_others = {folder: self._differences(marker) for folder, marker in there.items()}
        of_others = {folder: names for folder, names in of_others.items() if names}
        if of_others:
            raise self._taken(there, of_others)
        stale = [folder for folder in wanted if folder in there and there[folder].get(POINTS) != wanted[folder][POINTS]]
        if stale:
            raise UserError(
                "this folder holds predictions of other scans of the same names",
                where=stale[0],
                found="the dataset has changed since, or is another one",
                do="name a new folder, or predict these sequences again with --overwrite",
            )

    def _differences(self, marker: Mapping[str, Any]) -> list[str]:
        return [name for name, value in self._author.items() if name not in marker or marker[name] != value]

    def _taken(self, there: Mapping[Path, dict[str, Any]], of_others: Mapping[Path, list[str]]) -> UserError:
        first, names = next(iter(of_others.items()))
        found = ", ".join(f"{name} {there[first][name]}" for name in names if name in there[first])
        sequences = ", ".join(sorted(folder.name for folder in of_others))
        return UserError(
            "this folder is taken by other predictions",
            where=self.root,
            found=f"sequences {sequences}: " + (found or f"no whole {MARKER} that says whose"),
            wanted=", ".join(f"{name} {self._author[name]}" for name in names),
            do="name a new folder, or predict all of these sequences again with --overwrite",
        )

    def _check_place(self, dataset: Dataset) -> None:
        bare = any(folder.parent.resolve() == self.root.resolve() for folder in dataset.sequences.values())
        if bare:
            raise UserError(
                "predictions cannot go into this dataset's own folder",
                where=self.root,
                found="sequences without a `sequences` folder above them, which the predictions would hide",
                do="name another folder",
            )


def _digests(scans: Iterable[ScanFile]) -> dict[str, str]:
    """Sequence -> fingerprint of its points; labels may come later."""
    sequences: dict[str, list[ScanFile]] = {}
    for scan in scans:
        sequences.setdefault(scan.sequence, []).append(dataclasses.replace(scan, labels=None))
    return {name: fingerprint(of_it) for name, of_it in sequences.items()}


def _write_first(path: Path, content: bytes) -> None:
    """Makes a file with this content unless there is one; UserError where it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("xb", buffering=0)
        except FileExistsError:
            return
        with file:
            try:
                file.write(content)
            except OSError:
                path.unlink()
                raise
    except OSError as error:
        raise UserError(
            "this file cannot be written",
            where=path,
            found=error.strerror,
            do="check the folder and the room on the disk, then run again",
        ) from None


def _read_marker(path: Path) -> dict[str, Any] | None:
    """What it says; None where there is none, empty where it is not whole: another job gets time to write it."""
    until = time.monotonic() + MARKER_WAIT_S
    while True:
        try:
            marker = json.loads(path.read_bytes())
            return {"speed": "exact"} | marker if isinstance(marker, dict) and marker else {}  # once the only speed
        except FileNotFoundError:
            return None
        except OSError:
            return {}
        except ValueError:
            if time.monotonic() > until:
                return {}
            time.sleep(0.05)

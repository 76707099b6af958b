"""Predictions as files, in SemanticKITTI's layout: sequences/NN/predictions/*.label, raw ids as uint32."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lidartune.errors import UserError
from lidartune.scans import Dataset, ScanFile, fingerprint
from lidartune.whole_file import write_whole

LAYOUT = "FOLDER/sequences/00/predictions/000000.label, or the same without `sequences`"
MARKER = "predictions.json"
POINT_BYTES, LABEL_BYTES = 16, 4


def find_predictions(root: Path) -> dict[int, Path]:
    """Sequence number -> the folder of its `.label` files, in rising order.

    Raises:
        UserError: no such folder, or no predictions in it.
    """
    if not root.is_dir():
        raise UserError("there is no such folder of predictions", where=root, wanted=LAYOUT, do="check the path")
    found = _folders(root / "sequences") or _folders(root)
    if not found:
        inside = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
        raise UserError("no predictions in this folder", where=root, found=inside, wanted=LAYOUT, do="check the path")
    return found


def _folders(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    numbered = (entry for entry in folder.iterdir() if entry.name.isascii() and entry.name.isdecimal())
    folders = {int(entry.name): entry / "predictions" for entry in numbered}
    return {number: folders[number] for number in sorted(folders) if folders[number].is_dir()}


class PredictionFolder:
    """The folder that one network's predictions on one dataset are written to.

    A marker beside them says whose they are, so that another network's are never mixed in. Files are put in place
    whole, so that a file that is there is whole.
    """

    def __init__(self, root: Path, author: Mapping[str, Any]):
        self.root = root
        self._author = dict(author)

    def path(self, scan: ScanFile) -> Path:
        return self.root / "sequences" / scan.sequence / "predictions" / f"{scan.name}.label"

    def is_there(self, scan: ScanFile) -> bool:
        """It has a label for each point."""
        try:
            return self.path(scan).stat().st_size * POINT_BYTES == scan.points.stat().st_size * LABEL_BYTES
        except OSError:
            return False

    def claim(self, dataset: Dataset, scans: Sequence[ScanFile], *, overwrite: bool) -> None:
        """Makes the folder this network's, or finds that it is already.

        Args:
            scans: all of their sequences.
            overwrite: takes away what is there of these sequences, whosever it is.

        Raises:
            UserError: it holds predictions of another network, or of other scans by these names.
        """
        self._check_place(dataset)
        digests = _digests(scans)
        there = self._there()
        staying = {name: files for name, files in there.items() if not (overwrite and name in digests)}
        marker = self._read_marker() if staying else {}
        known = marker.get("sequences", {})
        if staying:
            self._check_author(marker, staying)
        stale = [name for name in digests if name in staying and digests[name] != known.get(name)]
        if stale:
            raise UserError(
                "this folder holds predictions of other scans of the same names",
                where=self.root / "sequences" / stale[0],
                found="the dataset has changed since, or is another one",
                do="name a new folder, or predict these sequences again with --overwrite",
            )
        for files in (there[name] for name in there if name not in staying):
            for path in files:
                path.unlink(missing_ok=True)
        text = json.dumps(self._author | {"sequences": known | digests}, indent=1, sort_keys=True) + "\n"
        write_whole(self.root / MARKER, text.encode())

    def write(self, scan: ScanFile, raw_ids: np.ndarray) -> None:
        """Puts the raw ids `(N,)` of a scan's points in place."""
        write_whole(self.path(scan), raw_ids.astype("<u4", copy=False).tobytes())

    def _there(self) -> dict[str, list[Path]]:
        """Sequence name -> its predictions."""
        there: dict[str, list[Path]] = {}
        for path in sorted((self.root / "sequences").glob("*/predictions/*.label")):
            there.setdefault(path.parent.parent.name, []).append(path)
        return there

    def _read_marker(self) -> dict[str, Any]:
        try:
            marker = json.loads((self.root / MARKER).read_bytes())
            return marker if isinstance(marker, dict) else {}
        except (OSError, ValueError):
            return {}

    def _check_author(self, marker: dict[str, Any], there: Iterable[str]) -> None:
        other = {name: value for name, value in self._author.items() if marker.get(name) != value}
        if not other:
            return
        found = ", ".join(f"{name} {marker[name]}" for name in other if name in marker)
        raise UserError(
            "this folder holds other predictions already",
            where=self.root,
            found=f"sequences {', '.join(sorted(there))}: " + (found or f"no whole {MARKER} that says whose"),
            wanted=", ".join(f"{name} {value}" for name, value in other.items()),
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

"""Scans whose labels are not to be read: the scan files of an unlabelled domain name none. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lidartune.scans import ScanFile


def unlabelled(scans: Sequence[ScanFile]) -> tuple[ScanFile, ...]:
    """The same scans without their label files: whoever is handed these cannot read a label."""
    return tuple(replace(scan, labels=None) for scan in scans)

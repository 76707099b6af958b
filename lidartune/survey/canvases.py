"""Canvas widths measured on what a survey found: on which scans, with which rows and angles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lidartune.errors import UserError
from lidartune.processes import Progress
from lidartune.scans.dataset import Dataset, spread
from lidartune.survey.survey import Survey
from lidartune.survey.widths import WidthFigures, measure_widths

SCANS = 200  # of each dataset: more change the figures by less than two streets differ
USUAL = (64, 3.0, -25.0)  # the canvas of the HDL-64 in lidar-bonnetal


@dataclass(frozen=True, kw_only=True)
class CanvasChoice:
    """Rows and edges that were given on the command line; None is to be found."""

    height: int | None = None
    fov_up_deg: float | None = None
    fov_down_deg: float | None = None


def parse_widths(text: str) -> list[int]:
    """`512,1024,2048` as numbers. Raises UserError for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) <= 1 << 16 for part in parts):
        raise UserError(
            "canvas widths are whole numbers with commas between them",
            where="--widths",
            found=repr(text),
            wanted="such as 512,1024,2048",
        )
    return sorted({int(part) for part in parts})


def widths_of(
    dataset: Dataset,
    survey: Survey,
    widths: Sequence[int],
    choice: CanvasChoice,
    *,
    processes: int | None = None,
    progress: Progress = True,
) -> tuple[list[WidthFigures], str]:
    """The figures of each width on at most SCANS whole scans, evenly spread, and a sentence on how they were measured.

    Raises:
        UserError: no labelled scan without a fault, or a canvas that cannot be.
    """
    broken = {
        file["path"] for finding in survey.findings if finding.kind in ("unknown-id", "unreadable")
        for file in finding.first
    }  # fmt: skip
    whole = [
        scan
        for sequence in survey.sequences
        for scan in sequence.files.scans
        if scan.labels is not None and not {str(scan.points), str(scan.labels)} & broken
    ]
    scans = spread(whole, SCANS)
    if not scans:
        raise UserError("no labelled scan to compare canvas widths on", where=survey.root, do="leave --widths out")
    height, up, down, how = _canvas(survey, choice)
    figures = measure_widths(
        dataset, scans, height=height, fov_up_deg=up, fov_down_deg=down, widths=widths, processes=processes,
        progress=progress,
    )  # fmt: skip
    return figures, f"{len(scans):,} scans, {height} rows from {up:+g} to {down:+g} degrees: {how}"


def _canvas(survey: Survey, choice: CanvasChoice) -> tuple[int, float, float, str]:
    """Rows, upper and lower edge, and where they come from."""
    beams, edges = survey.sensor.beams.number, survey.sensor.canvas_edges_deg()
    given = choice.height, choice.fov_up_deg, choice.fov_down_deg
    found = (int(beams), *edges) if beams and edges else None
    height, up, down = (
        own if own is not None else other for own, other in zip(given, found or USUAL, strict=True)
    )
    if None not in given:
        how = "as given"
    elif found:
        how = "a row for each beam" + (", or as given" if any(v is not None for v in given) else "")
    else:
        how = "the usual HDL-64 canvas where none was given, because the beams are unknown"
    return int(height), float(up), float(down), how

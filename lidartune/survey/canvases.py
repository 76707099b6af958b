"""Canvas widths measured on what a survey found: on which scans, with which rows and angles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lidartune.errors import UserError
from lidartune.processes import Progress
from lidartune.scans.dataset import Dataset, spread
from lidartune.survey.findings import counted
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


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Rows and edges to measure on, and where they come from."""

    height: int
    fov_up_deg: float
    fov_down_deg: float
    how: str


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
    canvas: Canvas,
    *,
    processes: int | None = None,
    progress: Progress = True,
) -> tuple[list[WidthFigures], str]:
    """The figures of each width on at most SCANS whole scans, evenly spread, and a sentence on how they were measured.

    Raises:
        UserError: no labelled scan without a fault, or a canvas that cannot be.
    """
    scans = spread(survey.whole, SCANS)
    if not scans:
        raise UserError("no labelled scan to compare canvas widths on", where=survey.root, do="leave --widths out")
    height, up, down = canvas.height, canvas.fov_up_deg, canvas.fov_down_deg
    figures = measure_widths(
        dataset, scans, height=height, fov_up_deg=up, fov_down_deg=down, widths=widths, processes=processes,
        progress=progress,
    )  # fmt: skip
    return figures, f"{counted(len(scans), 'scan')}, {height} rows from {up:+g} to {down:+g} degrees: {canvas.how}"


def common_canvas(surveys: Sequence[Survey], choice: CanvasChoice) -> Canvas:
    """The one canvas that all are measured on, for a study has one: as many rows as the most beams, and all fields of
    view, but for what was chosen. The usual one where no sensor tells."""
    beams = [b for s in surveys if (b := s.sensor.beams.number) and s.sensor.canvas_edges_deg()]
    edges = [e for s in surveys if (e := s.sensor.canvas_edges_deg() or _span(s, bool(beams)))]
    found = (int(max(beams)), max(up for up, _ in edges), min(down for _, down in edges)) if beams else None
    given = choice.height, choice.fov_up_deg, choice.fov_down_deg
    height, up, down = (own if own is not None else other for own, other in zip(given, found or USUAL, strict=True))
    if None not in given:
        how = "as given"
    elif found is None:
        how = "the usual HDL-64 canvas where none was given, because the beams are unknown"
    else:
        rows = "as many rows as beams"
        if len(surveys) > 1:
            rows = "one canvas for both, with as many rows as the most beams and with both fields of view"
        how = rows + (", or as given" if any(v is not None for v in given) else "")
    return Canvas(height=int(height), fov_up_deg=float(up), fov_down_deg=float(down), how=how)


def _span(survey: Survey, wanted: bool) -> tuple[float, float] | None:
    """Elevation that nearly all points lie within, where the beams are unknown but another dataset's are not."""
    up, down = survey.sensor.up_deg.number, survey.sensor.down_deg.number
    return (round(up, 1), round(down, 1)) if wanted and up is not None and down is not None else None

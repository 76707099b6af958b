"""Everything a study's report folder holds, from what lies on disk."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from lidartune.errors import UserError, nearest
from lidartune.processes import beside
from lidartune.report.results import StudyResults, load_study

if TYPE_CHECKING:
    from rich.console import Console


def write_report(
    study_folder: Path,
    *,
    console: Console | None = None,
    runs_root: Path | None = None,
    only: Collection[str] = (),
    processes: int = 1,
) -> Path:
    """Writes report/ in the study's folder: CSV, Parquet, Markdown, LaTeX, figures, index.html; returns that folder.

    An unfinished study is reported as far as it got, with what is missing and why.

    Args:
        study_folder: the folder with plan.json.
        console: where the tables are printed; None prints nothing.
        runs_root: folder of the runs; by default `runs` beside the study's folder.
        only: names of the tables to print, by default the short ones.
        processes: how many draw figures beside this one, which must have no threads if there are several.

    Raises:
        UserError: a table is asked for that the study has not, the folder holds no plan that can be read, or the
            report cannot be written there.
    """
    results = load_study(study_folder, runs_root)
    _must_have(results, only)
    folder = results.folder / "report"
    try:
        _write_files(results, folder, processes)
    except OSError as error:
        raise UserError(
            "the report cannot be written",
            where=error.filename or folder,
            found=error.strerror or error,
            wanted="a folder that can be written, with space left",
            do="make it so, or copy the study's folder and `runs` beside it to another place and report on the copy",
        ) from None
    if console is not None:
        from lidartune.report import terminal

        terminal.print_tables(results, console, only)
    return folder


def _must_have(results: StudyResults, only: Collection[str]) -> None:
    if only:
        from lidartune.report.tables import all_tables

        known = list(all_tables(results))
        for name in only:
            if name not in known:
                raise UserError(
                    "the study has no such table", found=name, do=nearest(name, known)
                )


def _write_files(results: StudyResults, folder: Path, processes: int) -> None:
    # pandas and matplotlib take a second to import: not before somebody wants a report.
    from lidartune.report import exports, figures, page, tables
    from lidartune.report.figures.pictures import pictures

    folder.mkdir(parents=True, exist_ok=True)
    frames = tables.all_tables(results)
    wanted = figures.to_draw(results, frames, folder / page.FOLDER)
    with beside(figures.draw, wanted, processes=processes) as drawing:
        exports.write_tables(results, folder)
        (folder / "report.md").write_text(exports.markdown(results), encoding="utf-8", newline="\n")
        scans = pictures(results, frames)
        for scan in scans:
            (folder / page.FOLDER / f"{scan.name}.png").write_bytes(scan.png)
        drawn = {figure.name: figure for figure in drawing}
    page.write_page(results, drawn, scans, folder / "index.html")

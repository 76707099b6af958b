"""Everything a study's report folder holds, from what lies on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lidartune.errors import UserError
from lidartune.report.results import CHECKPOINT, StudyResults, load_study

if TYPE_CHECKING:
    from rich.console import Console


def write_report(study_folder: Path, *, console: Console | None = None, runs_root: Path | None = None) -> Path:
    """Writes report/ in the study's folder: CSV, Parquet, Markdown, LaTeX, SVG, index.html; returns that folder.

    An unfinished study is reported as far as it got, with what is missing and why.

    Args:
        study_folder: the folder with plan.json.
        console: where the tables are printed; None prints nothing.
        runs_root: folder of the runs; by default `runs` beside the study's folder.

    Raises:
        UserError: the folder holds no plan that can be read, or the report cannot be written there.
    """
    results = load_study(study_folder, runs_root)
    folder = results.folder / "report"
    try:
        _write_files(results, folder)
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

        terminal.print_tables(results, console)
    return folder


def _write_files(results: StudyResults, folder: Path) -> None:
    # pandas and matplotlib take a second to import: not before somebody wants a report.
    from lidartune.report import csv_files, exports, figures, ladder, page, tables, texts

    folder.mkdir(parents=True, exist_ok=True)
    frames = tables.all_tables(results)
    if not results.rungs:  # of a study that had one before
        for name in ("ladder.csv", "ladder.tex"):
            (folder / name).unlink(missing_ok=True)
    for name, frame in frames.items():
        csv_files.write_csv(frame, folder / f"{name}.csv")
    # Arrow wants one type a column: labelled_scans holds numbers and `all`, pretrain_epochs may hold `checkpoint`.
    words = ["labelled_scans"] if results.cells else []
    words += ["pretrain_epochs"] if any(cell.pretrain_epochs == CHECKPOINT for cell in results.cells) else []
    frames["gap"].astype(dict.fromkeys(words, str)).to_parquet(folder / "gap.parquet")
    figures.draw_curves(figures.curve_data(results), folder / "curves.svg")
    figures.draw_gains(figures.gain_data(results), folder / "gap.svg")
    (folder / "report.md").write_text(exports.markdown(results), encoding="utf-8", newline="\n")
    texts_by_name = {"gap": texts.gap_text(results), "matrix": texts.matrix_text(results)}
    for text in ladder.ladder_text(results, sentences=False):
        texts_by_name["ladder"] = text
    for name, text in texts_by_name.items():
        (folder / f"{name}.tex").write_text(exports.latex(text), encoding="utf-8", newline="\n")
    drawn = {"Learning curves": folder / "curves.svg", "Gain over training from scratch": folder / "gap.svg"}
    page.write_page(results, frames["per_class"], drawn, folder / "index.html")

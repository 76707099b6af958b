"""All tables of a study, by name: as data frames, and as text for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from lidartune.report.ceilings import ceilings_table, ceilings_text, forgetting_table, forgetting_text
from lidartune.report.cells import cells_table, cells_text
from lidartune.report.classes import per_class_table, per_class_text
from lidartune.report.cost import cost_table, cost_text
from lidartune.report.effects import effects_table, effects_text
from lidartune.report.judged import importances_table, importances_text, judged_table, judged_text
from lidartune.report.label_efficiency import label_efficiency_table, label_efficiency_text
from lidartune.report.ladder import ladder_table, ladder_text
from lidartune.report.learning import learning_table, learning_text
from lidartune.report.points import points_table, points_text
from lidartune.report.ranking import ranking_table, ranking_text
from lidartune.report.results import StudyResults
from lidartune.report.settings import gap_table, matrix_table
from lidartune.report.summary import summary_table, summary_text
from lidartune.report.texts import TextTable, gap_text, matrix_text


@dataclass(frozen=True, kw_only=True)
class StudyTable:
    """A table: its data and how people read it.

    Attributes:
        name: stem of its files.
        frame: the data; figures are fractions 0..1 and nan is n/a; without rows the study has no such table.
        text: the same for people, from the frame.
        printed: whether a report shows it unasked, in the terminal and in report.md.
    """

    name: str
    frame: Callable[[StudyResults], pd.DataFrame]
    text: Callable[[StudyResults, pd.DataFrame], TextTable]
    printed: bool = True


TABLES = (
    StudyTable(name="judged", frame=judged_table, text=judged_text),
    StudyTable(name="gap", frame=gap_table, text=lambda results, _: gap_text(results)),
    StudyTable(name="matrix", frame=matrix_table, text=lambda results, _: matrix_text(results)),
    StudyTable(name="ladder", frame=ladder_table, text=lambda results, _: ladder_text(results, sentences=False)[0]),
    StudyTable(name="summary", frame=summary_table, text=summary_text),
    StudyTable(name="effects", frame=effects_table, text=effects_text),
    StudyTable(name="label_efficiency", frame=label_efficiency_table, text=label_efficiency_text),
    StudyTable(name="ranking", frame=ranking_table, text=ranking_text, printed=False),
    StudyTable(name="points", frame=points_table, text=points_text, printed=False),
    StudyTable(name="importances", frame=importances_table, text=importances_text, printed=False),
    StudyTable(name="learning", frame=learning_table, text=learning_text, printed=False),
    StudyTable(name="forgetting", frame=forgetting_table, text=forgetting_text, printed=False),
    StudyTable(name="ceilings", frame=ceilings_table, text=ceilings_text, printed=False),
    StudyTable(name="per_class", frame=per_class_table, text=per_class_text, printed=False),
    StudyTable(name="cells", frame=cells_table, text=cells_text, printed=False),
    StudyTable(name="cost", frame=cost_table, text=cost_text, printed=False),
)
ALWAYS = ("gap", "matrix", "learning", "per_class", "cells")  # there even where the plan has no cell


def all_tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Every table that the study has, by the name of its files: figures are fractions 0..1, nan = n/a."""
    if "tables" not in results.cache:
        frames = {table.name: table.frame(results) for table in TABLES}
        results.cache["tables"] = {name: frame for name, frame in frames.items() if len(frame) or name in ALWAYS}
    frames = results.cache["tables"]
    return frames


def all_texts(results: StudyResults) -> dict[str, TextTable]:
    """The same for people: percent, points and words."""
    if "texts" not in results.cache:
        frames = all_tables(results)
        results.cache["texts"] = {t.name: t.text(results, frames[t.name]) for t in TABLES if t.name in frames}
    texts: dict[str, TextTable] = results.cache["texts"]
    return texts

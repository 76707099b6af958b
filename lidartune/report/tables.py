"""All tables of a study, by name."""

from __future__ import annotations

import pandas as pd

from lidartune.report.classes import per_class_table
from lidartune.report.ladder import ladder_table
from lidartune.report.learning import learning_table
from lidartune.report.results import StudyResults
from lidartune.report.settings import cells_table, gap_table, matrix_table


def all_tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Every table that the study has, by the name of its files: figures are fractions 0..1, nan = n/a."""
    frames = {
        "gap": gap_table(results),
        "cells": cells_table(results),
        "matrix": matrix_table(results),
        "per_class": per_class_table(results),
        "learning": learning_table(results),
    }
    if results.rungs:
        frames["ladder"] = ladder_table(results)
    return frames

"""Tables, figures and pages from a study's files: reads JSON and PNG only, imports neither torch nor ray."""

from lidartune.report.results import CellResult, StudyResults, load_study
from lidartune.report.write import write_report

__all__ = ["CellResult", "StudyResults", "load_study", "write_report"]

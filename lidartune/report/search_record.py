"""What a search leaves for the report, in a file beside its plan."""

from __future__ import annotations

from typing import Any

from lidartune.report.results import StudyResults, optional_json

POINTS_FILE = "points.json"
LAST, VALUE = "last_miou", "validation_miou"
"""A point's score on the real validation scans: of its first seed at its last epoch so far; and what it is worth."""
OWN_RECIPE = "own recipe"
"""The study's, beside those that a search has drawn."""


def search_record(results: StudyResults) -> dict[str, Any]:
    """The record, with `points`, `importances` and `judged`; {} of a study that is no search."""
    if "search" not in results.cache:
        results.cache["search"] = optional_json(results.folder / POINTS_FILE)
    record: dict[str, Any] = results.cache["search"]
    return record

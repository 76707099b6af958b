"""Studies side by side: what differs between them, and what that does to the figures of the settings they share."""

from lidartune.report.compare.write import compare_studies

__all__ = ["compare_studies"]

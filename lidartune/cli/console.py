"""Where commands print."""

from __future__ import annotations

import sys

from rich.console import Console


def console() -> Console:
    """The terminal, or 120 columns where the output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else 120)

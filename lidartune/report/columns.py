"""What the tables' columns are made of: the parts of a setting's key, and an interval's four fields."""

from __future__ import annotations

from typing import Any

from lidartune.report.groups import KEY, Group
from lidartune.transfer import gap


def key_fields(group: Group) -> dict[str, Any]:
    """The columns that every table of settings begins with."""
    return dict(zip(KEY, group.key, strict=True))


def interval_fields(name: str, interval: gap.Interval) -> dict[str, Any]:
    """An interval as four columns: `name`, `name_low`, `name_high` and `name_seeds`."""
    return {
        name: float(interval.mean),
        f"{name}_low": float(interval.low),
        f"{name}_high": float(interval.high),
        f"{name}_seeds": int(interval.seeds),
    }

"""Which settings are drawn where not all can be: by rules that look at nothing but the gap table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.groups import KEY, Group
from lidartune.report.results import CHECKPOINT, Key
from lidartune.transfer.gap import Interval, side

RANKED_BY = "gain_equal_finetuning"
_WORDS = ("{}", "width {}", "epochs {}", "freeze {}", "scans {}")


def with_pretraining(gap: pd.DataFrame) -> pd.DataFrame:
    """The rows of the gap table that begin with pretraining or with a checkpoint."""
    return gap[gap["pretrain_epochs"].astype(str) != "0"] if len(gap) else gap


def ranked(gap: pd.DataFrame) -> pd.DataFrame:
    """The settings that have a gain at equal fine-tuning, the largest first."""
    rows = with_pretraining(gap)
    if not len(rows):
        return rows
    return rows[rows[RANKED_BY].notna()].sort_values(RANKED_BY, ascending=False, kind="stable")


def best_and_worst(gap: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """The settings with the largest and the smallest gain at equal fine-tuning, each with what it is called."""
    rows = ranked(gap)
    if len(rows) < 2:
        return [("the only setting", rows.iloc[0])] if len(rows) else []
    return [("the largest gain", rows.iloc[0]), ("the smallest gain", rows.iloc[-1])]


def certain(rows: pd.DataFrame, mean: str, low: str, high: str, seeds: str) -> np.ndarray:
    """(rows,) whether the interval of a difference, given by the names of its columns, leaves out 0."""
    return np.array(
        [
            side(Interval(mean=m, low=a, high=b, seeds=n)) != 0
            for m, a, b, n in rows[[mean, low, high, seeds]].itertuples(index=False, name=None)
        ],
        dtype=bool,
    )


def figures_of(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    """A measure's columns under the names mean, low and high, in points or per cent, seeds, and certain."""
    columns = {"mean": name, "low": f"{name}_low", "high": f"{name}_high", "seeds": f"{name}_seeds"}
    found = {end: (1 if end == "seeds" else 100) * rows[column].astype(float) for end, column in columns.items()}
    return found | {"certain": certain(rows, *columns.values())}


def by_measure(rows: pd.DataFrame, column: str, names: Iterable[str], keys: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each of `rows` and each measure, whose name stands in `column`: its keys and `figures_of`."""
    parts = [pd.DataFrame({**keys, column: name, **figures_of(rows, name)}) for name in names]
    return pd.concat(parts, ignore_index=True)


def key_of(row: pd.Series) -> Key:
    """The parts of a row's key, in the order of KEY."""
    backbone, width, epochs, freeze, labelled = (row[name] for name in KEY)
    return str(backbone), int(width), epochs, str(freeze), labelled


def labels(rows: pd.DataFrame, parts: Sequence[str] = KEY) -> list[str]:
    """What tells each row from the others, by the parts of its key that vary (the first part where none does)."""
    varying = [part for part in parts if rows[part].astype(str).nunique() > 1] or [parts[0]]
    return [", ".join(part_words(part, row[part]) for part in varying) for _, row in rows.iterrows()]


def part_words(part: str, value: object) -> str:
    """One part of a key in words."""
    return str(value) if value == CHECKPOINT else _WORDS[KEY.index(part)].format(value)


def words(row: pd.Series) -> str:
    """The whole setting in words."""
    return Group(key=key_of(row), cells=()).label


def held(rows: pd.DataFrame, *parts: str) -> tuple[pd.DataFrame, str]:
    """The rows at one value of each part, and those values in words.

    The longest pretraining, nothing frozen where there is such a row, and the fewest labelled scans: where
    pretraining has most to give. An average over them would hide what it is an average of.
    """
    said = []
    for part in parts if len(rows) else ():
        values = list(dict.fromkeys(rows[part]))
        if part == "pretrain_epochs":
            value = max(values, key=number)
        elif part == "labelled_scans":
            value = min(values, key=lambda v: np.inf if v == "all" else float(v))
        else:
            value = "none" if "none" in values else values[0]
        rows = rows[rows[part].astype(str) == str(value)]
        said.append(_held_words(part, value))
    return rows, ", ".join(said)


def number(value: object) -> float:
    """A value of an axis as a number: -1 for a checkpoint, infinite for all scans."""
    return {CHECKPOINT: -1.0, "all": np.inf}.get(str(value), np.nan) if isinstance(value, str) else float(str(value))


def _held_words(part: str, value: object) -> str:
    if part == "pretrain_epochs":
        epochs = "1 epoch" if value == 1 else f"{value} epochs"
        return "from the checkpoint" if value == CHECKPOINT else f"{epochs} of pretraining"
    if part == "labelled_scans":
        return "all labelled real scans" if value == "all" else f"{value} labelled real scans"
    if part == "freeze":
        return "nothing frozen" if value == "none" else f"freeze {value}"
    return part_words(part, value)

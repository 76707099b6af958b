"""What one choice does, everything else equal: paired differences between two values of an axis of the grid."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields
from lidartune.report.groups import KEY, mean_score
from lidartune.report.results import CellResult, StudyResults, cell_order
from lidartune.report.texts import TextTable, row_interval, with_half_width
from lidartune.transfer import gap
from lidartune.transfer.compare import over_settings

AXES = {
    "backbone": "backbone", "width": "width", "pretrain_epochs": "pretraining epochs", "freeze": "freeze",
    "labelled_scans": "labelled real scans",
}  # fmt: skip
MEASURES = ("finetuned", "gain_equal_finetuning", "gain_equal_total")
Figures = dict[Any, dict[tuple[tuple[Any, ...], int], float]]
"""Value of an axis -> (the other parts of the key, seed) -> figure."""


def effects_table(results: StudyResults) -> pd.DataFrame:
    """One row for each ordered pair of values of an axis and measure: the measure with `value` less with `instead_of`.

    The difference is taken between cells that match in every other axis and in the seed, averaged over settings within
    each seed, and its interval is over seeds (compare.over_settings). Of pretraining epochs 0 is a value too: its
    fine-tuned score is that from scratch.
    """
    rows = []
    for axis in KEY:
        by_measure = {measure: _figures(results, axis, measure) for measure in MEASURES}
        for instead_of, value in permutations(_values(results, axis), 2):
            for measure, figures in by_measure.items():
                differences = _paired(figures.get(value, {}), figures.get(instead_of, {}))
                interval, settings = over_settings(differences)
                rows.append(
                    {"axis": axis, "value": str(value), "instead_of": str(instead_of), "measure": measure}
                    | interval_fields("difference", interval)
                    | {"difference_iqm": float(gap.interquartile_mean(differences.ravel()))}
                    | {"settings": settings, "verdict": gap.verdict(interval)}
                )
    return pd.DataFrame(rows)


def _values(results: StudyResults, axis: str) -> list[Any]:
    place = KEY.index(axis)
    ordered = sorted((cell.key for cell in results.cells), key=lambda key: cell_order(key)[_PLACES[place]])
    return list(dict.fromkeys(key[place] for key in ordered))


_PLACES = (slice(0, 1), slice(1, 2), slice(2, 4), slice(4, 5), slice(5, 7))  # of each part of the key in cell_order


def _figures(results: StudyResults, axis: str, measure: str) -> Figures:
    place = KEY.index(axis)
    figure = _finetuned(axis) if measure == "finetuned" else _difference(measure)
    found: Figures = {}
    for cell in results.cells:
        value = figure(results, cell)
        if not np.isnan(value):
            rest = cell.key[:place] + cell.key[place + 1 :]
            if axis == "pretrain_epochs" and cell.pretrain_epochs == 0:
                for freeze in {c.freeze for c in results.cells}:  # from scratch nothing is frozen: it is each one's
                    found.setdefault(0, {})[((*rest[:2], freeze, rest[3]), cell.seed)] = value
            else:
                found.setdefault(cell.key[place], {})[rest, cell.seed] = value
    return found


def _finetuned(axis: str) -> Callable[[StudyResults, CellResult], float]:
    def figure(results: StudyResults, cell: CellResult) -> float:
        from_scratch = axis == "pretrain_epochs" and cell.pretrain_epochs == 0
        return mean_score(results, cell, "scratch" if from_scratch else "finetuned", "real")

    return figure


def _difference(measure: str) -> Callable[[StudyResults, CellResult], float]:
    minuend, subtrahend = (gap.SCORES[name] for name in gap.DIFFERENCES[measure])

    def figure(results: StudyResults, cell: CellResult) -> float:
        return mean_score(results, cell, *minuend) - mean_score(results, cell, *subtrahend)

    return figure


def _paired(value: dict[tuple[Any, int], float], instead_of: dict[tuple[Any, int], float]) -> gap.Floats:
    """(settings, seeds) differences of the cells that both have."""
    both = [key for key in value if key in instead_of]
    settings = list(dict.fromkeys(setting for setting, _ in both))
    seeds = sorted({seed for _, seed in both})
    result = np.full((len(settings), len(seeds)), np.nan)
    for setting, seed in both:
        result[settings.index(setting), seeds.index(seed)] = value[setting, seed] - instead_of[setting, seed]
    return result


def effects_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people: each pair of values once, the later one of an axis against the earlier one."""
    heads = ["axis", "value", "instead of", "settings", "seeds"]
    heads += ["fine-\ntuned", "gain, equal\nfine-tuning", "gain, equal\ntotal"]
    rows = []
    records = frame.to_dict("records")
    seen: set[tuple[Any, ...]] = set()
    for at in range(0, len(records), len(MEASURES)):
        group = records[at : at + len(MEASURES)]
        first = group[0]
        pair = first["axis"], *sorted((first["value"], first["instead_of"]))
        if pair in seen or all(np.isnan(row["difference"]) for row in group):
            continue
        seen.add(pair)
        intervals = [row_interval(row, "difference") for row in group]
        rows.append(
            [AXES[first["axis"]], first["value"], first["instead_of"], str(first["settings"])]
            + [str(first["difference_seeds"]), *(with_half_width(interval) for interval in intervals)]
        )
    return TextTable(
        title="What one choice does, everything else equal",
        heads=heads,
        rows=rows,
        left=3,
        notes=[
            "Differences in points between cells that match in all else and in the seed: averaged over settings within "
            "each seed, 95 % t interval over seeds. Pretraining epochs 0: from scratch, so that its fine-tuned column "
            "is the gain at equal fine-tuning. Settings and seeds: of the fine-tuned column.",
        ],
    )

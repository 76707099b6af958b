"""What labelled real scans bring with and without pretraining, and how many of them pretraining is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.groups import Group, group_cells, mean_score, mean_scores
from lidartune.report.results import CellResult, StudyResults
from lidartune.report.texts import NA, TextTable, key_columns, percent, row_interval, with_half_width
from lidartune.transfer import gap
from lidartune.transfer.labels import scans_reaching

# What fine-tuning is set against -> (role on the labelled scans, role on all of them).
AGAINST = {"scratch": ("scratch", "full"), "scratch_longer": ("scratch_longer", "full_longer")}


def label_efficiency_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting with pretraining; nothing where the study has one number of labelled real scans only.

    `worth_<against>` is the number of labelled scans at which training from scratch reaches what fine-tuning has in
    this row, seed by seed: geometric mean and t interval of its logarithm over seeds, n/a where any seed is censored.
    `_beyond` counts the seeds in which the largest number of scans does not reach it, `_below` those in which the
    smallest does already, `_largest` and `_smallest` say which these are: of seeds that end at different numbers the
    one that is true of all of them.
    """
    rows = []
    families: dict[tuple[Any, ...], list[Group]] = {}
    groups = group_cells(results)
    for group in groups:
        if isinstance(group.key[2], int) and group.key[2]:
            families.setdefault(group.key[:4], []).append(group)
    on_all = _all_scans(results, groups)
    for family in families.values():
        curves = {against: _curves(results, family, against, on_all) for against in AGAINST}
        for group in family:
            scores = mean_scores(results, group)
            row = key_fields(group) | {"scans": _scans(results, group)}
            for name in ("finetuned", "scratch", "scratch_longer"):
                row |= interval_fields(name, gap.t_interval(scores[name]))
            for name in ("gain_equal_finetuning", "gain_equal_total"):
                minuend, subtrahend = gap.DIFFERENCES[name]
                row |= interval_fields(name, gap.paired_difference(scores[minuend], scores[subtrahend]))
            for against, by_seed in curves.items():
                row |= _worth_fields(f"worth_{against}", results, group, by_seed)
            rows.append(row)
    return pd.DataFrame(rows if len({group.key[4] for group in groups}) > 1 else [])


def _scans(results: StudyResults, group: Group) -> float:
    labelled = group.key[4]
    return float(labelled) if labelled != "all" else float(results.real_scans or np.nan)


def _all_scans(results: StudyResults, groups: list[Group]) -> dict[tuple[Any, ...], float]:
    """(backbone, width, seed) -> score from scratch on all labelled scans after the fine-tuning epochs."""
    found = {}
    for group in groups:
        for cell in group.cells:
            score = mean_score(results, cell, "full", "real")
            if not np.isnan(score):
                found[(*group.key[:2], cell.seed)] = score
    return found


def _curves(
    results: StudyResults, family: list[Group], against: str, on_all: dict[tuple[Any, ...], float]
) -> dict[int, dict[float, float]]:
    """Seed -> number of labelled scans -> score from scratch, the numbers rising."""
    role, full_role = AGAINST[against]
    found: dict[int, dict[float, float]] = {}
    for group in family:
        for cell in group.cells:
            curve = found.setdefault(cell.seed, {})
            curve[_scans(results, group)] = mean_score(results, cell, role, "real")
            if results.real_scans:
                full = mean_score(results, cell, full_role, "real")
                full = on_all.get((*group.key[:2], cell.seed), full) if full_role == "full" else full
                curve.setdefault(float(results.real_scans), full)
    return {
        seed: {scans: curve[scans] for scans in sorted(curve) if not np.isnan(scans) and not np.isnan(curve[scans])}
        for seed, curve in found.items()
    }


def _worth_fields(
    stem: str, results: StudyResults, group: Group, by_seed: dict[int, dict[float, float]]
) -> dict[str, Any]:
    worth = np.array([_worth(results, cell, by_seed.get(cell.seed, {})) for cell in group.cells])
    beyond, below = int(np.isinf(worth).sum()), int((worth == 0).sum())
    censored = beyond + below > 0
    logs = np.full(len(worth), np.nan) if censored else np.log(worth)
    over_seeds = gap.t_interval(logs)
    own = [list(by_seed.get(cell.seed) or [np.nan]) for cell in group.cells]
    return {
        stem: float(np.exp(over_seeds.mean)),
        f"{stem}_low": float(np.exp(over_seeds.low)),
        f"{stem}_high": float(np.exp(over_seeds.high)),
        f"{stem}_seeds": int((~np.isnan(worth)).sum()),
        f"{stem}_beyond": beyond,
        f"{stem}_below": below,
        f"{stem}_smallest": _bound([scans[0] for scans in own], worth == 0, max),
        f"{stem}_largest": _bound([scans[-1] for scans in own], np.isinf(worth), min),
    }


def _bound(ends: list[float], censored: gap.Floats, narrowest: Callable[[list[float]], float]) -> float:
    """Where the seeds that are censored there were: what is true of all of them. Where none is, of all seeds."""
    there = [end for end, out in zip(ends, censored, strict=True) if out or not censored.any()]
    there = [end for end in there if not np.isnan(end)]
    return narrowest(there) if there else np.nan


def _worth(results: StudyResults, cell: CellResult, curve: dict[float, float]) -> float:
    wanted = mean_score(results, cell, "finetuned", "real")
    return scans_reaching(np.array(list(curve)), np.array(list(curve.values())), wanted)


def worth_words(row: dict[str, Any], stem: str) -> str:
    """`21 [14, 33]`, `>48`, `<8`, or in how many seeds it is what."""
    seeds, beyond, below = (int(row[f"{stem}_{end}"]) for end in ("seeds", "beyond", "below"))
    if not seeds:
        return NA
    if beyond + below == 0:
        bounds = "" if np.isnan(row[f"{stem}_low"]) else f" [{row[f'{stem}_low']:.0f}, {row[f'{stem}_high']:.0f}]"
        return f"{row[stem]:.0f}{bounds}"
    parts = [
        (f">{row[f'{stem}_largest']:.0f}", beyond),
        (f"<{row[f'{stem}_smallest']:.0f}", below),
        ("between", seeds - beyond - below),
    ]
    if seeds in (beyond, below):
        return next(words for words, n in parts if n)
    return ", ".join(f"{words} in {n}" for words, n in parts if n)


def label_efficiency_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    records = frame.to_dict("records")
    heads, keys, constant = key_columns(records)
    rows = [
        [*key, *(percent(row[name]) for name in ("finetuned", "scratch", "scratch_longer"))]
        + [with_half_width(row_interval(row, name)) for name in ("gain_equal_finetuning", "gain_equal_total")]
        + [worth_words(row, f"worth_{against}") for against in AGAINST]
        for row, key in zip(records, keys, strict=True)
    ]
    return TextTable(
        title="Label efficiency: what labelled real scans bring, and how many pretraining is worth",
        heads=[
            *heads, "fine-\ntuned", "scra-\ntch", "scra-\ntch\nlonger", "gain, equal\nfine-tuning",
            "gain,\nequal\ntotal", "worth in scans,\nequal fine-tuning", "worth in scans,\nequal total",
        ],  # fmt: skip
        rows=rows,
        left=len(heads),
        notes=[
            *constant,
            "Worth: at how many labelled scans training from scratch reaches what fine-tuning has in that row: each "
            "seed's own scores made non-decreasing and joined by straight lines over the logarithm of the number, then "
            "geometric mean and [95 % t interval] over seeds. > and <: not reached at the largest number tried, or at "
            "the smallest already (in so many seeds); there is then no mean.",
        ],
    )  # fmt: skip

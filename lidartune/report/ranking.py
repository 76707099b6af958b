"""Settings in the order of their score after fine-tuning, and how sure each is to be below the first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields, key_fields
from lidartune.report.groups import Group, group_cells, mean_score
from lidartune.report.results import StudyResults
from lidartune.report.texts import TextTable, key_columns, percent, row_interval, with_half_width
from lidartune.transfer import gap
from lidartune.transfer.compare import holm, p_value

LEVEL = 0.05


def ranking_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting with a score, best first, each number of labelled real scans by itself.

    `behind_first` is the first's score less this one's, paired by seed; `p` of the paired t-test, `p_holm` adjusted for
    all settings that are compared with that first. A setting without pretraining ranks by its score from scratch.
    `verdict`: `behind` where p_holm < 0.05 over at least gap.FEWEST_SEEDS seeds, `suggests behind` over fewer, else
    `not distinguishable`; n/a without two seeds in common.
    """
    frames: list[dict[str, object]] = []
    groups = group_cells(results)
    for labelled in dict.fromkeys(group.key[4] for group in groups):
        scored = [(group, _scores(results, group)) for group in groups if group.key[4] == labelled]
        scored = [(group, by_seed) for group, by_seed in scored if by_seed]
        scored.sort(key=lambda entry: -float(np.mean(list(entry[1].values()))))
        frames += _ranked(scored)
    return pd.DataFrame(frames)


def _scores(results: StudyResults, group: Group) -> dict[int, float]:
    """Seed -> mIoU on real after fine-tuning, or from scratch where nothing is pretrained; only what is there."""
    role = "scratch" if group.key[2] == 0 else "finetuned"
    scores = {cell.seed: mean_score(results, cell, role, "real") for cell in group.cells}
    return {seed: score for seed, score in scores.items() if not np.isnan(score)}


def _ranked(scored: list[tuple[Group, dict[int, float]]]) -> list[dict[str, object]]:
    if not scored:
        return []
    first = scored[0][1]
    behind = [np.array([first[seed] - by_seed[seed] for seed in by_seed if seed in first]) for _, by_seed in scored]
    p = np.array([np.nan, *(float(p_value(differences)) for differences in behind[1:])])
    adjusted = holm(p)
    rows = []
    for rank, ((group, by_seed), differences) in enumerate(zip(scored, behind, strict=True)):
        interval = gap.t_interval(differences if rank else np.full(0, np.nan))
        rows.append(
            {"rank": rank + 1}
            | key_fields(group)
            | interval_fields("score", gap.t_interval(np.array(list(by_seed.values()))))
            | {"score_iqm": float(gap.interquartile_mean(np.array(list(by_seed.values()))))}
            | interval_fields("behind_first", interval)
            | {"p": p[rank], "p_holm": adjusted[rank], "compared": len(scored) - 1}
            | {"verdict": _verdict(rank, adjusted[rank], int(interval.seeds))}
        )
    return rows


def _verdict(rank: int, p_holm: float, seeds: int) -> str:
    if rank == 0:
        return "first"
    if np.isnan(p_holm):
        return "n/a"
    if p_holm >= LEVEL:
        return "not distinguishable"
    return "behind" if seeds >= gap.FEWEST_SEEDS else "suggests behind"


def ranking_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    records = frame.to_dict("records")
    heads, keys, constant = key_columns(records)
    rows = [
        [str(row["rank"]), *key, percent(row["score"]), percent(row["score_iqm"])]
        + [with_half_width(row_interval(row, "behind_first")), _p(row["p"]), _p(row["p_holm"]), row["verdict"]]
        for row, key in zip(records, keys, strict=True)
    ]
    return TextTable(
        title="Settings by their score after fine-tuning",
        heads=["rank", *heads, "mIoU", "IQM", "behind\nthe first", "p", "p\n(Holm)", "verdict"],
        rows=rows,
        left=1 + len(heads),
        notes=[
            *constant,
            "Behind the first: differences paired by seed, p of the paired t-test, and adjusted by Holm for all that "
            f"are compared with that first. Over fewer than {gap.FEWEST_SEEDS} seeds nothing is called significant. "
            "The first is itself picked by these scores, which favours it: score it on fresh seeds before it is called "
            "the best. IQM: interquartile mean over seeds, of fewer than 4 the mean.",
        ],
    )


def _p(value: float) -> str:
    if np.isnan(value):
        return "n/a"
    return "<0.001" if value < 0.001 else f"{value:.3f}"

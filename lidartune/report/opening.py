"""What the study says, in three sentences of plain words, each from figures of its tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from lidartune.report.figures.telling import number
from lidartune.report.groups import Group, group_cells
from lidartune.report.judged import judged_sentences
from lidartune.report.ladder import TOP, RungResult, rung_results
from lidartune.report.opening_words import (
    Sentence,
    amount,
    gap_words,
    helps,
    over,
    points,
    scans_words,
    verdict_words,
)
from lidartune.report.results import StudyResults
from lidartune.report.summary import setting_values
from lidartune.report.texts import count, row_interval
from lidartune.transfer import gap
from lidartune.transfer.compare import over_settings

_FREEZING = {"encoder": "Freezing the encoder", "head_only": "Training the head alone"}
_CHOICES = ("freeze", "width", "pretrain_epochs", "backbone")


def opening(results: StudyResults, frames: dict[str, pd.DataFrame]) -> list[Sentence]:
    """Whether pretraining helps, what a choice costs, where the gap lies: in this order, as far as there is a figure.

    Of a search that was judged: whether pretraining helps the best recipes, and what the search was worth.

    Args:
        frames: the study's tables, by name: `effects`, `per_class`, `judged` and `points` are read where there.
    """
    groups = _longest(group_cells(results))
    pretraining, searching = judged_sentences(frames.get("judged"), frames.get("points"))
    drawn = any(cell.recipe for cell in results.cells)  # then cells differ in their recipes too
    found = [
        pretraining or _gain(results, groups),
        searching or (None if drawn else _choice(frames)),
        _largest_part(results, groups, frames),
    ]
    return [sentence for sentence in found if sentence is not None]


def _longest(groups: list[Group]) -> list[Group]:
    """The settings with the longest pretraining; where nothing is pretrained, those from a checkpoint."""
    epochs = max((g.key[2] for g in groups if isinstance(g.key[2], int)), default=0)
    return [g for g in groups if g.key[2] == epochs] if epochs else [g for g in groups if g.from_checkpoint]


# -- whether pretraining helps ----------------------------------------------------------------------------------------


def _gain(results: StudyResults, groups: list[Group]) -> Sentence | None:
    by_scans: dict[int | str, list[Group]] = {}
    for group in sorted(groups, key=lambda g: number(g.key[4])):
        by_scans.setdefault(group.key[4], []).append(group)
    found = {scans: _measured(results, own, "gain_equal_finetuning") for scans, own in by_scans.items()}
    there = [(scans, *measured) for scans, measured in found.items() if measured is not None]
    if not there:
        return None
    (scans, first, settings), *others = there
    what = "starting from the checkpoint"
    if not groups[0].from_checkpoint:
        what = f"pretraining for {count(int(groups[0].key[2]), 'epoch')}"
    text = f"On this pair {helps(what, first)} at {scans_words(scans)}"
    other = next((o for o in others if gap.verdict(o[1]) != gap.verdict(first)), others[-1] if others else None)
    if other is not None:
        text += _and_then(first, other[1], scans_words(other[0]))
    total = _measured(results, by_scans[scans], "gain_equal_total")
    more = "Against training from scratch with the same fine-tuning updates on the same scans."
    if total is not None:
        more += f" With pretraining paid for in updates: {points(total[0])}{verdict_words(total[0])}."
    return Sentence(text=text + ".", more=over(first, settings) + more, interval=first)


def _measured(results: StudyResults, groups: list[Group], measure: str) -> tuple[gap.Interval, int] | None:
    """A difference over the settings as the summary table has it, and how many settings are in it."""
    interval, settings = over_settings(setting_values(results, groups, measure))
    return (interval, settings) if settings else None


def _and_then(first: gap.Interval, other: gap.Interval, where: str) -> str:
    """The second half: at more labelled scans."""
    was, now = gap.verdict(first), gap.verdict(other)
    if now == was and now.endswith(("positive", "negative")):
        return f", and by {amount(other)} at {where}"
    if now == "not distinguishable" and was.endswith("positive"):
        return f", and no longer measurably at {where} ({points(other)})"
    if now.endswith("negative") and was != now:
        return f", and {'seems to do' if now.startswith('suggests') else 'does'} harm at {where} ({points(other)})"
    return f"; {points(other)} at {where}{verdict_words(other)}"


# -- what a choice costs ----------------------------------------------------------------------------------------------


def _choice(frames: dict[str, pd.DataFrame]) -> Sentence | None:
    """The first of freezing, width, length of pretraining and backbone that the study varies, from its effects."""
    frame = frames.get("effects")
    if frame is None or not len(frame):
        return None
    frame = frame[(frame["measure"] == "finetuned") & frame["difference"].notna()]
    for axis in _CHOICES:
        rows = frame[frame["axis"] == axis]
        rows = _from_the_usual(axis, rows)
        if len(rows):
            row = rows.loc[rows["difference"].abs().idxmax()]
            interval = row_interval(row.to_dict(), "difference")
            more = over(interval, int(row["settings"])) + "In the score after fine-tuning, everything else equal."
            more += f" The largest of {len(rows)} such differences: expect less elsewhere." if len(rows) > 1 else ""
            return Sentence(text=_choice_words(axis, row, interval), more=more, interval=interval)
    return None


def _from_the_usual(axis: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Of each pair of values one direction: against nothing frozen, and against the smaller number."""
    if axis == "freeze":
        return rows[rows["instead_of"] == "none"]
    if axis in ("width", "pretrain_epochs"):
        numbers = rows["instead_of"].map(_number_or_nan) < rows["value"].map(_number_or_nan)
        zero = rows["instead_of"] == "0"
        return rows[numbers & ~zero]
    return rows[rows["instead_of"] < rows["value"]]


def _number_or_nan(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _choice_words(axis: str, row: pd.Series, interval: gap.Interval) -> str:
    value, instead = row["value"], row["instead_of"]
    what = {
        "freeze": _FREEZING.get(value, f"Freeze {value} instead of nothing"),
        "width": f"Width {value} instead of {instead}",
        "pretrain_epochs": f"Pretraining for {value} epochs instead of {instead}",
        "backbone": f"{value} instead of {instead}",
    }[axis]
    return {
        "positive": f"{what} brings {amount(interval)}.",
        "negative": f"{what} costs {amount(interval)}.",
        "suggests positive": f"{what} seems to bring {amount(interval)}.",
        "suggests negative": f"{what} seems to cost {amount(interval)}.",
        "not distinguishable": f"{what} changes nothing that can be measured ({points(interval)}).",
    }.get(gap.verdict(interval), f"{what}: {points(interval)}, in one seed.")


# -- where the gap lies -----------------------------------------------------------------------------------------------


def _largest_part(results: StudyResults, groups: list[Group], frames: dict[str, pd.DataFrame]) -> Sentence | None:
    measured = _measured(results, groups, "domain_gap")
    if measured is None:
        return None
    whole, settings = measured
    rungs = [row for row in rung_results(results) if row.key in {g.key[:3] for g in groups}]
    candidates = [row for row in rungs if not row.oracle and row.rung != "none" and np.isfinite(row.over_none.mean)]
    if candidates:
        return _from_ladder(candidates, len({row.key for row in candidates}), whole)
    more = "What of it is sensor, statistics or shares of classes, `ladder: all` in the study's YAML measures."
    more = over(whole, settings) + more
    by_class = _by_class(frames["per_class"], groups)
    if not by_class or not gap.verdict(whole).endswith("positive"):
        return Sentence(text=f"{gap_words(whole)}.", more=more, interval=whole)
    name, part = by_class
    return Sentence(
        text=f"{gap_words(whole)}; the largest part of the gap is {name}, {part:.0f} % of what the classes lose.",
        more=more,
        interval=whole,
    )


def _from_ladder(candidates: list[RungResult], settings: int, whole: gap.Interval) -> Sentence:
    """The rung without real labels that brings most, on average over the settings."""
    by_rung: dict[str, list[RungResult]] = {}
    for row in candidates:
        by_rung.setdefault(row.rung, []).append(row)
    mean: Callable[[str], float] = lambda rung: float(np.mean([row.over_none.mean for row in by_rung[rung]]))  # noqa: E731
    best = max(by_rung, key=mean)
    rows = by_rung[best]
    one = rows[0].over_none if len(rows) == 1 else gap.Interval(mean=mean(best), low=np.nan, high=np.nan, seeds=0)
    said = f"; no rung of the ladder shows that it closes a part, {best} comes closest ({points(one)})"
    if not gap.verdict(whole).endswith("positive"):  # there is nothing that could be closed
        said = f"; of the ladder's rungs without a real label {best} brings most ({points(one)})"
    elif len(rows) > 1 and one.mean > 0:
        said = f"; of that, {best} closes most without a real label ({points(one)})"
    elif gap.verdict(one).endswith("positive"):
        closed = float(rows[0].closed.mean)
        share = f", {100 * closed:.0f} % of it" if np.isfinite(closed) else ""
        goes = "goes" if gap.verdict(one) == "positive" else "seems to go"
        said = f"; its largest part that goes without a real label {goes} with {best} ({points(one)}{share})"
    return Sentence(
        text=f"{gap_words(whole)}{said}.",
        more=(f"On average over {settings} settings. " if settings > 1 else "")
        + f"{rows[0].sentence} The best of {len(by_rung)} rungs in this very test: expect less elsewhere. "
        f"The whole way is {TOP}.",
        interval=one,
    )


def _by_class(frame: pd.DataFrame, groups: list[Group]) -> tuple[str, float] | None:
    """The class that loses most between training on real and zero-shot, and its part of all losses in per cent."""
    if not len(frame):
        return None
    keys = {g.key[:3] for g in groups}
    places = frame[["backbone", "width", "pretrain_epochs"]].itertuples(index=False, name=None)
    mine = frame[[place in keys for place in places]]
    mine = mine[mine["in_real_test"] == "yes"]
    losses = mine.groupby("name", sort=False)["domain_gap"].mean().dropna()
    losses = losses[losses > 0]
    return (str(losses.idxmax()), 100 * float(losses.max() / losses.sum())) if len(losses) else None

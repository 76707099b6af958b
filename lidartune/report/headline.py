"""What the gap table says, in three sentences: with intervals, and whether or not it speaks for pretraining."""

from __future__ import annotations

from typing import Any

import numpy as np

from lidartune.report.groups import Group, group_cells, mean_scores
from lidartune.report.results import StudyResults
from lidartune.report.texts import count
from lidartune.transfer import gap
from lidartune.transfer.compare import over_settings

_CLAIMS = (
    ("domain_gap", "Zero-shot", "{pretrained} on synthetic scans score {amount} networks trained on all real scans "
     "for as many updates"),
    ("gain_equal_finetuning", "At equal fine-tuning", "{pretrained} score {amount} than networks trained from scratch "
     "with the same updates on the same real scans"),
    ("gain_equal_total", "At equal total updates", "{pretrained} and then fine-tuned score {amount} than networks "
     "trained from scratch for as many updates"),
)  # fmt: skip


def headline(results: StudyResults) -> list[str]:
    """Three sentences that the gap table backs, whether or not they speak for pretraining.

    They speak of the longest pretraining: shorter ones are in the table, and an average over both would hide either.
    Of networks that start from a checkpoint there is one sentence: the others need its updates, which nobody knows.
    """
    everything = group_cells(results)
    epochs = max((g.key[2] for g in everything if isinstance(g.key[2], int)), default=0)
    groups = [g for g in everything if g.key[2] == epochs and epochs > 0]
    imported = [g for g in everything if g.from_checkpoint]
    said = []
    if groups or not imported:
        pretrained = f"networks pretrained for {count(epochs, 'epoch')}"
        said += [_sentence(results, groups, pretrained, *claim) for claim in _CLAIMS]
    if imported:
        from_checkpoint = "networks that start from the checkpoint"
        said += [_sentence(results, imported, from_checkpoint, *c) for c in _CLAIMS if c[0] == "gain_equal_finetuning"]
    return said


def _sentence(
    results: StudyResults, groups: list[Group], pretrained: str, measure: str, opening: str, claim: str
) -> str:
    settings = _settings(results, groups, measure)
    if not settings:
        return f"{opening}: n/a, no setting has both figures yet."
    differences = [difference for _, difference in settings]
    pooled, averaged = _pooled(differences)
    said = claim.format(pretrained=pretrained, amount=_amount(pooled, measure))
    where, spread = "", ""
    if len(settings) > 1:
        some = f"{averaged} of " if averaged < len(settings) else ""  # those that have all of the seeds
        where = f", on average over {some}{len(settings)} settings"
        spread = "; " + _spread([_pooled([difference])[0] for difference in differences], measure)
    apart = _backbones_apart(settings, measure)
    return f"{opening}{where}, {said} ({_certainty(pooled, measure)}{spread}){apart}."


def _settings(results: StudyResults, groups: list[Group], measure: str) -> list[tuple[Group, dict[int, float]]]:
    """The settings that have the measure: seed -> difference, seeds without it left out."""
    minuend, subtrahend = gap.DIFFERENCES[measure]
    found: dict[Any, tuple[Group, dict[int, float]]] = {}
    for group in groups:
        scores = mean_scores(results, group)
        by_seed = zip(group.cells, scores[minuend] - scores[subtrahend], strict=True)
        there = {cell.seed: float(value) for cell, value in by_seed if np.isfinite(value)}
        # The domain gap is there before fine-tuning: what that freezes and which scans it sees makes no other setting.
        key = group.key[:3] if measure == "domain_gap" else group.key
        if len(there) > (len(found[key][1]) if key in found else 0):
            found[key] = group, there
    return list(found.values())


def _pooled(differences: list[dict[int, float]]) -> tuple[gap.Interval, int]:
    """The mean over settings as in the summary table, and over how many of them it is."""
    seeds = sorted(set().union(*differences))
    return over_settings(np.array([[difference.get(seed, np.nan) for seed in seeds] for difference in differences]))


def _backbones_apart(settings: list[tuple[Group, dict[int, float]]], measure: str) -> str:
    """The mean of each backbone where they differ in sign and not by chance alone: an average would hide both."""
    by_backbone: dict[str, list[dict[int, float]]] = {}
    for group, difference in settings:
        by_backbone.setdefault(group.key[0], []).append(difference)
    means = {backbone: _pooled(differences)[0] for backbone, differences in by_backbone.items()}
    signs = {float(np.sign(interval.mean)) for interval in means.values()}
    if not {-1.0, 1.0} <= signs or not any(gap.side(interval) for interval in means.values()):
        return ""
    return ": " + ", ".join(
        f"{backbone} {_amount(interval, measure)} ({_bounds(interval, measure)})"
        for backbone, interval in means.items()
    )


def _amount(interval: gap.Interval, measure: str) -> str:
    points = 100 * float(interval.mean)
    more, less = ("below", "above") if measure == "domain_gap" else ("higher", "lower")
    return f"{abs(points):.1f} points {more if points >= 0 else less}"


def _bounds(interval: gap.Interval, measure: str) -> str:
    """Both ends as the sentence speaks: a gain with its sign, the domain gap as so much below or above."""
    low, high = 100 * float(interval.low), 100 * float(interval.high)
    if np.isnan(low):
        return "no interval"
    if measure != "domain_gap":
        return f"{low:+.1f} to {high:+.1f}"
    if low >= 0:
        return f"{low:.1f} to {high:.1f} below"
    return f"{-high:.1f} to {-low:.1f} above" if high <= 0 else f"{-low:.1f} above to {high:.1f} below"


def _certainty(interval: gap.Interval, measure: str) -> str:
    seeds = count(int(interval.seeds), "seed")
    if np.isnan(interval.low):
        return f"no interval: {seeds}"
    bounds = f"95 % interval {_bounds(interval, measure)}"
    if gap.verdict(interval) == "not distinguishable":
        return f"{bounds}: not distinguishable from no difference at {seeds}"
    return f"{bounds}, {seeds}"


def _spread(intervals: list[gap.Interval], measure: str) -> str:
    """How many settings say so by themselves: `interval above 0 in 4, below 0 in 1 of 8 settings`."""
    sides = [gap.side(interval) for interval in intervals]
    more, less = sides.count(1), sides.count(-1)
    if measure == "domain_gap":
        return f"interval all below in {more}, all above in {less} of {len(sides)} settings"
    return f"interval above 0 in {more}, below 0 in {less} of {len(sides)} settings"

"""What the gap table says, in three sentences: with intervals, and whether or not it speaks for pretraining."""

from __future__ import annotations

import numpy as np

from lidartune.report.groups import Group, group_cells, mean_scores
from lidartune.report.results import StudyResults
from lidartune.transfer import gap

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
    """
    epochs = max((g.key[2] for g in group_cells(results)), default=0)
    groups = [g for g in group_cells(results) if g.key[2] == epochs and epochs > 0]
    pretrained = f"networks pretrained for {count(epochs, 'epoch')}"
    return [_sentence(results, groups, pretrained, *claim) for claim in _CLAIMS]


def _sentence(
    results: StudyResults, groups: list[Group], pretrained: str, measure: str, opening: str, claim: str
) -> str:
    minuend, subtrahend = gap.DIFFERENCES[measure]
    if measure == "domain_gap":  # nothing is fine-tuned yet: settings that differ in the freeze policy are the same
        groups = list({(*group.key[:3], group.key[4]): group for group in groups}.values())
    by_group = []
    for group in groups:
        scores = mean_scores(results, group)
        by_group.append(dict(zip((c.seed for c in group.cells), scores[minuend] - scores[subtrahend], strict=True)))
    there = [(g, d) for g, d in zip(groups, by_group, strict=True) if any(np.isfinite(v) for v in d.values())]
    if not there:
        return f"{opening}: n/a, no setting has both figures yet."
    # Averaged over the settings seed by seed, so that the interval over seeds needs no more than paired seeds.
    seeds = [
        s for s in sorted({s for _, d in there for s in d}) if all(np.isfinite(d.get(s, np.nan)) for _, d in there)
    ]
    pooled = gap.t_interval(np.array([np.mean([d[s] for _, d in there]) for s in seeds]))
    intervals = [(g, gap.t_interval(np.array(list(d.values())))) for g, d in there]
    if len(there) == 1:
        where, pooled = "", intervals[0][1]
    elif seeds:
        where = f", on average over {len(there)} settings"
    else:
        # No seed has all settings: the mean over settings has no paired interval.
        mean = np.mean([i.mean for _, i in intervals])
        where = f", on average over {len(there)} settings"
        pooled = gap.Interval(mean=mean, low=np.nan, high=np.nan, seeds=min(int(i.seeds) for _, i in intervals))
    said = claim.format(pretrained=pretrained, amount=_amount(pooled, measure))
    spread = "" if len(there) == 1 else "; " + _spread(intervals)
    return f"{opening}{where}, {said} ({_certainty(pooled)}{spread})."


def _amount(interval: gap.Interval, measure: str) -> str:
    points = 100 * float(interval.mean)
    if measure == "domain_gap":
        return f"{abs(points):.1f} points {'below' if points >= 0 else 'above'}"
    return f"{abs(points):.1f} points {'higher' if points >= 0 else 'lower'}"


def _certainty(interval: gap.Interval) -> str:
    seeds = count(int(interval.seeds), "seed")
    if np.isnan(interval.low):
        return f"no interval: {seeds}"
    bounds = f"95 % interval {100 * float(interval.low):+.1f} to {100 * float(interval.high):+.1f}"
    if gap.verdict(interval) == "not distinguishable":
        return f"{bounds}: not distinguishable from no difference at {seeds}"
    return f"{bounds}, {seeds}"


def _spread(intervals: list[tuple[Group, gap.Interval]]) -> str:
    """How many settings say so by themselves: `above 0 in 4, below 0 in 1 of 8 settings`."""
    verdicts = [gap.verdict(interval) for _, interval in intervals]
    above, below = verdicts.count("positive"), verdicts.count("negative")
    return f"interval above 0 in {above}, below 0 in {below} of {len(verdicts)} settings"


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

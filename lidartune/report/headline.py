"""What the gap table says, in three sentences: with intervals, and whether or not it speaks for pretraining."""

from __future__ import annotations

import numpy as np

from lidartune.report.groups import Group, group_cells
from lidartune.report.judged import judged_sentences, judged_table
from lidartune.report.points import points_table
from lidartune.report.results import StudyResults
from lidartune.report.summary import setting_values
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
    """Three sentences that the gap table backs, whether or not they speak for pretraining. Of a search that was judged
    two that its tables of points and judged recipes back, and the zero-shot one.

    They speak of the longest pretraining: shorter ones are in the table, and an average over both would hide either.
    Of networks that start from a checkpoint there is one sentence: the others need its updates, which nobody knows.
    """
    everything = group_cells(results)
    epochs = max((g.key[2] for g in everything if isinstance(g.key[2], int)), default=0)
    groups = [g for g in everything if g.key[2] == epochs and epochs > 0]
    imported = [g for g in everything if g.from_checkpoint]
    searched = judged_sentences(judged_table(results), points_table(results))
    said = [f"{sentence.text} {sentence.more}" for sentence in searched if sentence is not None]
    if groups or not imported:
        pretrained = f"networks pretrained for {count(epochs, 'epoch')}"
        claims = [claim for claim in _CLAIMS if claim[0] == "domain_gap" or searched[0] is None]
        said += [_sentence(results, groups, pretrained, *claim) for claim in claims]
    if imported:
        from_checkpoint = "networks that start from the checkpoint"
        said += [_sentence(results, imported, from_checkpoint, *c) for c in _CLAIMS if c[0] == "gain_equal_finetuning"]
    return said


def _sentence(
    results: StudyResults, groups: list[Group], pretrained: str, measure: str, opening: str, claim: str
) -> str:
    values = setting_values(results, groups, measure)
    if not len(values):
        return f"{opening}: n/a, no setting has both figures yet."
    pooled, averaged = over_settings(values)
    said = claim.format(pretrained=pretrained, amount=_amount(pooled, measure))
    where, spread = "", ""
    if len(values) > 1:
        some = f"{averaged} of " if averaged < len(values) else ""  # those that have all of the seeds
        where = f", on average over {some}{len(values)} settings"
        spread = "; " + _spread([gap.t_interval(setting) for setting in values], measure)
    apart = _backbones_apart(results, groups, measure)
    return f"{opening}{where}, {said} ({_certainty(pooled, measure)}{spread}){apart}."


def _backbones_apart(results: StudyResults, groups: list[Group], measure: str) -> str:
    """The mean of each backbone where they differ in sign and not by chance alone: an average would hide both."""
    backbones = dict.fromkeys(group.key[0] for group in groups)
    values = {b: setting_values(results, [g for g in groups if g.key[0] == b], measure) for b in backbones}
    means = {backbone: over_settings(there)[0] for backbone, there in values.items() if len(there)}
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

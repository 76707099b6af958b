"""The words of the page's opening sentences: how much, how sure, over what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lidartune.report.texts import count
from lidartune.transfer import gap


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence, what stands below it, and the difference that it is about (None where there is no figure)."""

    text: str
    more: str
    interval: gap.Interval | None


def helps(what: str, interval: gap.Interval) -> str:
    return {
        "positive": f"{what} helps by {amount(interval)}",
        "negative": f"{what} does harm, by {amount(interval)},",
        "suggests positive": f"{what} seems to help, by {amount(interval)},",
        "suggests negative": f"{what} seems to do harm, by {amount(interval)},",
        "not distinguishable": f"it cannot be told whether {what} helps ({points(interval)})",
    }.get(gap.verdict(interval), f"{what} gains {points(interval)} in the one seed that there is,")


def amount(interval: gap.Interval) -> str:
    """Without its sign: `6.1 ± 1.2 points`."""
    half = float(interval.high) - float(interval.mean)
    spread = f" ± {100 * half:.1f}" if np.isfinite(half) else ""
    return f"{100 * abs(float(interval.mean)):.1f}{spread} points"


def points(interval: gap.Interval) -> str:
    sign = "+" if interval.mean >= 0 else "\N{MINUS SIGN}"
    return sign + amount(interval)


def verdict_words(interval: gap.Interval) -> str:
    verdict = gap.verdict(interval)
    if verdict == "not distinguishable":
        return ", not to be told from nothing"
    return ", in one seed" if verdict == "n/a" else ""


def gap_words(interval: gap.Interval) -> str:
    said = "Before fine-tuning, networks trained on synthetic scans"
    where = "below" if interval.mean >= 0 else "above"
    if gap.verdict(interval) == "not distinguishable":
        return f"{said} cannot be told from networks trained on real ones ({amount(interval)} {where})"
    score = "seem to score" if gap.verdict(interval).startswith("suggests") else "score"
    one_seed = ", in one seed" if gap.verdict(interval) == "n/a" else ""
    return f"{said} {score} {amount(interval)} {where} networks trained on real ones{one_seed}"


def over(interval: gap.Interval, settings: int) -> str:
    """How much stands behind a sentence, and how little."""
    seeds = int(interval.seeds)
    where = f"Mean over {settings} settings, " if settings > 1 else ""
    few = f" ({gap.FEWEST_SEEDS} are needed to call anything significant)" if 1 < seeds < gap.FEWEST_SEEDS else ""
    said = f"{where}{count(seeds, 'seed')}{few}. "
    return said[0].upper() + said[1:]


def scans_words(scans: int | str) -> str:
    return "all labelled real scans" if scans == "all" else f"{scans} labelled real scan{'' if scans == 1 else 's'}"

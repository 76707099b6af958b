"""A comparison for people: percent, points and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.compare.figures import Pair
from lidartune.report.groups import KEY, Group
from lidartune.report.plain_text import plain_name
from lidartune.report.texts import NA, TextTable, count, key_columns, percent, row_interval, with_half_width

MEASURE_WORDS = {
    "finetuned": "fine-tuned mIoU",
    "scratch": "scratch mIoU",
    "synthetic_to_real": "zero-shot mIoU (synthetic to real)",
    "domain_gap": "domain gap",
    "gain_equal_finetuning": "gain at equal fine-tuning",
    "gain_equal_total": "gain at equal total",
    "jumpstart": "jumpstart",
    "forgetting": "forgetting",
}
SHORT_VALUE = 40  # characters of a value in the table of what differs; all of it is in the CSV
_COLUMNS = {
    "finetuned": "fine-\ntuned",
    "scratch": "scra-\ntch",
    "synthetic_to_real": "S→R",
    "domain_gap": "domain\ngap",
    "gain_equal_finetuning": "gain, equal\nfine-tuning",
    "gain_equal_total": "gain,\nequal\ntotal",
    "jumpstart": "jump-\nstart",
}


def settings_text(pair: Pair, compared: pd.DataFrame) -> TextTable:
    """A row a setting that both studies have: the differences of the measures."""
    settings = [
        (dict(zip(KEY, key, strict=True)), {row["measure"]: row for row in rows.to_dict("records")})
        for key, rows in compared[compared["in"] == "both"].groupby(list(KEY), sort=False)
    ]
    heads, keys, constant = key_columns([key for key, _ in settings])
    rows = []
    for (_, of), key in zip(settings, keys, strict=True):
        last = of["finetuned"] if of["finetuned"]["paired"] else of["scratch"]
        ends = [percent(of["finetuned"][side]) for side in ("first", "other")]
        rows.append(
            [*key, _seeds(last), *ends, *(with_half_width(row_interval(of[m], "difference")) for m in _COLUMNS)]
        )
    a, b = pair.first.letter, pair.other.letter
    return TextTable(
        title=f"{b} - {a}, setting by setting",
        heads=[*heads, "seeds", f"mIoU\n{a}", f"mIoU\n{b}", *_COLUMNS.values()],
        rows=rows,
        left=len(heads) + 1,
        notes=[
            *constant,
            f"mIoU: fine-tuned, in percent. Then {b} - {a} in percentage points, ± = half width of the 95 % t "
            "interval of differences paired by seed; where the studies share no two seeds (n, m apart) of the "
            "difference of means of n and m seeds (Welch).",
        ],
    )


def _seeds(row: dict[str, Any]) -> str:
    if row["paired"] == "yes":
        return f"{row['difference_seeds']} paired"
    return f"{row['first_seeds']}, {row['other_seeds']} apart" if row["paired"] else NA


def overall_text(pair: Pair, overall: pd.DataFrame) -> TextTable:
    """A row a measure: its mean difference over the settings of both."""
    a, b = pair.first.letter, pair.other.letter
    rows = []
    for row in overall.to_dict("records"):
        if row["settings_matched"]:
            ends = [percent(row[side]) for side in ("first", "other")]
            settings = f"{row['settings']}" + (
                f" of {row['settings_matched']}" if row["settings"] != row["settings_matched"] else ""
            )
            difference = with_half_width(row_interval(row, "difference"))
            seeds = str(row["difference_seeds"]) if row["difference_seeds"] else NA
            rows.append([MEASURE_WORDS[row["measure"]], *ends, difference, settings, seeds, row["verdict"]])
    return TextTable(
        title=f"{b} - {a}, over the settings of both",
        heads=["measure", a, b, f"{b} - {a}", "settings", "seeds", "verdict"],
        rows=rows,
        left=1,
        notes=[
            f"{a} and {b}: means over all settings that both have, in percent or points. {b} - {a}: over the settings "
            "and seeds that both have in full, averaged seed by seed, ± = half width of the 95 % t interval; n/a where "
            "the studies share no two seeds."
        ],
    )


def differences_text(pair: Pair, differences: pd.DataFrame) -> TextTable:
    """What is not the same in the two studies."""
    return TextTable(
        title=f"What differs between {pair.first.letter} and {pair.other.letter}",
        heads=["what", pair.first.letter, pair.other.letter],
        rows=[
            [plain_name(row[name], SHORT_VALUE) for name in ("what", "first", "other")]
            for row in differences.to_dict("records")
        ],
        left=3,
        notes=["From study.yaml and manifest.json; axes of the grid, names, places and resources are left out."],
    )


def sentences(pair: Pair, compared: pd.DataFrame, overall: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """The comparison in words that its tables back."""
    both = compared[compared["in"] == "both"]
    keys = both[list(KEY)].drop_duplicates()
    lines = [f"{pair.other.letter} is {pair.other.results.name}, {pair.first.letter} is {pair.first.results.name}; "
             f"{count(len(keys), 'setting')} of both."]  # fmt: skip
    if _identical(compared, differences):
        return [*lines, "Identical: every figure is the same in both, and nothing of their recipes and data differs."]
    for measure in ("finetuned", "gain_equal_finetuning", "gain_equal_total", "domain_gap"):
        row = next(r for r in overall.to_dict("records") if r["measure"] == measure)
        if row["settings_matched"]:
            lines.append(_sentence(pair, row))
    if not len(keys):
        lines.append("No setting is in both: there is nothing to compare.")
    return lines


def _sentence(pair: Pair, row: dict[str, Any]) -> str:
    interval = row_interval(row, "difference")
    points = 100 * float(interval.mean)
    amount = f"{abs(points):.1f} points {'higher' if points >= 0 else 'lower'}"
    over = f"over {count(row['settings'], 'setting')}"
    if np.isnan(interval.low):
        sure = "no interval"
    else:
        word = {"not distinguishable": "not distinguishable from no difference"}.get(row["verdict"], row["verdict"])
        sure = f"95 % interval {100 * float(interval.low):+.1f} to {100 * float(interval.high):+.1f}, "
        sure += f"{count(int(interval.seeds), 'shared seed')}: {word}"
    name = MEASURE_WORDS[row["measure"]]
    return f"{name[0].upper()}{name[1:]}: {amount} in {pair.other.letter} than in {pair.first.letter}, {over} ({sure})."


def _identical(compared: pd.DataFrame, differences: pd.DataFrame) -> bool:
    there = compared["difference"].dropna()
    same = len(there) > 0 and bool((there == 0).all()) and bool((compared["in"] == "both").all())
    same_seeds = bool((compared["first_seeds"] == compared["other_seeds"]).all())
    return same and same_seeds and not len(differences)


def not_matched(pair: Pair, compared: pd.DataFrame, limit: int = 4) -> list[str]:
    """The settings that only one study has, and those of both that are not whole."""
    lines = []
    for side in pair.sides:
        only = compared[compared["in"] == f"only {side.letter}"][list(KEY)].drop_duplicates()
        named = [Group(key=tuple(row), cells=()).label for row in only.itertuples(index=False)]
        if named:
            rest = f"; and {len(named) - limit} more, see compare.csv" if len(named) > limit else ""
            lines.append(f"Only {side.letter} has {count(len(named), 'setting')}: {'; '.join(named[:limit])}{rest}.")
    reasons = list(dict.fromkeys(reason for reason in compared[compared["in"] == "both"]["reason"] if reason))
    lines += [f"Not whole: {reason}" for reason in reasons[:limit]]
    return lines + ([f"and {len(reasons) - limit} more, see compare.csv"] if len(reasons) > limit else [])

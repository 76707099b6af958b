"""The opening sentences as HTML, each with a mark of its interval beside 0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import numpy as np

from lidartune.report.opening import Sentence
from lidartune.transfer import gap

_WIDTH, _EDGE = 260.0, 26.0


def opening_list(sentences: Sequence[Sentence]) -> str:
    """A list; all marks are on one scale."""
    if not sentences:
        return "<div class='say'><p>No setting has both figures of a comparison yet.</p></div>"
    ends = [abs(float(v)) for s in sentences if s.interval for v in (s.interval.low, s.interval.high, s.interval.mean)]
    most = max([0.001, *(end for end in ends if np.isfinite(end))])
    items = "".join(
        f"<li class='{_kind(s.interval)}'><p>{_with_code(s.text)}</p><p class='more'>{_with_code(s.more)}</p>"
        f"{_mark(s.interval, most)}</li>"
        for s in sentences
    )
    return f"<ol class='opening'>{items}</ol>"


def _with_code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _kind(interval: gap.Interval | None) -> str:
    return ("open", "up", "down")[0 if interval is None else gap.side(interval)]


def _mark(interval: gap.Interval | None, most: float) -> str:
    """The mean as a dot, the interval as a bar, 0 as an upright."""
    if interval is None or not np.isfinite(interval.mean):
        return ""
    x_of = {name: _x(float(getattr(interval, name)), most) for name in ("low", "mean", "high")}
    bar, texts = "", f"{100 * float(interval.mean):+.1f}"
    if np.isfinite(interval.low):
        bar = (
            f"<line x1='{x_of['low']:.1f}' x2='{x_of['high']:.1f}' y1='11' y2='11' "
            "style='stroke:var(--blue);stroke-width:4;opacity:.45'/>"
        )
        texts = f"{100 * float(interval.low):+.1f} to {100 * float(interval.high):+.1f} points"
    return (
        f"<svg viewBox='0 0 {_WIDTH:.0f} 34' preserveAspectRatio='xMinYMid meet' role='img' aria-label='{texts}'>"
        f"<line x1='{_WIDTH / 2}' x2='{_WIDTH / 2}' y1='2' y2='20' style='stroke:var(--ink)'/>{bar}"
        f"<circle cx='{x_of['mean']:.1f}' cy='11' r='4.5' style='fill:var(--blue)'/>"
        f"<text x='{_WIDTH / 2}' y='31' text-anchor='middle'>0</text>"
        f"<text x='{x_of['mean'] if abs(x_of['mean'] - _WIDTH / 2) > 60 else _beside(x_of['mean']):.1f}' y='31' "
        f"text-anchor='middle'>{texts}</text></svg>"
    )


def _x(value: float, most: float) -> float:
    return _WIDTH / 2 + value / most * (_WIDTH / 2 - _EDGE)


def _beside(x: float) -> float:
    """Where a label stands that would lie on the 0."""
    return _WIDTH / 2 + (65 if x >= _WIDTH / 2 else -65)

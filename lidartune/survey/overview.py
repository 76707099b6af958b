"""The overview of one survey or of two side by side: files, sensor, and how the points are spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lidartune.survey import bins
from lidartune.survey.sensor import Estimate
from lidartune.survey.survey import Survey, points_of_a_ring
from lidartune.survey.texts import NA, UNKNOWN, estimate_text, size_text

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = ".:-=+*#@"  # where the terminal has no other characters
BAR_COUNT = 20


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row of the overview: its name, a value for each dataset, and how it was found."""

    name: str
    values: list[str]
    how: str = ""


def overview(
    surveys: Sequence[Survey], *, bar_count: int = BAR_COUNT, plain: bool = False
) -> dict[str, list[Figure]]:
    """Group -> its rows; histograms as `bar_count` bars, of ASCII characters where `plain`."""
    return {"files": _files(surveys), "sensor": _sensor(surveys), "points": _points(surveys, bar_count, plain)}


def _files(surveys: Sequence[Survey]) -> list[Figure]:
    def each(name: str, text: Callable[[Survey], str], how: str = "") -> Figure:
        return Figure(name=name, values=[text(survey) for survey in surveys], how=how)

    return [
        each("taxonomy", lambda s: s.taxonomy.name),
        each("sequences", lambda s: f"{len(s.sequences):,}"),
        each("scans", lambda s: f"{sum(q.files.files for q in s.sequences):,}", "all files' sizes looked at"),
        each("with labels", lambda s: f"{sum(q.files.labels for q in s.sequences):,}", ""),
        each("size", lambda s: size_text(sum(q.files.bytes for q in s.sequences))),
        each("scans read", lambda s: f"{s.tally.scans:,}", "all below is from these"),
        each("points read", lambda s: f"{s.tally.points:,}"),
    ]


def _sensor(surveys: Sequence[Survey]) -> list[Figure]:
    def each(name: str, estimate: Callable[[Survey], Estimate], pattern: str = "{:,g}", unit: str = "") -> Figure:
        found = [estimate(survey) for survey in surveys]
        values = [estimate_text(f, pattern, unit) for f in found]
        return Figure(name=name, values=values, how="; ".join(dict.fromkeys(f.how for f in found)))

    views, canvases = [], []
    for survey in surveys:
        down, up, edges = survey.sensor.down_deg.number, survey.sensor.up_deg.number, survey.sensor.canvas_edges_deg()
        views.append(UNKNOWN if down is None or up is None else f"{down:+.1f} to {up:+.1f}°")
        beams = survey.sensor.beams.number or 0
        width = survey.sensor.canvas_width()
        size = f"{beams:g} rows" + (f" x {width:,} columns" if width else "")
        canvases.append(f"{size}, {edges[1]:+g} to {edges[0]:+g}°" if edges else UNKNOWN)
    return [
        each("points are stored", lambda s: s.sensor.order),
        each("beams", lambda s: s.sensor.beams),
        each("rays of a turn", lambda s: s.sensor.columns),
        each("top beam", lambda s: s.sensor.top_deg, "{:+.1f}", "°"),
        each("bottom beam", lambda s: s.sensor.bottom_deg, "{:+.1f}", "°"),
        Figure(name="field of view", values=views, how="99.8 % of the points"),
        Figure(
            name="canvas that fits", values=canvases,
            how="as many rows as beams; uneven beams share rows; rays up to a multiple of 32",
        ),
        each("azimuth covered", lambda s: s.sensor.azimuth_deg, "{:g}", "°"),
        each("mounting height", lambda s: s.sensor.height_m, "{:.2f}", " m"),
        each("points of a ring", points_of_a_ring, "{:,.0f}"),
        each("rays that come back", lambda s: s.sensor.returns, "{:.1%}"),
    ]  # fmt: skip


def _points(surveys: Sequence[Survey], bar_count: int, plain: bool) -> list[Figure]:
    ranges = [bins.quantiles(s.tally.ranges, bins.range_centres_m(), (0.5, 0.05, 0.95)) for s in surveys]
    remissions = [bins.quantiles(s.tally.remissions, bins.remission_centres(), (0.5, 0.01, 0.99)) for s in surveys]
    axes = common_axes(surveys)
    drawn = [spark(survey, axes, bar_count, _PLAIN_BARS if plain else _BARS) for survey in surveys]
    kinds = [survey.sensor.remission for survey in surveys]
    return [
        Figure(
            name="range", how="median (90 % of points)",
            values=[f"{q[0]:.1f} m ({q[1]:.1f} to {q[2]:.1f})" if q else NA for q in ranges],
        ),
        Figure(name="", values=[d[0] for d in drawn], how=f"points from 0 to {axes.range_m:g} m"),
        Figure(
            name="", values=[d[1] for d in drawn],
            how=f"points from {axes.down_deg:+g} to {axes.up_deg:+g}°",
        ),
        Figure(
            name="remission is stored", values=[estimate_text(kind) for kind in kinds],
            how="; ".join(dict.fromkeys(kind.how for kind in kinds)),
        ),
        Figure(
            name="remission", how="median (98 % of points)",
            values=[f"{q[0]:.3g} ({q[1]:.3g} to {q[2]:.3g})" if q else NA for q in remissions],
        ),
        Figure(name="", values=[d[2] for d in drawn], how=f"points from 0 to {axes.remission:g}"),
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Ends of the axes that histograms of several datasets share."""

    range_m: float
    down_deg: float
    up_deg: float
    remission: float


def common_axes(surveys: Sequence[Survey]) -> Axes:
    """Axes that hold all but the outermost points of each."""
    far = [bins.quantiles(s.tally.ranges, bins.range_centres_m(), (0.995,)) or [10.0] for s in surveys]
    low, high = ([getattr(s.sensor, end).number or 0.0 for s in surveys] for end in ("down_deg", "up_deg"))
    bright = [bins.quantiles(s.tally.remissions, bins.remission_centres(), (0.995,)) or [1.0] for s in surveys]
    top = max(b[0] for b in bright)
    return Axes(
        range_m=float(np.ceil(max(f[0] for f in far) / 10) * 10),
        down_deg=float(np.floor(min(low) / 5) * 5),
        up_deg=float(max(np.ceil(max(high) / 5) * 5, np.floor(min(low) / 5) * 5 + 5)),
        remission=1.0 if top <= 1 else 255.0 if top <= 255 else 65_536.0,
    )


def histograms(
    survey: Survey, axes: Axes, counts: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of the usable points in `counts` equal bins of range, elevation and remission; the ends take the rest.

    The points of a beam are spread over the step between two beams: else bins that hold now one, now two draw a comb.
    """
    tally = survey.tally

    def shares(own: np.ndarray, centres: np.ndarray, low: float, high: float, count: int) -> np.ndarray:
        inside = np.clip((centres - low) / (high - low) * count + 1e-9, 0, count - 1).astype(np.int64)
        return np.bincount(inside, own, minlength=count) / max(1, own.sum())

    return (
        shares(tally.ranges, bins.range_centres_m(), 0.0, axes.range_m, counts[0]),
        shares(_spread_beams(survey), bins.elevation_centres_deg(), axes.down_deg, axes.up_deg, counts[1]),
        shares(tally.remissions, bins.remission_centres(), 0.0, axes.remission, counts[2]),
    )


def _spread_beams(survey: Survey) -> np.ndarray:
    """Counts of the elevation, each beam's over the step between two beams; as they are where these are unknown."""
    sensor = survey.sensor
    beams, top, bottom = sensor.beams.number, sensor.top_deg.number, sensor.bottom_deg.number
    if beams is None or top is None or bottom is None or beams < 2:
        return survey.tally.elevations
    step = max(1, round((top - bottom) / (beams - 1) / bins.ELEVATION_STEP_DEG))
    return np.convolve(survey.tally.elevations, np.full(step, 1 / step), "same")


def spark(survey: Survey, axes: Axes, bar_count: int, drawn_with: str) -> tuple[str, str, str]:
    """Range, elevation and remission as a line of bars each; a blank where there is no point."""

    def bars(shares: np.ndarray) -> str:
        if not shares.any():
            return NA
        return "".join(drawn_with[min(7, int(8 * v / shares.max()))] if v > 1e-9 else " " for v in shares)

    ranges, elevations, remissions = histograms(survey, axes, (bar_count,) * 3)
    return bars(ranges), bars(elevations), bars(remissions)

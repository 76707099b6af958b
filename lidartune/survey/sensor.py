"""The sensor as the points tell it: each figure with how it was found, and unknown where they do not tell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from lidartune.survey import bins
from lidartune.survey.tally import ANGLE_UNIT_DEG, HEIGHT_UNIT_M, SUM_UNIT, Tally
from lidartune.survey.turn import COLUMNS, NO_ORDER, RINGS

WIDTH_STEP = 32  # the widths of all backbones are multiples of it
_FEWEST_POINTS = 20_000  # for peaks of the elevation


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure and how it was found; None is unknown, and `how` says why.

    Attributes:
        low, high: what single scans show, without the lowest and the highest 5 % of them; None where all agree.
        agree: share of the scans that show this value; None for figures that only all scans together show.
    """

    value: float | int | str | None
    how: str
    low: float | None = None
    high: float | None = None
    agree: float | None = None

    @property
    def number(self) -> float | None:
        """The value where it is a number."""
        return float(self.value) if isinstance(self.value, int | float) else None


@dataclass(frozen=True, kw_only=True)
class SensorEstimate:
    """What was found of a dataset's sensor.

    Attributes:
        order: how the points of a scan are stored.
        beams, columns: rings, and rays of a whole ring.
        up_deg, down_deg: elevation that 99.9 % of the points lie below, and above.
        top_deg, bottom_deg: elevation of the highest and of the lowest beam.
        height_m: of the sensor over the road.
        azimuth_deg: degrees of the circle in which there are points.
        returns: share of all rays that came back.
        remission: what the fourth value holds.
    """

    order: Estimate
    beams: Estimate
    columns: Estimate
    up_deg: Estimate
    down_deg: Estimate
    top_deg: Estimate
    bottom_deg: Estimate
    height_m: Estimate
    azimuth_deg: Estimate
    returns: Estimate
    remission: Estimate

    def canvas_edges_deg(self) -> tuple[float, float] | None:
        """Upper and lower edge of a canvas with as many rows as beams: half a beam step beyond the outer beams."""
        beams, top, bottom = self.beams.number, self.top_deg.number, self.bottom_deg.number
        if beams is None or top is None or bottom is None or beams < 2:
            return None
        margin = (top - bottom) / (beams - 1) / 2
        return round(top + margin, 1), round(bottom - margin, 1)

    def canvas_width(self) -> int | None:
        """Columns of a canvas with one for each ray of a turn, rounded up to a multiple of 32 for every backbone."""
        rays = self.columns.number
        return None if rays is None else -(-round(rays) // WIDTH_STEP) * WIDTH_STEP


def estimate_sensor(tally: Tally) -> SensorEstimate:
    """The sensor behind the counts of a dataset."""
    order = _order(tally)
    rings = order.value == RINGS
    peaks = None if rings else elevation_peaks_deg(tally.elevations)
    beams = _beams(tally, rings, peaks)
    columns = _columns(tally)
    top, bottom = _outer_beams(tally, rings, peaks)
    ends = bins.quantiles(tally.elevations, bins.elevation_centres_deg(), (0.001, 0.999))
    down, up = ends if ends is not None else (None, None)
    covered = int((tally.azimuths > 0.02 * tally.azimuths.mean()).sum()) if tally.usable_points else None
    return SensorEstimate(
        order=order, beams=beams, columns=columns,
        up_deg=Estimate(value=_rounded(up, 2), how="99.9 % of the points lie below"),
        down_deg=Estimate(value=_rounded(down, 2), how="99.9 % of the points lie above"),
        top_deg=top, bottom_deg=bottom, height_m=_height(tally),
        azimuth_deg=Estimate(value=covered, how="sectors of 1° with points"),
        returns=_returns(tally, beams, columns), remission=_remission(tally),
    )  # fmt: skip


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits) + 0.0


def _order(tally: Tally) -> Estimate:
    """How most scans are stored."""
    if not tally.usable_points:
        return Estimate(value=None, how="no points")
    order, count = _mode(tally.orders)
    how = {
        RINGS: "order of the azimuths",
        COLUMNS: "order of the elevations",
        NO_ORDER: "azimuths and elevations mixed",
    }[order]
    return Estimate(value=order, how=how, agree=count / sum(tally.orders.values()))


def _beams(tally: Tally, rings: bool, peaks: np.ndarray | None) -> Estimate:
    if not rings:
        if peaks is None:
            return Estimate(value=None, how="not stored by ring, elevation without clear peaks")
        return Estimate(value=len(peaks), how="peaks of the elevation")
    value, count = _mode(tally.beams)
    agree = count / sum(tally.beams.values())
    how = "rings in order"
    if agree < 0.5:
        value, how = None, "number of rings varies from scan to scan"
    return Estimate(value=value, how=how, agree=agree if value else None, **_spread(tally.beams))


def _columns(tally: Tally) -> Estimate:
    if not tally.columns or 2 * sum(tally.columns.values()) < sum(tally.orders.values()):
        return Estimate(value=None, how="no common step of the azimuth")
    how = {"steps": "azimuth step in a ring", "comb": "azimuths that repeat"}
    source, _ = _mode(tally.columns_from)
    return Estimate(value=_quantile(tally.columns, 0.5), how=how[source], **_spread(tally.columns))


def _outer_beams(tally: Tally, rings: bool, peaks: np.ndarray | None) -> tuple[Estimate, Estimate]:
    if rings and tally.top:
        top, bottom = (_quantile(side, 0.5) * ANGLE_UNIT_DEG for side in (tally.top, tally.bottom))
        how = "mean of the {} ring"
        return (Estimate(value=round(top, 2), how=how.format("highest"), **_spread(tally.top, ANGLE_UNIT_DEG)),
                Estimate(value=round(bottom, 2), how=how.format("lowest"), **_spread(tally.bottom, ANGLE_UNIT_DEG))
                )  # fmt: skip
    if peaks is not None:
        return (Estimate(value=_rounded(float(peaks[-1]), 2), how="uppermost peak of the elevation"),
                Estimate(value=_rounded(float(peaks[0]), 2), how="lowest peak of the elevation"))  # fmt: skip
    unknown = Estimate(value=None, how="single beams were not told apart")
    return unknown, unknown


def elevation_peaks_deg(elevations: np.ndarray) -> np.ndarray | None:
    """Elevations of the beams, rising, from the peaks of the histogram of `bins`; None where they do not stand apart.

    Every peak must rise well above chance, and nearly every valley must fall to half its neighbours.
    """
    from scipy.signal import find_peaks

    if elevations.sum() < _FEWEST_POINTS:
        return None
    smooth = np.convolve(elevations, [1, 2, 3, 2, 1], "same") / 9
    padded = np.concatenate([[0.0], smooth, [0.0]])
    at = find_peaks(padded, prominence=max(20.0, 0.1 * float(np.percentile(smooth[smooth > 0], 90))))[0] - 1
    if not 4 <= len(at) <= 256:
        return None
    valleys = np.array([smooth[a : b + 1].min() for a, b in zip(at[:-1], at[1:], strict=True)])
    lower = np.minimum(smooth[at[:-1]], smooth[at[1:]])
    if np.mean(valleys < 0.5 * lower) < 0.95:
        return None
    return bins.elevation_centres_deg()[at]


def _height(tally: Tally) -> Estimate:
    """Over the road where at least a quarter of the scans show it, else over what lies low and level."""
    road = sum(tally.road_heights.values())
    heights, how = tally.road_heights, "road plane 3-12 m away"
    if 4 * road < tally.scans:
        heights, how = tally.ground_heights, "ground plane 3-12 m away"
    if 4 * sum(heights.values()) < tally.scans or not heights:
        return Estimate(value=None, how="no level ground 3-12 m away")
    return Estimate(
        value=round(_quantile(heights, 0.5) * HEIGHT_UNIT_M, 2), how=how, **_spread(heights, HEIGHT_UNIT_M)
    )


def _returns(tally: Tally, beams: Estimate, columns: Estimate) -> Estimate:
    if beams.number is None or columns.number is None or not tally.usable_points:
        return Estimate(value=None, how="needs beams and columns")
    rays = beams.number * columns.number * (tally.scans - tally.empty_scans)
    return Estimate(value=round(tally.usable_points / rays, 4), how="points / rays of all beams")


def _remission(tally: Tally) -> Estimate:
    if not tally.remission_points:
        return Estimate(value=None, how="no points")
    if tally.remission_values is None:
        low, high = bins.quantiles(tally.remissions, bins.remission_centres(), (0.0, 1.0)) or [0.0, 0.0]
        return Estimate(value="continuous", how=f"more than 512 values, {low:g} to {high:g}")
    values = np.array(sorted(tally.remission_values))
    if len(values) == 1:
        return Estimate(value="constant", how=f"every point has {values[0]:g}")
    step = common_step(values)
    span = f"{len(values)} values, {values[0]:g} to {values[-1]:g}"
    if step is None:
        return Estimate(value=f"{len(values)} values", how=f"{span}, in no equal steps")
    return Estimate(value=f"steps of {step:g}", how=span)


def common_step(values: np.ndarray) -> float | None:
    """The largest step of which all differences between rising `values` are whole multiples, to 3 digits; None without.

    Steps below 1 / 65,536 of the span are none: float32 could not tell them from chance.
    """
    span = float(values[-1] - values[0])
    gaps = np.diff(values)
    gaps = gaps[gaps > 1e-6 * span]  # the same number, rounded in two ways
    step = float(gaps.min()) if len(gaps) else 0.0
    while step > span / 65_536:
        rest = np.abs(gaps - np.round(gaps / step) * step)
        rest = rest[rest > 0.05 * step]
        if not len(rest):
            step = span / round(span / step)
            whole = (values - values[0]) / step
            return float(f"{step:.3g}") if np.abs(whole - np.round(whole)).max() < 0.05 else None
        step = float(rest.min())  # as Euclid's algorithm goes on
    return None


def mean_range_m(tally: Tally) -> float | None:
    """Mean distance of the usable points."""
    return tally.range_sum / SUM_UNIT / tally.usable_points if tally.usable_points else None


def mean_remission(tally: Tally) -> float | None:
    """Mean remission of the points whose remission is usable."""
    return tally.remission_sum / SUM_UNIT / tally.remission_points if tally.remission_points else None


def _mode(counts: Counter) -> tuple:
    return max(counts.items(), key=lambda item: (item[1], item[0]))


def _quantile(counts: Counter[int], share: float) -> int:
    """The value at a share of the way through the sorted values."""
    values = sorted(counts)
    below = np.cumsum([counts[v] for v in values])
    return values[int(np.searchsorted(below, max(1, np.ceil(share * below[-1]))))]


def _spread(counts: Counter[int], unit: float = 1) -> dict[str, float]:
    """`low` and `high` of an Estimate."""
    low, high = (round(_quantile(counts, share) * unit, 4) for share in (0.05, 0.95))
    return {"low": low, "high": high} if low < high else {}

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lidartune.transfer import gap
from lidartune.transfer.compare import holm, over_settings, p_value

NAN = float("nan")


def test_p_is_that_of_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.4, 0.1, (2, 6, 9))
    assert p_value(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert math.isnan(p_value(np.array([0.3]))) and math.isnan(p_value(np.array([0.3, NAN])))


def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_0() -> None:
    differences = np.random.default_rng(1).normal(0.01, 0.01, (4, 500))
    interval = gap.t_interval(differences)
    apart = (interval.low > 0) | (interval.high < 0)
    assert 0.1 < apart.mean() < 0.9 and np.array_equal(p_value(differences) < 0.05, apart)


def test_p_of_differences_that_do_not_vary() -> None:
    assert p_value(np.array([[0.0, 0.5], [0.0, 0.5]])).tolist() == [1.0, 0.0]


def test_holm_by_hand() -> None:
    # 4 p: 0.01 x 4, 0.02 x 3, 0.03 x 2 -> at least what came before it, 0.9 x 1; nan is no part of the family
    assert holm(np.array([0.03, 0.01, NAN, 0.9, 0.02])) == pytest.approx([0.06, 0.04, NAN, 0.9, 0.06], nan_ok=True)
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]


def test_holm_holds_the_error_of_a_whole_family_where_plain_p_do_not() -> None:
    p = p_value(np.random.default_rng(2).normal(0, 1, (5, 12, 4000)))  # 4000 families of 12 true null hypotheses
    plain = (p < 0.05).any(0).mean()
    adjusted = np.mean([(holm(family) < 0.05).any() for family in p.T])
    assert plain > 0.3 and 0.03 < adjusted < 0.06


def test_a_mean_over_settings_is_averaged_within_seeds_first() -> None:
    # Both settings move together with the seed: two settings are no more evidence than one.
    one = np.array([0.02, 0.05, 0.08])
    interval, settings = over_settings(np.stack([one, one + 0.04]))
    wanted = gap.t_interval(one + 0.02)
    assert settings == 2 and (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize(
    ("absent", "settings", "seeds"),
    [
        ([], 4, 3),
        ([(0, 2)], 3, 3),  # one failed cell takes its setting out, not its seed
        ([(0, 2), (1, 2), (2, 2)], 4, 2),  # a seed that has just begun stays out, and no setting with it
        ([(i, 1) for i in range(4)] + [(i, 2) for i in range(4)], 4, 1),
        ([(i, j) for i in range(4) for j in range(3)], 0, 0),
    ],
)
def test_settings_and_seeds_that_are_not_all_there(absent: list[tuple[int, int]], settings: int, seeds: int) -> None:
    values = np.random.default_rng(0).normal(0.1, 0.01, (4, 3))
    for place in absent:
        values[place] = NAN
    interval, kept = over_settings(values)
    assert (kept, int(interval.seeds)) == (settings, seeds)
    assert np.isnan(interval.low) == (seeds < 2) and np.isnan(interval.mean) == (seeds == 0)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_over_settings_covers_93_to_97_percent(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    covered = []
    for _ in range(3000):
        of_seed, of_setting = rng.normal(0, 0.02, (1, seeds)), np.array([[-0.05], [0.0], [0.05]])
        interval, _ = over_settings(0.03 + of_setting + of_seed + rng.normal(0, 0.01, (3, seeds)))
        covered.append(interval.low <= 0.03 <= interval.high)
    assert 0.93 < np.mean(covered) < 0.97

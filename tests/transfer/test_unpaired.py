from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lidartune.transfer.unpaired import welch_interval


def test_it_is_scipy_s_interval() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.5, 0.02, 4), rng.normal(0.4, 0.06, 6)
    found = welch_interval(np.append(x, np.nan), y)
    wanted = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-9)
    assert found.mean == pytest.approx(x.mean() - y.mean()) and found.seeds == 4


def test_95_percent_covers_the_difference_in_93_to_97_of_100() -> None:
    rng = np.random.default_rng(1)
    for sizes, spreads in (((3, 5), (1.0, 3.0)), ((5, 5), (1.0, 1.0)), ((10, 3), (2.0, 1.0))):
        covered = 0
        for _ in range(2000):
            x, y = (rng.normal(0, s, n) for n, s in zip(sizes, spreads, strict=True))
            found = welch_interval(x, y)
            covered += found.low <= 0 <= found.high
        assert 0.93 <= covered / 2000 <= 0.97, (sizes, covered)


def test_what_is_not_there_is_not_zero() -> None:
    nothing = welch_interval(np.array([]), np.array([0.4, 0.5]))
    assert np.isnan(nothing.mean) and nothing.seeds == 0
    one = welch_interval(np.array([0.5]), np.array([0.4, 0.5]))
    assert one.mean == pytest.approx(0.05) and np.isnan(one.low) and one.seeds == 1
    same = welch_interval(np.array([0.5, 0.5]), np.array([0.4, 0.4]))
    assert (same.low, same.mean, same.high) == pytest.approx((0.1, 0.1, 0.1))

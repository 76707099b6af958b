from __future__ import annotations

import doctest
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lidartune.scoring import ConfusionMatrix
from lidartune.transfer import gap

NAN = float("nan")


def test_iou_leaves_ignored_truth_out_and_counts_a_prediction_ignored_as_an_error() -> None:
    confusion = np.array([[9, 50, 50, 0], [2, 6, 2, 0], [0, 4, 8, 0], [0, 0, 0, 0]])
    # class 1: 6 right, 10 true, 6 + 4 predicted among labelled points; class 2: 8 right, 12 true, 10 predicted
    np.testing.assert_allclose(gap.iou(confusion), [NAN, 6 / 14, 8 / 14, NAN])
    assert gap.mean_iou(confusion) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(20))
def test_iou_is_that_of_the_scores_which_training_prints(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confusion = rng.integers(0, 50, (12, 12)) * rng.integers(0, 2, (12, 12))
    confusion[rng.integers(0, 12, 3)] = 0  # classes outside the ground truth
    wanted = ConfusionMatrix.from_matrix(confusion)
    np.testing.assert_allclose(gap.iou(confusion), wanted.iou(), rtol=1e-12)
    assert gap.mean_iou(confusion) == pytest.approx(wanted.miou(), rel=1e-12)


def test_a_class_outside_the_ground_truth_is_nan_even_where_it_is_predicted() -> None:
    confusion = np.array([[0, 0, 0], [0, 5, 5], [0, 0, 0]])
    np.testing.assert_allclose(gap.iou(confusion), [NAN, 0.5, NAN])
    assert gap.mean_iou(confusion) == pytest.approx(0.5)
    assert math.isnan(float(gap.mean_iou(np.zeros((3, 3)))))


def test_mean_over_a_given_class_set() -> None:
    confusion = np.diag([0, 1, 1, 1]) + np.diag([0, 0, 3, 1])[:, [0, 2, 1, 3]]
    only = np.array([False, True, False, False])
    assert gap.mean_iou(confusion, only) == pytest.approx(gap.iou(confusion)[1])


def test_t_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).normal(0.4, 0.1, (5, 3))
    interval = gap.t_interval(values)
    for column in range(3):
        wanted = stats.ttest_1samp(values[:, column], 0).confidence_interval(0.95)
        assert (interval.low[column], interval.high[column]) == pytest.approx((wanted.low, wanted.high))
    assert interval.mean == pytest.approx(values.mean(0))


def test_absent_seeds_do_not_count_and_one_seed_has_no_interval() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = gap.t_interval(np.array([[0.5, 0.2, NAN], [NAN, 0.4, NAN]]))
    assert interval.seeds.tolist() == [1, 2, 0]
    np.testing.assert_allclose(interval.mean, [0.5, 0.3, NAN])
    assert np.isnan(interval.low).tolist() == [True, False, True]


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_nominal_95_percent_covers_93_to_97_percent(seeds: int) -> None:
    drawn = np.random.default_rng(seeds).normal(0.03, 0.015, (seeds, 40_000))
    interval = gap.t_interval(drawn)
    assert 0.93 < np.mean((interval.low <= 0.03) & (interval.high >= 0.03)) < 0.97


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_pairing_removes_what_seeds_share(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    shared = rng.normal(0, 0.1, (seeds, 20_000))
    tuned, scratch = (shared + m + rng.normal(0, 0.01, shared.shape) for m in (0.45, 0.40))
    interval = gap.paired_difference(tuned, scratch)
    assert 0.93 < np.mean((interval.low <= 0.05) & (interval.high >= 0.05)) < 0.97
    unpaired = gap.t_interval(tuned)
    assert np.median(interval.high - interval.low) < 0.3 * np.median(unpaired.high - unpaired.low)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_ratio_interval_covers_93_to_97_percent(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    shape = (seeds, 40_000)
    start, full = rng.normal(0.2, 0.01, shape), rng.normal(0.5, 0.015, shape)
    interval = gap.gap_closed(rng.normal(0.35, 0.02, shape), start, full)
    assert not np.isnan(interval.mean).any()
    assert 0.93 < np.mean((interval.low <= 0.5) & (interval.high >= 0.5)) < 0.97


def test_gap_closed_is_na_exactly_where_the_denominators_interval_is_not_above_0() -> None:
    rng = np.random.default_rng(3)
    start, full, score = (rng.normal(m, 0.03, (3, 2_000)) for m in (0.30, 0.36, 0.33))
    denominator = gap.paired_difference(full, start)
    interval = gap.gap_closed(score, start, full)
    holds_0 = denominator.low <= 0
    assert 0.1 < holds_0.mean() < 0.99
    for figure in (interval.mean, interval.low, interval.high):
        assert np.array_equal(np.isnan(figure), holds_0)
    assert math.isnan(gap.gap_closed(np.array([0.4]), np.array([0.2]), np.array([0.6])).mean)
    below = gap.gap_closed(np.array([0.4, 0.41]), np.array([0.6, 0.61]), np.array([0.2, 0.211]))
    assert math.isnan(below.mean)


def scores() -> dict[str, np.ndarray]:
    """Three seeds with every score a different figure, so that no two can be taken for each other."""
    base = {name: 0.05 * (i + 1) for i, name in enumerate(gap.SCORES)}
    return {name: np.array([v, v + 0.01, v - 0.004]) * 1.01 for name, v in base.items()}


def test_every_measure_is_the_difference_it_says() -> None:
    s = scores()
    m = gap.measure(s)
    mean = {name: v.mean() for name, v in s.items()}
    assert m["domain_gap"].mean == pytest.approx(mean["full_equal"] - mean["synthetic_to_real"])
    assert m["gain_equal_finetuning"].mean == pytest.approx(mean["finetuned"] - mean["scratch"])
    assert m["gain_equal_total"].mean == pytest.approx(mean["finetuned"] - mean["scratch_longer"])
    assert m["gain_over_real_control"].mean == pytest.approx(mean["finetuned"] - mean["real_real"])
    assert m["jumpstart"].mean == pytest.approx(mean["start"] - mean["scratch_start"])
    assert m["forgetting"].mean == pytest.approx(mean["synthetic_to_synthetic"] - mean["finetuned_on_synthetic"])
    whole = mean["full_longer"] - mean["start"]
    assert m["gap_closed"].mean == pytest.approx((mean["finetuned"] - mean["start"]) / whole)
    assert m["gap_closed_scratch"].mean == pytest.approx((mean["scratch"] - mean["start"]) / whole)
    assert m["gap_closed_scratch_longer"].mean == pytest.approx((mean["scratch_longer"] - mean["start"]) / whole)
    assert gap.SCORES["synthetic_to_real"] == ("pretrained", "real")
    assert gap.SCORES["finetuned_on_synthetic"] == ("finetuned", "synthetic")


def test_a_missing_score_makes_its_measures_absent_and_no_others() -> None:
    s = scores()
    del s["scratch"]
    s["full_longer"] = np.array([0.6, NAN, 0.61])
    m = gap.measure(s)
    assert math.isnan(m["gain_equal_finetuning"].mean) and m["gain_equal_finetuning"].seeds == 0
    assert m["gain_equal_total"].seeds == 3 and m["gap_closed"].seeds == 2


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0.1, 0.2, "positive"), (-0.2, -0.1, "negative"), (-0.1, 0.1, "not distinguishable"), (NAN, NAN, "n/a")],
)
def test_with_fewer_than_five_seeds_nothing_is_called_significant(low: float, high: float, wanted: str) -> None:
    assert gap.verdict(gap.Interval(mean=0.0, low=low, high=high, seeds=5)) == wanted
    few = gap.verdict(gap.Interval(mean=0.0, low=low, high=high, seeds=4))
    assert few == (f"suggests {wanted}" if wanted.endswith("tive") else wanted)


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    values = np.array([0.9, 0.1, 0.5, 0.4, 0.3, 0.6, 0.2, 0.7])
    assert gap.interquartile_mean(values) == pytest.approx((0.3 + 0.4 + 0.5 + 0.6) / 4)
    assert gap.interquartile_mean(values[:3]) == pytest.approx(0.5)  # of fewer than 4 it is the mean
    rng = np.random.default_rng(0)
    for n in (4, 5, 7, 10):
        drawn = rng.normal(size=(n, 3))
        assert gap.interquartile_mean(drawn) == pytest.approx(stats.trim_mean(drawn, 0.25))
        with_absent = np.concatenate([drawn, np.full((2, 3), NAN)])
        assert gap.interquartile_mean(with_absent) == pytest.approx(gap.interquartile_mean(drawn))
    assert math.isnan(gap.interquartile_mean(np.array([NAN])))


def test_learning_curve_measures() -> None:
    updates, score = np.array([0, 10, 30]), np.array([0.0, 0.4, 0.4])
    assert gap.area(updates, score) == pytest.approx((0.2 * 10 + 0.4 * 20) / 30)
    assert gap.asymptote(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(0.5)
    assert gap.updates_to_threshold(updates, score, 0.4) == 10
    assert gap.updates_to_threshold(updates, score, 0.41) == math.inf
    assert math.isnan(gap.area(updates[:1], score[:1]))


def test_the_examples_of_the_documentation_are_what_the_code_gives() -> None:
    page = Path(__file__).parents[2] / "docs" / "gap.md"
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.attempted >= 10 and result.failed == 0

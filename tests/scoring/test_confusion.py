"""The confusion matrix and its figures against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.scoring import ConfusionMatrix

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40)


def of(pairs: list[tuple[int, int]], num_classes: int = 5, ignore: tuple[int, ...] = (0,)) -> ConfusionMatrix:
    """From pairs (truth, predicted)."""
    confusion = ConfusionMatrix(num_classes, ignore)
    truth, predicted = np.array(pairs, np.uint8).reshape(-1, 2).T
    confusion.add(predicted, truth)
    return confusion


@given(PAIRS, st.sets(st.integers(0, 4), max_size=3), st.booleans())
@settings(max_examples=200, deadline=None)
def test_figures_equal_counting(pairs: list[tuple[int, int]], ignore: set[int], ignore_predicted: bool) -> None:
    confusion = of(pairs, ignore=tuple(ignore))
    counted = [(t, p) for t, p in pairs if t not in ignore and not (ignore_predicted and p in ignore)]
    iou = confusion.iou(ignore_predicted=ignore_predicted)
    for c in range(5):
        if c in ignore or all(t != c for t, _ in pairs):
            assert math.isnan(iou[c])
            continue
        both = sum(t == c and p == c for t, p in counted)
        either = sum(t == c or p == c for t, p in counted)
        assert iou[c] == (both / either if either else 0.0)
    present = [v for v in iou if not math.isnan(v)]
    miou = confusion.miou(ignore_predicted=ignore_predicted)
    assert miou == pytest.approx(sum(present) / len(present)) if present else math.isnan(miou)
    accuracy = confusion.accuracy(ignore_predicted=ignore_predicted)
    right = sum(t == p for t, p in counted)
    assert accuracy == right / len(counted) if counted else math.isnan(accuracy)
    for t in range(5):
        for p in range(5):
            assert confusion.matrix[t, p] == pairs.count((t, p))


@given(PAIRS, PAIRS)
@settings(deadline=None)
def test_adding_matrices_is_adding_points(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    total = of(first) + of(second)
    np.testing.assert_array_equal(total.matrix, of(first + second).matrix)
    np.testing.assert_array_equal(ConfusionMatrix.from_matrix(total.matrix.tolist()).iou(), total.iou())


def test_predicting_ignored_on_a_labelled_point_is_an_error_and_only_lidar_bonnetals_rule_forgives_it() -> None:
    confusion = of([(1, 1), (1, 0), (2, 2), (0, 2)])
    assert confusion.iou()[1:3].tolist() == [0.5, 1.0]
    assert confusion.iou(ignore_predicted=True)[1:3].tolist() == [1.0, 1.0]
    assert (confusion.miou(), confusion.miou(ignore_predicted=True)) == (0.75, 1.0)
    assert (confusion.accuracy(), confusion.accuracy(ignore_predicted=True)) == (2 / 3, 1.0)


def test_a_predicted_class_without_ground_truth_is_no_figure_but_costs_the_true_class() -> None:
    confusion = of([(1, 1), (1, 3)])
    assert math.isnan(confusion.iou()[3]) and confusion.miou() == 0.5


@st.composite
def counted(draw: st.DrawFn) -> tuple[int, tuple[int, ...], list[tuple[np.ndarray, np.ndarray]]]:
    """A number of classes, the ignored ones, and some scans' (truth, predicted), in whatever integers there are."""
    num_classes = draw(st.sampled_from([1, 2, 5, 20, 26, 255, 256]) | st.integers(1, 256))
    ignore = tuple(draw(st.sets(st.integers(0, num_classes - 1), max_size=4)))
    classes = st.integers(0, num_classes - 1) | st.sampled_from([0, num_classes - 1])
    scans = []
    for pairs in draw(st.lists(st.lists(st.tuples(classes, classes), max_size=12), max_size=4)):
        columns = np.array(pairs, np.int64).reshape(-1, 2).T
        kinds = [draw(st.sampled_from([np.uint8, np.uint16, np.int64, np.uint64])) for _ in range(2)]
        scans.append((columns[0].astype(kinds[0]), columns[1].astype(kinds[1])))
    return num_classes, ignore, scans


@given(counted(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_number_of_classes_counted_scan_by_scan_equals_counting_points(
    case: tuple[int, tuple[int, ...], list[tuple[np.ndarray, np.ndarray]]], forgive: bool
) -> None:
    num_classes, ignore, scans = case
    whole, parts = ConfusionMatrix(num_classes, ignore), ConfusionMatrix(num_classes, ignore)
    for truth, predicted in scans:
        whole.add(predicted, truth)
        one = ConfusionMatrix(num_classes, ignore)
        one.add(predicted[::-1], truth[::-1])
        parts += one
    np.testing.assert_array_equal(whole.matrix, parts.matrix)
    pairs = [(int(t), int(p)) for truth, predicted in scans for t, p in zip(truth, predicted, strict=True)]
    plain = np.zeros((num_classes, num_classes), np.int64)
    for t, p in pairs:
        plain[t, p] += 1
    np.testing.assert_array_equal(whole.matrix, plain)
    kept = [(t, p) for t, p in pairs if t not in ignore and not (forgive and p in ignore)]
    for c, found in enumerate(whole.iou(ignore_predicted=forgive)):
        if c in ignore or c not in [t for t, _ in pairs]:
            assert math.isnan(found)
        else:
            either = [(t, p) for t, p in kept if c in (t, p)]
            assert found == (either.count((c, c)) / len(either) if either else 0.0)
    np.testing.assert_array_equal(
        whole.counted(forgive), of(kept, num_classes, ignore).matrix if kept else np.zeros_like(plain)
    )


@given(counted(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_mean_with_absent_classes_as_zero_is_over_all_that_are_not_ignored(
    case: tuple[int, tuple[int, ...], list[tuple[np.ndarray, np.ndarray]]], forgive: bool
) -> None:
    num_classes, ignore, scans = case
    confusion = ConfusionMatrix(num_classes, ignore)
    for truth, predicted in scans:
        confusion.add(predicted, truth)
    iou = confusion.iou(ignore_predicted=forgive)
    figures = [0.0 if math.isnan(iou[c]) else iou[c] for c in range(num_classes) if c not in ignore]
    found = confusion.miou(ignore_predicted=forgive, absent_as_zero=True)
    assert found == pytest.approx(sum(figures) / len(figures)) if figures else math.isnan(found)


def test_nothing_labelled_gives_nan_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert math.isnan(of([(0, 1)]).miou()) and math.isnan(ConfusionMatrix(20).accuracy())
    assert not recwarn.list


def test_matrices_have_their_own_memory_and_are_int64() -> None:
    counts = np.ones((3, 3), np.int32)
    confusion = ConfusionMatrix.from_matrix(counts)
    confusion.add(np.array([[1, 2]]), np.array([[1, 1]], np.uint64))
    assert counts.sum() == 9 and confusion.matrix.tolist() == [[1, 1, 1], [1, 2, 2], [1, 1, 1]]
    assert confusion.matrix.dtype == np.int64


def test_what_is_no_class_is_refused() -> None:
    confusion = ConfusionMatrix(3)
    for predicted, truth in ([3, 1], [1, 3], [-1, 1], [1, 255]):
        with pytest.raises(ValueError, match="outside 0..2"):
            confusion.add(np.array([predicted]), np.array([truth]))
    for predicted, truth in ([3, 1], [1, 3], [255, 0], [0, 255], [255, 255], [3, 3]):
        name = "true" if truth > 2 else "predicted"
        with pytest.raises(ValueError, match=f"a {name} class outside 0..2"):
            confusion.add(np.array([1, predicted], np.uint8), np.array([1, truth], np.uint8))
    with pytest.raises(ValueError, match="against truth"):
        confusion.add(np.array([1]), np.array([1, 1]))
    with pytest.raises(ValueError, match="integers"):
        confusion.add(np.array([1.0]), np.array([1]))
    assert confusion.matrix.sum() == 0
    for bad in ([[1, 2]], [[0.5]], [[-1]]):
        with pytest.raises(ValueError, match="confusion matrix"):
            ConfusionMatrix.from_matrix(bad)
    with pytest.raises(ValueError, match="other"):
        confusion + ConfusionMatrix(4)
    with pytest.raises(ValueError, match="ignored classes"):
        ConfusionMatrix(3, ignore=(3,))
    with pytest.raises(ValueError, match="at most 256"):
        ConfusionMatrix(257)

"""Label shift: the published shares, the definitions, and classes that one side does not have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.errors import UserError
from lidartune.scans import CLASS_NAMES, load_taxonomy
from lidartune.scans.label_shift import LabelShift, in_words, label_shift

PUBLISHED = {"motorcyclist": 205, "bicyclist": 38, "person": 19, "truck": 8.8, "other-vehicle": 7.8, "bicycle": 5.4,
             "road": 2.1, "car": 0.34, "fence": 0.33, "vegetation": 0.25, "parking": 0.16}  # fmt: skip


def published() -> LabelShift:
    first, second = (load_taxonomy(name).class_content() for name in ("synlidar", "semantic-kitti"))
    assert first is not None and second is not None
    return label_shift(first, second, CLASS_NAMES)


def test_synlidar_against_semantic_kitti_is_what_is_known() -> None:
    shift = published()
    rows = {row.name: row for row in shift.classes}
    assert tuple(rows) == CLASS_NAMES[1:]
    for name, ratio in PUBLISHED.items():
        assert rows[name].ratio == pytest.approx(ratio, rel=0.03), name
    assert sum(row.first for row in shift.classes) == pytest.approx(1) == sum(row.second for row in shift.classes)
    assert shift.ignored == pytest.approx((0.0360, 0.0315), abs=1e-4)
    assert shift.total_variation == pytest.approx(sum(max(0, row.first - row.second) for row in shift.classes))
    assert shift.total_variation == pytest.approx(0.3138, abs=1e-4)
    assert shift.jensen_shannon_bits == pytest.approx(0.1166, abs=1e-4)


def test_words_name_what_matters() -> None:
    said = in_words(published(), "synlidar", "semantic-kitti")
    assert said.startswith("31 % of the labelled points would have to change class. Most: road (42.8 and 20.5 %), veg")
    assert "More common in synlidar than in semantic-kitti: motorcyclist (206 times), bicyclist (38.6 times)" in said
    assert said.endswith("and 4 other classes. More common in semantic-kitti than in synlidar: parking (6.17 times).")
    assert "n/a" not in said and "inf" not in said and "nan" not in said


def test_a_class_that_a_side_does_not_have_is_named_and_has_no_ratio() -> None:
    names = ("ignored", "car", "road", "pole", "trunk")
    shift = label_shift(np.array([90, 5, 5, 0, 0]), np.array([0, 10, 0, 30, 0]), names)
    assert [(row.name, row.first, row.second, row.ratio) for row in shift.classes] == [
        ("car", 0.5, 0.25, 2.0),
        ("road", 0.5, 0.0, None),
        ("pole", 0.0, 0.75, None),
        ("trunk", 0.0, 0.0, None),
    ]
    assert shift.ignored == (0.9, 0.0) and shift.total_variation == 0.75
    said = in_words(shift, "a", "b")
    assert "Only in a: road." in said and "Only in b: pole." in said and "trunk" not in said


@pytest.mark.parametrize(("rare", "said"), [(3, "times)."), (4, " and 1 other class."), (5, " and 2 other classes.")])
def test_one_more_class_is_singular(rare: int, said: str) -> None:
    names = ("ignored", "road", *(f"rare-{i}" for i in range(rare)))
    words = in_words(label_shift(np.array([0, 1] + [9] * rare), np.array([0, 90] + [1] * rare), names), "a", "b")
    assert f"times){said.removeprefix('times)')} More common in b" in words


def test_equal_shares_do_not_shift() -> None:
    shift = label_shift(np.array([5, 1, 3]), np.array([1, 100, 300]), ("ignored", "car", "road"))
    assert shift.total_variation == 0 and shift.jensen_shannon_bits == 0
    assert [row.ratio for row in shift.classes] == [1.0, 1.0]
    assert in_words(shift, "a", "b") == (
        "0 % of the labelled points would have to change class. "
        "No class is 5 times as common on one side as on the other."
    )


share = st.one_of(st.just(0.0), st.floats(0, 1e12), st.integers(0, 10**15).map(float))
shares = st.lists(share, min_size=4, max_size=4)


@given(shares, shares)
@settings(max_examples=300, deadline=None)
def test_distances_are_symmetric_and_bounded_for_any_shares(first: list[float], second: list[float]) -> None:
    names, (a, b) = ("ignored", "x", "y", "z"), (np.array(first), np.array(second))
    if not (a[1:].sum() > 0 and b[1:].sum() > 0):
        with pytest.raises(UserError, match=r"(?s)no labelled points.*next:"):
            label_shift(a, b, names)
        return
    there, back = label_shift(a, b, names), label_shift(b, a, names)
    assert there.total_variation == pytest.approx(back.total_variation, abs=1e-12)
    assert there.jensen_shannon_bits == pytest.approx(back.jensen_shannon_bits, abs=1e-12)
    assert 0 <= there.total_variation <= 1 + 1e-12 and 0 <= there.jensen_shannon_bits <= 1 + 1e-12
    for row, other in zip(there.classes, back.classes, strict=True):
        assert (row.ratio is None) == (other.ratio is None) or min(row.first, row.second) < 1e-300
        assert row.ratio is None or (row.ratio > 0 and np.isfinite(row.ratio))
    words = in_words(there, "a", "b")
    assert "nan" not in words and "inf" not in words


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
@settings(max_examples=100, deadline=None)
def test_the_divergence_is_the_entropy_of_the_mixture_minus_the_mean_entropy(a: list[float], b: list[float]) -> None:
    def entropy(p: np.ndarray) -> float:
        return float(-(p * np.log2(p)).sum())

    p, q = np.array(a) / sum(a), np.array(b) / sum(b)
    shift = label_shift(np.array([3, *a]), np.array([0, *b]), ("ignored", "x", "y", "z"))
    expected = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    assert shift.jensen_shannon_bits == pytest.approx(expected, abs=1e-12)


def test_disjoint_classes_are_one_bit_apart() -> None:
    shift = label_shift(np.array([0, 7, 0]), np.array([0, 0, 2]), ("ignored", "x", "y"))
    assert shift.total_variation == 1 and shift.jensen_shannon_bits == 1


def test_other_ignored_classes_are_left_out() -> None:
    shift = label_shift(np.array([1, 1, 2]), np.array([1, 3, 4]), ("ignored", "x", "y"), ignore=(0, 2))
    assert [row.name for row in shift.classes] == ["x"] and shift.ignored == (0.75, 0.625)
    assert shift.total_variation == 0


def test_shares_of_another_shape_are_a_programmers_mistake() -> None:
    for wrong in (np.ones(3), np.array([1, 1, -1, 1]), np.array([1, 1, np.nan, 1]), np.ones((2, 2))):
        with pytest.raises(ValueError, match="shares must be"):
            label_shift(np.ones(4), wrong, ("ignored", "x", "y", "z"))

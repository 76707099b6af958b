"""Labelled subsets are nested, drawn by the seed, and spread over the sequences in proportion to their lengths."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidartune.scans import ScanFile, spread
from lidartune.scans.splits import labelled_subset, scans_in


def scans_of(*lengths: int) -> tuple[ScanFile, ...]:
    return tuple(
        ScanFile(f"{sequence:02d}", f"{number:06d}", Path("p"), Path("l"))
        for sequence, length in enumerate(lengths)
        for number in range(length)
    )


SCANS = scans_of(5, 1, 9, 3)
SHARES = ("1%", "5%", "10%", "20%", "50%")
KITTI = scans_of(4541, 1101, 4661, 801, 271, 2761, 1101, 1591, 1201)  # the training split of study/memo.yaml


@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.data(), st.integers(0, 99))
def test_subsets_are_nested_and_in_order(lengths: list[int], data: st.DataObject, seed: int) -> None:
    scans = scans_of(*lengths)
    stated = st.one_of(st.integers(1, len(scans)), st.sampled_from(SHARES).map(lambda s: scans_in(s, len(scans))))
    counts = sorted((data.draw(stated), data.draw(stated)))
    smaller, larger = (labelled_subset(scans, count, seed) for count in counts)
    assert set(smaller) <= set(larger) and [len(smaller), len(larger)] == counts
    assert list(larger) == [scan for scan in scans if scan in set(larger)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.data(), st.integers(0, 99))
def test_every_sequence_comes_first_and_then_in_proportion(
    lengths: list[int], data: st.DataObject, seed: int
) -> None:
    scans = scans_of(*lengths)
    count = data.draw(st.integers(1, len(scans)))
    drawn = Counter(scan.sequence for scan in labelled_subset(scans, count, seed))
    assert len(drawn) == min(count, len(lengths))
    for number, length in enumerate(lengths):
        exact = count * length / len(scans)
        off = 1 + len(lengths) * length / len(scans)  # one scan of each sequence comes before its turn
        assert exact - off <= drawn[f"{number:02d}"] <= exact + 1


def test_a_tenth_of_the_real_split_is_a_tenth_of_every_sequence() -> None:
    count = scans_in("10%", len(KITTI))
    drawn = Counter(scan.sequence for scan in labelled_subset(KITTI, count, 0))
    whole = Counter(scan.sequence for scan in KITTI)
    assert count == 1803 and drawn.total() == 1803
    assert all(abs(drawn[name] - whole[name] / 10) < 2 for name in whole)


def test_seeds_draw_different_scans_from_as_many_sequences_as_can_be() -> None:
    drawn = {labelled_subset(SCANS, 4, seed) for seed in range(20)}
    assert len(drawn) > 10
    assert all(len({scan.sequence for scan in subset}) == 4 for subset in drawn)


def test_scans_that_are_written_down_stay_the_ones_that_are_drawn() -> None:
    names = [f"{scan.sequence}/{scan.name[-1]}" for scan in labelled_subset(scans_of(4, 4, 4), 5, 3)]
    assert names == ["00/1", "00/3", "01/2", "01/3", "02/0"], "or studies on labelled subsets begin anew"


@pytest.mark.parametrize(
    ("share", "available", "count"),
    [("10%", 18029, 1803), ("1%", 18029, 181), ("50%", 4, 2), ("1%", 4, 1), ("100%", 7, 7), ("0.5%", 1000, 5)],
)
def test_a_share_is_rounded_up_and_never_none(share: str, available: int, count: int) -> None:
    assert scans_in(share, available) == count


@pytest.mark.parametrize("text", ["0%", "150%", "x%", "10", "%", "-5%", "1/2%", "1e1%", "100.1%", "10%%", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no share"):
        scans_in(text, 100)


def test_spread_is_even_and_whole_where_there_are_few() -> None:
    assert spread(SCANS, None) == SCANS == spread(SCANS, 99)
    assert [SCANS.index(scan) for scan in spread(SCANS, 3)] == [0, 6, 12]

"""Labelled subsets are nested, drawn by the seed, and spread over the sequences."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lidartune.scans import ScanFile, spread
from lidartune.scans.splits import labelled_subset

SCANS = tuple(
    ScanFile(f"{sequence:02d}", f"{number:06d}", Path("p"), Path("l"))
    for sequence, length in enumerate((5, 1, 9, 3))
    for number in range(length)
)


@given(st.integers(1, len(SCANS)), st.integers(1, len(SCANS)), st.integers(0, 99))
def test_subsets_are_nested_and_in_order(one: int, other: int, seed: int) -> None:
    smaller, larger = (labelled_subset(SCANS, n, seed) for n in sorted((one, other)))
    assert set(smaller) <= set(larger) and len(smaller) == min(one, other)
    assert list(larger) == [scan for scan in SCANS if scan in set(larger)]


def test_seeds_draw_different_scans_from_as_many_sequences_as_can_be() -> None:
    drawn = {labelled_subset(SCANS, 4, seed) for seed in range(20)}
    assert len(drawn) > 10
    assert all(len({scan.sequence for scan in subset}) == 4 for subset in drawn)


def test_spread_is_even_and_whole_where_there_are_few() -> None:
    assert spread(SCANS, None) == SCANS == spread(SCANS, 99)
    assert [SCANS.index(scan) for scan in spread(SCANS, 3)] == [0, 6, 12]

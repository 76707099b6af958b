from __future__ import annotations

import math

import numpy as np
import pytest

from lidartune.transfer.labels import scans_reaching

NAN = float("nan")
SCANS = np.array([4, 8, 16, 64])


def test_between_two_numbers_it_is_a_straight_line_over_the_logarithm() -> None:
    scratch = np.array([0.10, 0.20, 0.30, 0.40])
    assert scans_reaching(SCANS, scratch, 0.25) == pytest.approx(math.sqrt(8 * 16))
    assert scans_reaching(SCANS, scratch, 0.35) == pytest.approx(math.sqrt(16 * 64))
    assert scans_reaching(SCANS, scratch, 0.30) == pytest.approx(16)


def test_beyond_the_numbers_tried_nobody_knows() -> None:
    scratch = np.array([0.10, 0.20, 0.30, 0.40])
    assert scans_reaching(SCANS, scratch, 0.401) == math.inf
    assert scans_reaching(SCANS, scratch, 0.099) == 0
    assert scans_reaching(SCANS, scratch, 0.10) == pytest.approx(4)


def test_a_dip_is_levelled_and_not_taken_for_two_crossings() -> None:
    # 0.30 at 8 and 0.20 at 16 become 0.25 at both.
    scratch = np.array([0.10, 0.30, 0.20, 0.40])
    assert scans_reaching(SCANS, scratch, 0.25) == pytest.approx(8)
    assert 16 < scans_reaching(SCANS, scratch, 0.28) < 64


def test_what_is_not_there_is_left_out() -> None:
    assert scans_reaching(SCANS, np.array([0.1, NAN, 0.3, NAN]), 0.2) == pytest.approx(8)
    assert math.isnan(scans_reaching(SCANS, np.array([0.1, NAN, NAN, NAN]), 0.1))
    assert math.isnan(scans_reaching(SCANS, np.array([0.1, 0.2, 0.3, 0.4]), NAN))

"""How many labelled scans pretraining is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def scans_reaching(scans: NDArray[Any], scratch: NDArray[Any], wanted: float) -> float:
    """How many labelled scans training from scratch needs for a score.

    One seed's scores from scratch are made non-decreasing in the number of scans (isotonic regression) and joined by
    straight lines over its logarithm.

    Args:
        scans: (N,) numbers of labelled scans, rising.
        scratch: (N,) scores; nan = not there.
        wanted: the score to reach.

    Returns:
        inf where the largest number does not reach it and 0 where the smallest is beyond it already: nobody knows how
        many more, or how many fewer, it takes. nan where fewer than two scores are there.
    """
    from scipy.optimize import isotonic_regression  # takes its time to import, and few studies need it

    scans, scratch = np.asarray(scans, dtype=np.float64), np.asarray(scratch, dtype=np.float64)
    there = ~np.isnan(scratch)
    if there.sum() < 2 or np.isnan(wanted):
        return float("nan")
    log_scans, rising = np.log(scans[there]), isotonic_regression(scratch[there]).x
    if wanted > rising[-1]:
        return float("inf")
    if wanted < rising[0]:
        return 0.0
    after = int(np.searchsorted(rising, wanted))  # the first that reaches it
    if rising[after] == wanted:
        return float(np.exp(log_scans[after]))
    share = (wanted - rising[after - 1]) / (rising[after] - rising[after - 1])
    return float(np.exp(log_scans[after - 1] + share * (log_scans[after] - log_scans[after - 1])))

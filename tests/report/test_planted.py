"""Effects of known size, planted into the metric files of made-up studies, as the tables report them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lidartune.report import load_study
from lidartune.report.settings import gap_table

from .made_up_study import Accuracy, make_study

NAMES = ["ignored", "road", "car", "pole"]
FULL = {"full_equal", "full_longer", "full"}
SPREAD = 0.01  # of one training, beside what its seed does to all trainings


def planted(gap: float, gain: float, seed: int) -> Accuracy:
    """Zero-shot is `gap` below training on all real scans for as many updates, fine-tuning `gain` above scratch."""
    rng = np.random.default_rng([seed, 77])
    of_seed: dict[int, float] = {}

    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        if cell["seed"] not in of_seed:
            of_seed[cell["seed"]] = rng.normal(0, 0.03)  # which scans were drawn: the same for both sides
        score = 0.45 + of_seed[cell["seed"]] + rng.normal(0, SPREAD)
        if domain == "real" and role in ("pretrained", "start", "pretrained_longer"):
            return score - gap
        return score + gain if role == "finetuned" and domain == "real" else score

    return accuracy


def gap_rows(root: Path, gap: float, gain: float, studies: int, seeds: int, first: int = 0) -> pd.DataFrame:
    """The gap table's row of each study."""
    rows = []
    for number in range(first, first + studies):
        study = make_study(
            root / str(number), accuracy=planted(gap, gain, number), names=NAMES, seeds=range(seeds), blocks=1,
            curves=False, pictures=False, only_roles=("pretrained", "full_equal", "finetuned", "scratch"),
        )  # fmt: skip
        rows.append(gap_table(load_study(study)).iloc[0])
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("gap", "gain"), [(0.05, 0.03), (-0.05, 0.03), (0.05, -0.03)])
def test_the_signs_of_gap_and_gain_are_right_in_19_of_20_studies(tmp_path: Path, gap: float, gain: float) -> None:
    rows = gap_rows(tmp_path, gap, gain, studies=20, seeds=3)
    assert (np.sign(rows["domain_gap"]) == np.sign(gap)).sum() >= 19
    assert (np.sign(rows["gain_equal_finetuning"]) == np.sign(gain)).sum() >= 19
    for name, planted_sign in (("domain_gap", gap), ("gain_equal_finetuning", gain)):
        ends = rows[[f"{name}_low", f"{name}_high"]].to_numpy()
        against = (ends[:, 1] < 0) if planted_sign > 0 else (ends[:, 0] > 0)
        assert not against.any(), "an interval wholly on the wrong side"


@pytest.mark.parametrize("seeds", [3, pytest.param(5, marks=pytest.mark.nightly)])
def test_a_null_effect_is_covered_as_often_as_its_level_says(tmp_path: Path, seeds: int) -> None:
    rows = gap_rows(tmp_path, 0.0, 0.0, studies=200, seeds=seeds, first=1000)
    for name in ("domain_gap", "gain_equal_finetuning", "forgetting"):
        covered = int(((rows[f"{name}_low"] <= 0) & (rows[f"{name}_high"] >= 0)).sum())
        assert stats.binomtest(covered, 200, 0.95).pvalue > 0.01, (name, covered)
    words = {"suggests positive", "suggests negative"} if seeds < 5 else {"positive", "negative"}
    assert set(rows["gain_equal_finetuning_verdict"]) <= {"not distinguishable", *words}


def test_the_gap_grows_with_the_planted_amount(tmp_path: Path) -> None:
    amounts = (0.0, 0.02, 0.04, 0.06, 0.08)
    found = [gap_rows(tmp_path / str(a), a, a, studies=1, seeds=5, first=i).iloc[0] for i, a in enumerate(amounts)]
    for name in ("domain_gap", "gain_equal_finetuning"):
        assert stats.spearmanr(amounts, [row[name] for row in found]).statistic >= 0.9

"""Cells that start from an imported network: what a table can say of them, and what it must not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lidartune.report import load_study, write_report
from lidartune.report.classes import per_class_table
from lidartune.report.cost import cost_table
from lidartune.report.figures import curve_data
from lidartune.report.figures.gains import gain_data
from lidartune.report.groups import group_cells
from lidartune.report.headline import headline
from lidartune.report.learning import learning_table
from lidartune.report.settings import gap_table, matrix_table
from lidartune.report.summary import summary_table
from lidartune.report.terminal import print_tables

from .made_up_study import default_accuracy, make_study
from .test_more_tables import time_runs

UNKNOWN = ("domain_gap", "gain_equal_total", "gain_over_real_control", "gap_closed", "scratch_longer", "full_longer")


def one_checkpoint(cell: dict[str, Any], role: str, domain: str) -> Any:
    """Its own scores are the same for all seeds: 30 % at home, 20 % on real scans."""
    if cell["pretrain_epochs"] == "checkpoint" and role in ("pretrained", "start"):
        return {"synthetic": 0.3, "real": 0.2}[domain]
    return default_accuracy(cell, role, domain)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkpoint")
    return make_study(root, accuracy=one_checkpoint, pretrain_epochs=("checkpoint", 10, 0, 3))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("alone"), accuracy=one_checkpoint, pretrain_epochs=("checkpoint",))


def row_of(table: pd.DataFrame) -> pd.Series:
    (row,) = (row for _, row in table[table["pretrain_epochs"] == "checkpoint"].iterrows())
    return row


def test_it_stands_after_every_number_of_epochs(study: Path) -> None:
    results = load_study(study)
    assert [group.key[2] for group in group_cells(results)] == [0, 3, 10, "checkpoint"]
    assert group_cells(results)[-1].label.startswith("squeezesegv2, width 512, from the checkpoint, freeze none")


def test_what_needs_its_updates_is_not_there(study: Path) -> None:
    row = row_of(gap_table(load_study(study)))
    assert row["status"] == "done" and row["seeds_done"] == 3
    for measure in UNKNOWN:
        assert np.isnan(row[measure]) and row[f"{measure}_seeds"] == 0, measure
    assert row["gain_equal_total_verdict"] == "n/a"


def test_its_own_scores_are_one_network_s_and_gains_are_over_seeds(study: Path) -> None:
    row = row_of(gap_table(load_study(study)))
    for score, value in (("synthetic_to_synthetic", 0.3), ("synthetic_to_real", 0.2), ("start", 0.2)):
        assert row[score] == pytest.approx(value) and row[f"{score}_seeds"] == 1
        assert np.isnan(row[f"{score}_low"]) and np.isnan(row[f"{score}_high"])
    for difference in ("gain_equal_finetuning", "jumpstart", "forgetting"):
        assert row[f"{difference}_seeds"] == 3 and row[f"{difference}_low"] < row[difference], difference
    assert row["jumpstart"] == pytest.approx(0.2 - row["scratch_start"])
    assert row["finetuned_seeds"] == 3


def test_one_network_has_no_interval_in_the_summary_either(study: Path) -> None:
    table = summary_table(load_study(study))
    rows = table[table["pretrain_epochs"] == "checkpoint"].set_index("measure")
    assert rows.loc["synthetic_to_real", "mean"] == pytest.approx(0.2)
    assert rows.loc["synthetic_to_real", "mean_seeds"] == 1 and np.isnan(rows.loc["synthetic_to_real", "mean_low"])
    finetuned = rows.loc["finetuned"]
    assert finetuned["mean_seeds"] == 3 and finetuned["mean_low"] < finetuned["mean"]


def test_scoring_it_is_not_what_its_pretraining_took(tmp_path: Path) -> None:
    timed = make_study(tmp_path, accuracy=one_checkpoint, pretrain_epochs=("checkpoint",), curves=False)
    time_runs(timed)
    row = row_of(cost_table(load_study(timed)))
    assert np.isnan(row["hours_pretraining"]) and np.isnan(row["updates_pretraining"])
    assert row["hours_finetuning"] > 0 and row["timed_seeds"] == 3


def test_per_class_it_is_the_same(study: Path) -> None:
    table = per_class_table(load_study(study))
    rows = table[table["pretrain_epochs"] == "checkpoint"]
    assert len(rows) == 19 and (rows["synthetic_to_real_seeds"] == 1).all() and rows["domain_gap"].isna().all()
    assert (rows["gain_equal_finetuning_seeds"] == 3).all() and set(rows["negative_transfer_equal_total"]) == {""}


def test_the_matrix_shows_it_before_and_after_and_beside_nothing(study: Path) -> None:
    table = matrix_table(load_study(study))
    rows = table[table["pretrain_epochs"] == "checkpoint"].set_index(["trained_on", "scored_on"])
    assert list(rows["role"].unique()) == ["pretrained", "finetuned"] and set(rows["updates"]) == {""}
    assert rows.loc[("synthetic", "real"), "miou"] == pytest.approx(0.2)
    assert rows.loc[("synthetic", "real"), "miou_seeds"] == 1
    assert rows.loc[("synthetic then real", "real"), "miou_seeds"] == 3
    others = table[table["pretrain_epochs"] == 3]
    assert set(others["updates"]) == {(3 + 4) * 32} and (others["miou_seeds"] == 3).all()


def test_the_terminal_says_why_figures_are_absent(study: Path) -> None:
    out = io.StringIO()
    print_tables(load_study(study), Console(file=out, width=120))
    flat = " ".join(out.getvalue().split())
    assert "an imported network of unknown length, one for all seeds" in flat
    assert "over seeds of fine-tuning and of scratch, not of pretraining" in flat
    assert "nobody knows its updates" in flat
    row = next(line for line in out.getvalue().splitlines() if line.startswith("checkpoint"))
    assert row.split()[:5] == ["checkpoint", "3/3", "30.0", "20.0", "n/a"]


def test_one_sentence_of_the_headline_is_its_own(study: Path, alone: Path) -> None:
    said = headline(load_study(study))
    assert len(said) == 4 and all("pretrained for 10 epochs" in line for line in said[:3])
    only = headline(load_study(alone))
    assert len(only) == 1
    for line in (said[-1], only[0]):
        assert line.startswith("At equal fine-tuning, networks that start from the checkpoint score")


def test_its_fine_tuning_is_drawn_from_update_0_and_its_own_score_nowhere(study: Path) -> None:
    data = curve_data(load_study(study))
    mine = data[data["pretrain_epochs"] == "checkpoint"]
    assert set(mine["curve"]) == {"fine-tuning on real, scored on real"}
    assert mine["updates"].min() == 0 and mine["updates"].max() == 4 * 32
    labels = list(gain_data(gap_table(load_study(study)))["label"])
    assert labels == ["epochs 3", "epochs 10", "checkpoint"]


def test_learning_curves_are_compared_with_scratch(study: Path) -> None:
    row = row_of(learning_table(load_study(study)))
    assert row["seeds"] == 3 and np.isfinite(row["area_gain"])


@pytest.mark.parametrize("which", ["study", "alone"])
def test_the_whole_report_is_written(which: str, request: pytest.FixtureRequest) -> None:
    folder = write_report(request.getfixturevalue(which))
    assert "checkpoint" in set(pd.read_parquet(folder / "gap.parquet")["pretrain_epochs"])
    page = (folder / "index.html").read_text()
    assert "width 512, from the checkpoint" in page
    assert "checkpoint" in (folder / "gap.tex").read_text() and (folder / "figures" / "curves.svg").stat().st_size > 0

"""Effects, ranking, summary, label efficiency, forgetting, ceilings and cost: figures that are set by hand."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lidartune.report import load_study
from lidartune.report.learning import learning_table
from lidartune.report.settings import gap_table
from lidartune.report.tables import TABLES, all_tables, all_texts

from .made_up_study import commit, edit, make_study

SEED = {0: 0.0, 1: 0.010, 2: -0.010, 3: 0.004, 4: -0.004}


def flat(**by_role: float) -> Any:
    """A score for each role, the same in all seeds."""
    return lambda cell, role, domain: by_role.get(role, 0.2)


def row_of(frame: pd.DataFrame, **wanted: Any) -> pd.Series:
    chosen = frame
    for name, value in wanted.items():
        chosen = chosen[chosen[name] == value]
    assert len(chosen) == 1, (wanted, len(chosen))
    return chosen.iloc[0]


def test_every_table_has_a_text_of_as_many_columns_as_heads(finished: Path) -> None:
    results = load_study(finished)
    frames, texts = all_tables(results), all_texts(results)
    absent = {"ladder", "label_efficiency", "judged", "points", "importances"}
    assert set(frames) == {t.name for t in TABLES} - absent == set(texts)
    for name, text in texts.items():
        assert text.rows and all(len(row) == len(text.heads) for row in text.rows), name


def test_the_effect_of_a_choice_is_paired_and_everything_else_equal(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        if role != "finetuned":
            return 0.2
        # Width 1024 is worth 5 points, 3 more where nothing is frozen; seeds move both widths alike.
        wide = 0.05 + 0.03 * (cell["freeze"] == "none") if cell["width"] == 1024 else 0.0
        return 0.4 + wide + SEED[cell["seed"]] * 3 + SEED[cell["seed"]] * (cell["width"] == 1024)

    study = make_study(
        tmp_path, accuracy=accuracy, widths=(512, 1024), freezes=("none", "encoder"), labelled=(8, 16), curves=False
    )
    frame = all_tables(load_study(study))["effects"]
    row = row_of(frame, axis="width", value="1024", instead_of="512", measure="finetuned")
    half = 4.302653 * 0.01 / 3**0.5
    assert row["difference"] == pytest.approx(0.065, abs=1e-3) and row["settings"] == 4
    assert row["difference_high"] - row["difference"] == pytest.approx(half, abs=1e-3)
    assert row["verdict"] == "suggests positive" and row["difference_seeds"] == 3
    back = row_of(frame, axis="width", value="512", instead_of="1024", measure="finetuned")
    assert back["difference"] == pytest.approx(-row["difference"]) and back["verdict"] == "suggests negative"
    assert row_of(frame, axis="freeze", value="none", instead_of="encoder", measure="finetuned")[
        "difference"
    ] == pytest.approx(0.015, abs=1e-3)
    assert not len(frame[frame["axis"] == "backbone"])


def test_a_setting_whose_partner_is_not_there_takes_no_part(tmp_path: Path) -> None:
    accuracy = flat(finetuned=0.4)
    study = make_study(tmp_path, accuracy=accuracy, widths=(512, 1024), labelled=(8, 16), curves=False)
    edit(study / "plan.json", lambda plan: plan["cells"].pop())
    frame = all_tables(load_study(study))["effects"]
    row = row_of(frame, axis="width", value="1024", instead_of="512", measure="finetuned")
    assert (row["settings"], row["difference_seeds"]) == (1, 3) and row["difference"] == 0


def test_no_pretraining_is_a_value_of_its_axis_and_its_effect_is_the_gain(finished: Path) -> None:
    frames = all_tables(load_study(finished))
    row = row_of(frames["effects"], axis="pretrain_epochs", value="3", instead_of="0", measure="finetuned")
    gains = frames["gap"].loc[frames["gap"]["pretrain_epochs"] == 3, "gain_equal_finetuning"]
    assert row["settings"] == 2 and row["difference"] == pytest.approx(gains.mean())


def test_from_scratch_is_compared_with_every_freeze_policy(tmp_path: Path) -> None:
    study = make_study(tmp_path, pretrain_epochs=(0, 3), freezes=("none", "encoder"), curves=False)
    frame = all_tables(load_study(study))["effects"]
    assert row_of(frame, axis="pretrain_epochs", value="3", instead_of="0", measure="finetuned")["settings"] == 2


def ranked(tmp_path: Path, seeds: int) -> pd.DataFrame:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        best = {512: 0.40, 1024: 0.50, 2048: 0.49}[cell["width"]]
        own = np.random.default_rng([cell["width"], cell["seed"]]).normal(0, 0.006)
        return best + SEED[cell["seed"]] * 3 + own if role == "finetuned" else 0.2

    study = make_study(
        tmp_path, accuracy=accuracy, widths=(512, 1024, 2048), pretrain_epochs=(0, 3), seeds=range(seeds), curves=False
    )
    return all_tables(load_study(study))["ranking"]


@pytest.mark.parametrize(("seeds", "word"), [(3, "suggests behind"), (5, "behind")])
def test_cells_are_ranked_with_p_corrected_for_all_that_are_compared(tmp_path: Path, seeds: int, word: str) -> None:
    frame = ranked(tmp_path, seeds)
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5, 6] and frame["width"][:3].tolist() == [1024, 2048, 512]
    assert set(frame["pretrain_epochs"][3:]) == {0}  # from scratch, by its score from scratch
    assert frame["verdict"][:3].tolist() == ["first", "not distinguishable", word]
    there = frame["p"][1:]
    assert (frame["p_holm"][1:] >= there).all() and frame["p_holm"][1:].max() > there.max() * 0.99
    assert frame["p_holm"][1:].min() == pytest.approx(5 * there.min())
    assert math.isnan(frame["p"][0])


def test_each_number_of_labelled_scans_is_ranked_by_itself(tmp_path: Path) -> None:
    frame = all_tables(load_study(make_study(tmp_path, widths=(512, 1024), labelled=(8, 16), curves=False)))["ranking"]
    assert frame["rank"].tolist() == [1, 2, 1, 2] and frame["labelled_scans"].tolist() == [8, 8, 16, 16]
    assert frame["compared"].tolist() == [1] * 4


def test_the_summary_averages_within_seeds_and_has_the_interquartile_mean_beside_it(tmp_path: Path) -> None:
    gains = {256: 0.01, 512: 0.02, 1024: 0.03, 2048: 0.50}

    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return 0.2 + (gains[cell["width"]] + SEED[cell["seed"]] if role == "finetuned" else 0.0)

    study = make_study(tmp_path, accuracy=accuracy, widths=gains, seeds=range(5), curves=False)
    row = row_of(all_tables(load_study(study))["summary"], backbone="all", measure="gain_equal_finetuning")
    half = 2.776445 * np.std([*SEED.values()], ddof=1) / 5**0.5
    assert row["mean"] == pytest.approx(0.14) and row["mean_high"] - 0.14 == pytest.approx(half)
    assert row["iqm"] == pytest.approx(0.025, abs=0.004) and (row["settings"], row["mean_seeds"]) == (4, 5)
    assert row["verdict"] == "positive" and row["above_0"] >= 3


def by_scans(worth: float, finetuned: float) -> Any:
    """Scratch rises by 0.1 with each doubling; fine-tuning at 8 scans stands where scratch stands at 8 * worth."""

    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        scans = 64 if cell["labelled_scans"] == "all" or role.startswith("full") else cell["labelled_scans"]
        doublings = math.log2(scans / 8)
        if role == "finetuned":
            return finetuned if cell["labelled_scans"] != 8 else 0.2 + 0.1 * math.log2(worth) + SEED[cell["seed"]]
        return 0.2 + 0.1 * doublings if role in ("scratch", "full") else 0.1

    return accuracy


def labels(tmp_path: Path, accuracy: Any) -> pd.Series:
    study = make_study(tmp_path, accuracy=accuracy, labelled=(8, 16, 32, "all"), curves=False)
    edit(study / "manifest.json", lambda m: m.update(domains={"real": {"scans": {"train": 64}}}))
    results = load_study(study)
    assert ">64" in all_texts(results)["label_efficiency"].rows[-1][-2]
    return row_of(all_tables(results)["label_efficiency"], labelled_scans=8)


def test_how_many_labelled_scans_pretraining_is_worth(tmp_path: Path) -> None:
    row = labels(tmp_path, by_scans(3.0, 0.9))
    assert row["worth_scratch"] == pytest.approx(24, rel=0.01) and row["worth_scratch_seeds"] == 3
    ratio = math.exp(4.302653 * math.log(2) * 0.1 / 3**0.5)  # seeds move by a tenth of a doubling
    assert row["worth_scratch_high"] == pytest.approx(24 * ratio, rel=0.02)
    assert row["worth_scratch_low"] == pytest.approx(24 / ratio, rel=0.02)
    assert (row["worth_scratch_beyond"], row["worth_scratch_below"], row["worth_scratch_largest"]) == (0, 0, 64)


@pytest.mark.parametrize(("worth", "beyond", "below"), [(16.0, 3, 0), (0.5, 0, 3), (8.0, 1, 0)])
def test_what_lies_beyond_the_scans_tried_is_censored(tmp_path: Path, worth: float, beyond: int, below: int) -> None:
    row = labels(tmp_path, by_scans(worth, 0.9))
    assert (row["worth_scratch_beyond"], row["worth_scratch_below"]) == (beyond, below)
    assert math.isnan(row["worth_scratch"]) and math.isnan(row["worth_scratch_low"]) and row["worth_scratch_seeds"] == 3


def test_a_seed_is_censored_where_its_own_scans_end(tmp_path: Path) -> None:
    """Seed 1 has no score from scratch on 32 and on all scans: nobody knows that it takes more than 64."""
    study = make_study(tmp_path, accuracy=by_scans(9.0, 0.9), labelled=(8, 16, 32), curves=False)
    for run in (tmp_path / "runs").glob("*-real-n32-s1-*"):
        if "-p3-" not in run.name:
            shutil.rmtree(run)
    results = load_study(study)
    row = row_of(all_tables(results)["label_efficiency"], labelled_scans=8)
    assert (row["worth_scratch_beyond"], row["worth_scratch_largest"]) == (3, 16)
    assert all_texts(results)["label_efficiency"].rows[0][-2] == ">16"


def test_texts_leave_the_tables_as_they_are(tmp_path: Path) -> None:
    results = load_study(make_study(tmp_path, pretrain_epochs=(0,), curves=False))
    before = gap_table(results)["full_longer"]
    all_texts(results)
    assert before.isna().all() and gap_table(results)["full_longer"].isna().all()


def test_half_a_curve_is_compared_with_nothing(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    whole = learning_table(load_study(study)).iloc[0]
    run = json.loads((study / "plan.json").read_text())["cells"][1]["roles"]["finetuned"]["run"]
    (tmp_path / "runs" / run / "epoch-000004" / "metrics" / "commit.json").unlink()
    row = learning_table(load_study(study)).iloc[0]
    assert (whole["seeds"], row["seeds"], row["area_gain_seeds"]) == (3, 2, 2)


def test_forgetting_and_ceilings(tmp_path: Path) -> None:
    study = make_study(tmp_path, widths=(512, 1024), pretrain_epochs=(0, 3), curves=False)
    frames = all_tables(load_study(study))
    assert frames["forgetting"]["forgetting"].tolist() == frames["gap"]["forgetting"].dropna().tolist()
    assert frames["ceilings"]["ceiling"].tolist() == pytest.approx([0.95] * 4)
    assert frames["ceilings"]["best"].max() < 0.95 and "pretrained longer" in frames["ceilings"]["best_setting"][0]


def time_runs(study: Path, *, joules: float | None = None) -> None:
    places = {
        (role["run"], role["epoch"])
        for cell in json.loads((study / "plan.json").read_text())["cells"]
        for role in cell["roles"].values()
    }
    for run, last in places:
        for epoch in range(last + 1):
            record = {"seconds": {"train": 30.0 if epoch else 0.0, "score": 6.0}, "device": "=cmd()"}
            record |= {} if joules is None else {"energy_joules": joules}
            commit(study.parent / "runs" / run, epoch, "timing", {"timing.json": json.dumps(record).encode()})


def test_cost_counts_updates_always_and_hours_where_every_epoch_was_timed(tmp_path: Path) -> None:
    study = make_study(tmp_path, curves=False)
    row = all_tables(load_study(study))["cost"].iloc[0]
    assert (row["updates_pretraining"], row["updates_finetuning"], row["updates_total"]) == (96, 128, 224)
    assert math.isnan(row["hours_finetuning"]) and row["timed_seeds"] == 0
    time_runs(study)
    frame = all_tables(load_study(study))["cost"]
    row = frame.iloc[0]
    assert row["hours_finetuning"] == pytest.approx((4 * 36 + 6) / 3600) and row["timed_seeds"] == 3
    assert row["hours_pretraining"] == pytest.approx((3 * 36 + 6) / 3600)
    assert not any("energy" in name for name in frame.columns)
    time_runs(study, joules=3.6e6)
    assert all_tables(load_study(study))["cost"].iloc[0]["energy_kwh_finetuning"] == pytest.approx(5)


def test_an_epoch_without_its_time_leaves_hours_out_and_makes_no_smaller_sum(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    time_runs(study)
    run = json.loads((study / "plan.json").read_text())["cells"][0]["roles"]["finetuned"]["run"]
    (tmp_path / "runs" / run / "epoch-000002" / "timing" / "commit.json").unlink()
    row = all_tables(load_study(study))["cost"].iloc[0]
    assert math.isnan(row["hours_finetuning"]) and row["hours_pretraining"] > 0 and row["timed_seeds"] == 0


def test_times_stand_in_no_other_table(tmp_path: Path) -> None:
    study = make_study(tmp_path, curves=False)
    before = {name: frame for name, frame in all_tables(load_study(study)).items() if name != "cost"}
    time_runs(study)
    after = all_tables(load_study(study))
    for name, frame in before.items():
        pd.testing.assert_frame_equal(frame, after[name])

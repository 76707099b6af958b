from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lidartune.report import load_study
from lidartune.report.cells import cells_table
from lidartune.report.classes import per_class_table
from lidartune.report.csv_files import field_text, write_csv
from lidartune.report.groups import plain_reason
from lidartune.report.learning import learning_table
from lidartune.report.settings import gap_table, matrix_table

from .made_up_study import NAMES, edit, make_study

HAND = {
    ("pretrained", "synthetic"): 0.600, ("pretrained", "real"): 0.200, ("start", "real"): 0.200,
    ("start", "synthetic"): 0.600, ("finetuned", "real"): 0.450, ("finetuned", "synthetic"): 0.350,
    ("scratch_start", "real"): 0.020, ("scratch", "real"): 0.400, ("scratch_longer", "real"): 0.480,
    ("full_equal", "real"): 0.550, ("full_longer", "real"): 0.600, ("full", "real"): 0.500,
    ("real_synthetic", "synthetic"): 0.580, ("real_real", "real"): 0.430,
}  # fmt: skip
SEED = {0: 0.0, 1: 0.010, 2: -0.010}


def by_hand(cell: dict[str, Any], role: str, domain: str) -> float:
    """Round figures; fine-tuning's real score moves with the seed, the others stay."""
    moved = SEED[cell["seed"]] if (role, domain) == ("finetuned", "real") else 0.0
    return HAND.get((role, domain), 0.111) + moved


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("hand"), accuracy=by_hand, real_classes=range(1, 11))


def test_golden_row(hand: Path, tmp_path: Path) -> None:
    write_csv(gap_table(load_study(hand)), tmp_path / "gap.csv")
    (row,) = csv.DictReader((tmp_path / "gap.csv").open())
    half = 4.302653 * 0.01 / 3**0.5  # t(2) s / sqrt(3) = 0.024842
    wanted = {
        "backbone": "squeezesegv2", "width": "512", "pretrain_epochs": "3", "freeze": "none", "labelled_scans": "8",
        "seeds_planned": "3", "seeds_done": "3", "status": "done", "reason": "", "classes": "10",
        "classes_shared": "10", "synthetic_to_synthetic": "0.600000", "synthetic_to_real": "0.200000",
        "start": "0.200000", "finetuned": "0.450000", "finetuned_low": f"{0.45 - half:.6f}",
        "finetuned_high": f"{0.45 + half:.6f}", "finetuned_seeds": "3", "scratch": "0.400000",
        "scratch_longer": "0.480000", "full_longer": "0.600000", "full": "", "full_low": "", "domain_gap": "0.350000",
        "domain_gap_low": "0.350000", "gain_equal_finetuning": "0.050000",
        "gain_equal_finetuning_low": f"{0.05 - half:.6f}", "gain_equal_finetuning_high": f"{0.05 + half:.6f}",
        "gain_equal_finetuning_verdict": "suggests positive", "gain_equal_total": "-0.030000",
        "gain_equal_total_verdict": "suggests negative", "jumpstart": "0.180000", "forgetting": "0.250000",
        "gap_closed": "0.625000", "gap_closed_low": f"{0.625 - half / 0.4:.6f}", "gap_closed_scratch": "0.500000",
        "gap_closed_scratch_longer": "0.700000", "ceiling_real": "0.950000", "finetuned_pixels": "0.450000",
        "finetuned_no_vote": "0.450000", "gain_over_real_control": "0.020000",
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted


def test_the_control_is_compared_where_nothing_is_frozen(tmp_path: Path) -> None:
    study = make_study(tmp_path, accuracy=by_hand, freezes=("none", "encoder"), curves=False)
    table = gap_table(load_study(study)).set_index("freeze")
    assert table.loc["none", "gain_over_real_control"] == pytest.approx(0.02)
    assert np.isnan(table.loc["encoder", "gain_over_real_control"]) and np.isnan(table.loc["encoder", "real_real"])
    assert table.loc["encoder", "gain_equal_total"] == pytest.approx(-0.03)
    matrix = matrix_table(load_study(study))
    trained = matrix[matrix["freeze"] == "encoder"].groupby("trained_on")["freeze_of_training"].unique()
    assert {name for name, freeze in trained.items() if list(freeze) == ["encoder"]} == {"synthetic then real"}
    assert set(matrix.loc[matrix["freeze"] == "none", "freeze_of_training"]) == {"none"}


@pytest.mark.parametrize(("blocks", "there"), [(4, False), (6, True)])
def test_the_number_of_test_blocks_stands_beside_their_interval(tmp_path: Path, blocks: int, there: bool) -> None:
    row = gap_table(load_study(make_study(tmp_path, seeds=(0, 1), blocks=blocks, curves=False))).iloc[0]
    for name in ("finetuned", "gain_equal_finetuning"):
        assert row[f"{name}_test_split_blocks"] == blocks
        assert np.isfinite(row[f"{name}_test_split_low"]) == np.isfinite(row[f"{name}_test_split_high"]) == there


def test_matrix_rows_are_the_memos_settings_at_equal_total_updates(hand: Path) -> None:
    table = matrix_table(load_study(hand)).set_index(["trained_on", "scored_on"])
    wanted = {
        ("synthetic", "real"): 0.111, ("real", "real"): 0.48, ("synthetic then real", "real"): 0.45,
        ("synthetic then real", "synthetic"): 0.35, ("real then synthetic", "synthetic"): 0.58,
        ("real (all scans)", "real"): 0.60,
    }  # fmt: skip
    assert {key: pytest.approx(table.loc[key, "miou"]) for key in wanted} == wanted
    assert len(table) == 14 and set(table["updates"]) == {(3 + 4) * 32}
    assert table.loc[("synthetic", "real"), "role"] == "pretrained_longer"


def test_without_pretraining_the_matrix_has_only_real_rows(finished: Path) -> None:
    table = matrix_table(load_study(finished))
    scratch = table[table["pretrain_epochs"] == 0]
    assert set(scratch["trained_on"]) == {"real", "real (all scans)"} and scratch["miou"].notna().all()


def test_a_class_outside_the_real_test_split_is_na_and_a_harmed_class_is_flagged(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> np.ndarray:
        shares = np.full(19, 0.5) + SEED[cell["seed"]]
        if role == "finetuned" and domain == "real":
            shares[2] -= 0.2 + SEED[cell["seed"]] / 2
            shares[3] += 0.2 + SEED[cell["seed"]] / 2
        return shares

    study = make_study(tmp_path, accuracy=accuracy, real_classes=range(1, 11), curves=False)
    table = per_class_table(load_study(study)).set_index("class")
    assert table["negative_transfer_equal_finetuning"].eq("suggested").to_numpy().nonzero()[0].tolist() == [2]
    assert table.loc[3, "gain_equal_finetuning"] == pytest.approx(-0.2)
    assert table.loc[4, "negative_transfer_equal_finetuning"] == "no"
    outside = table.loc[11]
    assert (outside["in_real_test"], outside["in_synthetic_test"]) == ("no", "yes")
    assert np.isnan(outside["finetuned"]) and outside["negative_transfer_equal_finetuning"] == ""


def test_the_same_results_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    study = make_study(
        tmp_path, backbones=("squeezesegv2", "darknet21"), pretrain_epochs=(0, 3), labelled=(8, 16, "all"), blocks=1,
        curves=False,
    )  # fmt: skip

    def bytes_of(name: str) -> bytes:
        results = load_study(study)
        write_csv(gap_table(results), tmp_path / name)
        write_csv(cells_table(results), tmp_path / f"cells-{name}")
        return (tmp_path / name).read_bytes() + (tmp_path / f"cells-{name}").read_bytes()

    first = bytes_of("a.csv")
    edit(study / "plan.json", lambda plan: random.Random(4).shuffle(plan["cells"]))
    assert bytes_of("b.csv") == first
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [r["labelled_scans"] for r in rows[:3]] == ["8", "16", "all"]
    assert b"\r" not in first and str(tmp_path).encode() not in first


def test_one_seed_has_figures_and_no_intervals(tmp_path: Path) -> None:
    row = gap_table(load_study(make_study(tmp_path, seeds=(0,), curves=False))).iloc[0]
    assert row["gain_equal_finetuning"] > 0 and np.isnan(row["gain_equal_finetuning_low"])
    assert row["gain_equal_finetuning_verdict"] == "n/a" and np.isnan(row["gap_closed"])


def test_learning_curves_compare_over_the_fine_tuning_updates(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return {"scratch_start": 0.0, "scratch_longer": 0.3, "start": 0.2, "finetuned": 0.5}.get(role, 0.1)

    row = learning_table(load_study(make_study(tmp_path, accuracy=accuracy))).iloc[0]
    assert row["seeds"] == 3 and row["area_gain"] == pytest.approx(row["area_finetuned"] - row["area_scratch"])
    assert row["area_gain"] > 0.1
    assert row["updates_to_75_percent_finetuned"] == 0 and row["updates_to_100_percent_scratch"] == 4 * 32
    assert row["updates_to_100_percent_finetuned_never"] == 0


def test_a_threshold_never_reached_is_counted_and_no_number(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return {"scratch_start": 0.0, "scratch_longer": 0.5}.get(role, 0.1)

    row = learning_table(load_study(make_study(tmp_path, accuracy=accuracy))).iloc[0]
    assert row["updates_to_100_percent_finetuned_never"] == 3 and np.isnan(row["updates_to_100_percent_finetuned"])


def test_updates_saved_are_paired_over_the_seeds_that_both_reach(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        # Seed 2's fine-tuning never gets to half of its scratch score; the others start above it.
        if role in ("start", "finetuned"):
            return 0.1 if cell["seed"] == 2 else 0.5
        return {"scratch_start": 0.0, "scratch_longer": 0.4 + 0.1 * cell["seed"]}.get(role, 0.1)

    row = learning_table(load_study(make_study(tmp_path, accuracy=accuracy))).iloc[0]
    assert row["updates_to_50_percent_finetuned_never"] == 1 and row["updates_to_50_percent_scratch_never"] == 0
    assert row["updates_to_50_percent_saved_seeds"] == 2 and row["updates_to_50_percent_finetuned"] == 0
    assert row["updates_to_50_percent_saved"] == row["updates_to_50_percent_scratch"] == 64
    assert row["updates_to_50_percent_saved_low"] == 64


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_text_that_a_spreadsheet_would_run_is_text(start: str) -> None:
    assert field_text(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


def test_numbers_are_not_quoted() -> None:
    assert [field_text(v) for v in (-0.5, -1e-9, float("nan"), -3, np.float64(1 / 3))] == [
        "-0.500000", "0.000000", "", "-3", "0.333333"
    ]  # fmt: skip


def test_hostile_reasons_stay_in_their_field(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0, 1), names=["ignored", "=1+1", *NAMES[2:]], curves=False)
    cell = json.loads((study / "plan.json").read_text())["cells"][0]
    run = cell["roles"]["finetuned"]["run"]
    (tmp_path / "runs" / run / "epoch-000004" / "test" / "commit.json").unlink()
    message = f'=HYPERLINK("x"),\n"quote" at {tmp_path}/log.txt on 10.1.2.3:6379'
    edit(study / "failures.json", lambda f: f.update({run: {"kind": "failed", "message": message}}))
    write_csv(gap_table(load_study(study)), tmp_path / "gap.csv")
    (row,) = csv.DictReader((tmp_path / "gap.csv").open())
    assert row["reason"] == 'seed 0 failed: finetuned: =HYPERLINK("x"),' and row["seeds_done"] == "1"
    write_csv(per_class_table(load_study(study)), tmp_path / "per_class.csv")
    assert pd.read_csv(tmp_path / "per_class.csv")["name"][0] == "'=1+1"


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("cannot read /home/me/data/08/velodyne/000001.bin: empty", "cannot read 000001.bin: empty"),
        ("worker at 10.0.0.3:6379 died", "worker at <address> died"),
        (r"no C:\data\x.label", "no x.label"),
        ("loss nan at update 3/4\nTraceback ...", "loss nan at update 3/4"),
        ("", ""),
    ],
)
def test_reasons_lose_their_folders_and_addresses(message: str, wanted: str) -> None:
    assert plain_reason(message) == wanted

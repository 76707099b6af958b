"""The ladder's table: figures against a calculation by hand, and what is not there says so."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lidartune.report import load_study, write_report
from lidartune.report.ladder import ladder_text, rung_results

from .made_up_study import commit, edit, make_study, matrix, scores

CLASSES = range(1, 18)
RUNGS = ["none", "adabn", "prior_oracle", "raydrop_global", "self_training"]
SHARES = {  # rung -> share of right points, by seed; matrix() then has it as mIoU and as accuracy
    "none": (0.200, 0.220, 0.180),
    "adabn": (0.260, 0.275, 0.250),
    "prior_oracle": (0.210, 0.200, 0.205),
    "raydrop_global": (0.190, 0.200, 0.170),
    "self_training": (0.300, 0.330, 0.310),
}
TOP = (0.500, 0.520, 0.490)
LONGER = (0.600, 0.580, 0.610)
CONTROL = (0.230, 0.240, 0.220)


def shares(cell: dict[str, Any], role: str, domain: str) -> float:
    seed = cell["seed"]
    told = {"pretrained": SHARES["none"], "start": SHARES["none"], "synthetic_synthetic": CONTROL}
    told |= {"full_equal": TOP, "full_longer": LONGER}
    return told[role][seed] if role in told and domain == "real" else 0.4


def laddered(root: Path, *, freezes: tuple[str, ...] = ("none",), top: Any = shares) -> Path:
    """A finished study whose cells also have rungs."""
    study = make_study(root, accuracy=top, freezes=freezes, real_classes=CLASSES, curves=False)

    def climb(plan: dict[str, Any]) -> None:
        plan["ladder"] = RUNGS
        plan["ladder_excluded"] = []
        for cell in plan["cells"]:
            for rung in RUNGS:
                run = f"rung-{rung}-s{cell['seed']}-{hashlib.sha256(rung.encode()).hexdigest()[:8]}"
                epoch = {"none": 3, "raydrop_global": 3, "self_training": 4}.get(rung, 0)
                cell["roles"][f"ladder:{rung}"] = {"run": run, "epoch": epoch}
                found = {
                    "synthetic": matrix(0.4),
                    "real": matrix(SHARES[rung][cell["seed"]], CLASSES),
                }
                commit(root / "runs" / run, epoch, "test", {"scores.json": scores(epoch, found)})

    edit(study / "plan.json", climb)
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = laddered(tmp_path_factory.mktemp("results"), freezes=("none", "encoder"))
    write_report(folder)
    return folder


def rows_of(study: Path) -> dict[str, dict[str, str]]:
    rows = list(csv.DictReader((study / "report" / "ladder.csv").open()))
    assert len({row["rung"] for row in rows}) == len(rows), "once, whatever is frozen later"
    return {row["rung"]: row for row in rows}


def by_hand(values: Any) -> tuple[float, float]:
    """Mean and half width of the 95 % interval of three figures: t(2, 0.975) = 4.302653."""
    mean = sum(values) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    return mean, 4.302653 * deviation / math.sqrt(3)


@pytest.mark.parametrize("rung", RUNGS[1:])
def test_differences_are_paired_by_seed(study: Path, rung: str) -> None:
    row = rows_of(study)[rung]
    mean, half = by_hand([a - b for a, b in zip(SHARES[rung], SHARES["none"], strict=True)])
    for name in ("miou_over_none", "accuracy_over_none"):
        assert float(row[name]) == pytest.approx(mean, abs=2e-6)
        assert float(row[f"{name}_low"]) == pytest.approx(mean - half, abs=2e-6)
        assert float(row[f"{name}_high"]) == pytest.approx(mean + half, abs=2e-6)
    assert float(row["miou"]) == float(row["accuracy"]) == pytest.approx(np.mean(SHARES[rung]), abs=1e-6)
    assert row["miou_seeds"] == "3" and row["status"] == "done"


def test_the_share_of_the_gap_that_is_closed(study: Path) -> None:
    rows = rows_of(study)
    none, top, longer = np.mean(SHARES["none"]), np.mean(TOP), np.mean(LONGER)
    for rung in RUNGS[1:]:
        end = longer if rung == "self_training" else top
        wanted = (np.mean(SHARES[rung]) - none) / (end - none)
        assert float(rows[rung]["domain_gap_closed"]) == pytest.approx(wanted, abs=1e-5), "ends with equal updates"
    assert rows["none"]["domain_gap_closed"] == "" == rows["none"]["miou_over_none"]
    assert rows["real_to_real"]["domain_gap_closed"] == "" == rows["real_to_real_longer"]["domain_gap_closed"]
    assert float(rows["real_to_real"]["miou_over_none"]) == pytest.approx(top - none, abs=1e-6)
    assert float(rows["real_to_real_longer"]["miou_over_none"]) == pytest.approx(longer - none, abs=1e-6)


def test_the_longer_reference_is_for_rungs_that_train_on(tmp_path: Path) -> None:
    study = laddered(tmp_path)
    edit(study / "plan.json", lambda plan: plan.update(ladder=RUNGS[:-1]))
    write_report(study)
    assert list(rows_of(study)) == [*RUNGS[:-1], "real_to_real"]


def test_no_share_of_a_gap_that_the_data_do_not_show(tmp_path: Path) -> None:
    def no_gap(cell: dict[str, Any], role: str, domain: str) -> float:
        around = (0.35, 0.10, 0.20)[cell["seed"]]
        return around if role == "full_equal" and domain == "real" else shares(cell, role, domain)

    write_report(laddered(tmp_path, top=no_gap))
    row = rows_of(tmp_path / "demo")["adabn"]
    assert row["domain_gap_closed"] == "" and row["miou_over_none"] != ""


def test_training_on_is_also_compared_with_as_many_updates_without_real_scans(study: Path) -> None:
    rows = rows_of(study)
    mean, _ = by_hand([a - b for a, b in zip(SHARES["self_training"], CONTROL, strict=True)])
    assert float(rows["self_training"]["miou_over_control"]) == pytest.approx(mean, abs=1e-6)
    assert all(rows[rung]["miou_over_control"] == "" for rung in RUNGS[:-1])


def test_what_reads_real_labels_is_marked_everywhere(study: Path) -> None:
    marked = {rung for rung, row in rows_of(study).items() if row["reads_real_labels"] == "yes"}
    assert marked == {"prior_oracle", "real_to_real", "real_to_real_longer"}
    shown = {row[0] for row in ladder_text(load_study(study), sentences=False)[0].rows}
    assert {name for name in shown if name.endswith("(labels)")} == {f"{rung} (labels)" for rung in marked}


def test_it_is_on_the_page_in_markdown_latex_and_the_terminal(study: Path) -> None:
    report = study / "report"
    page, text = ((report / name).read_text() for name in ("index.html", "report.md"))
    for said in ("statistics of real training scans, estimated in one pass", "adabn", "The ladder"):
        assert said in page and said in text, said
    assert "adabn" in (report / "ladder.tex").read_text()
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    write_report(study, console=console)
    shown = console.export_text()
    assert "The ladder" in shown and "estimated in one pass" not in shown
    assert max(len(line) for line in shown.splitlines() if "adabn" in line) <= 120


def test_rungs_that_are_left_out_failed_or_are_missing_say_so(tmp_path: Path) -> None:
    study = laddered(tmp_path)
    plan = json.loads((study / "plan.json").read_text())
    run = plan["cells"][0]["roles"]["ladder:raydrop_global"]["run"]
    (tmp_path / "runs" / run / "epoch-000003" / "test" / "commit.json").unlink()
    lost = plan["cells"][1]["roles"]["ladder:adabn"]["run"]
    (tmp_path / "runs" / lost / "epoch-000000" / "test" / "commit.json").unlink()
    failed: dict[str, Any] = {"kind": "failed", "message": "the loss became nan in /home/x/y", "log": None}
    edit(study / "failures.json", lambda failures: failures.update({run: failed}))

    def leave_out(plan: dict[str, Any]) -> None:
        reason = "a batch of one scan has no place for both domains"
        plan["ladder_excluded"] = [{"backbone": "squeezesegv2", "rung": "self_training", "reason": reason}]
        for cell in plan["cells"]:
            del cell["roles"]["ladder:self_training"]

    edit(study / "plan.json", leave_out)
    write_report(study)
    rows = rows_of(study)
    assert (rows["self_training"]["status"], rows["self_training"]["miou"]) == ("left out", "")
    assert "no place for both" in rows["self_training"]["reason"]
    assert rows["raydrop_global"]["status"] == "failed" and rows["raydrop_global"]["miou_seeds"] == "2"
    assert rows["raydrop_global"]["reason"] == "seed 0 failed: the loss became nan in y"
    assert rows["adabn"]["status"] == "missing"
    assert "seed 1 missing: test of epoch 0 not there" in rows["adabn"]["reason"]
    notes = " ".join(ladder_text(load_study(study), sentences=False)[0].notes)
    for said in ("self_training of squeezesegv2: left out, a batch", "raydrop_global: seed 0 failed", "adabn: seed 1"):
        assert said in notes
    cells = list(csv.DictReader((study / "report" / "cells.csv").open()))
    assert {cell["status"] for cell in cells} == {"done"}, "a rung that failed makes no cell fail"


def test_a_study_without_a_ladder_has_no_table_of_it(finished: Path, tmp_path: Path) -> None:
    assert rung_results(load_study(finished)) == []
    study = laddered(tmp_path)
    write_report(study)
    assert (study / "report" / "ladder.csv").exists()
    strip: Callable[[dict[str, Any]], None] = lambda plan: plan.pop("ladder")  # noqa: E731
    edit(study / "plan.json", strip)
    write_report(study)
    assert not {"ladder.csv", "ladder.tex"} & {path.name for path in (study / "report").iterdir()}
    assert "The ladder" not in (study / "report" / "report.md").read_text()

"""`lidartune report A B`: made-up studies side by side."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from lidartune.cli import lidartune
from lidartune.errors import UserError

from .made_up_study import default_accuracy, edit, make_study

WIDE = {"widths": (512, 1024), "pretrain_epochs": (0, 3)}


def report(*arguments: object) -> Result:
    return CliRunner().invoke(lidartune, ["report", *map(str, arguments)], terminal_width=120)


def rows(folder: Path, name: str = "compare") -> list[dict[str, str]]:
    return list(csv.DictReader((folder / f"{name}.csv").read_text("utf-8").splitlines()))


def of(found: list[dict[str, str]], measure: str, **key: object) -> dict[str, str]:
    (row,) = [r for r in found if r["measure"] == measure and all(r[k] == str(v) for k, v in key.items())]
    return row


def better(cell: dict[str, Any], role: str, domain: str) -> Any:
    """As the default, but what is fine-tuned scores 5 points more on real."""
    return default_accuracy(cell, role, domain) + (0.05 if (role, domain) == ("finetuned", "real") else 0)


def describe(study: Path, **values: Any) -> None:
    """A study.yaml and a manifest as a driver leaves them."""
    recipe = {"name": study.name, "domains": {"real": {"root": f"/secret/{study.name}", "taxonomy": "semantic-kitti"}}}
    (study / "study.yaml").write_text(yaml.safe_dump(recipe | {"recipe": {"learning_rate": 0.01} | values}))
    data = {"taxonomy_digest": "d" * 64, "scans": {"train": 48}}
    domains = {d: data | {"root": f"/secret/{study.name}", "test_fingerprint": "f" * 64} for d in ("synthetic", "real")}
    edit(study / "manifest.json", lambda m: m.update(lidartune="0.1.0", semantics=1, domains=domains))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """B fine-tunes 5 points better; only A has width 1024."""
    root = tmp_path_factory.mktemp("pair")
    a = make_study(root / "a", name="first", curves=False, **WIDE)
    b = make_study(root / "b", name="second", curves=False, pretrain_epochs=(0, 3), accuracy=better)
    describe(a)
    describe(b, learning_rate=0.03)
    return a, b


@pytest.fixture(scope="module")
def compared(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("out")
    done = report(*pair, "-o", out)
    assert done.exit_code == 0, done.output
    return done, out


def test_a_study_beside_itself_is_identical(finished: Path, tmp_path: Path) -> None:
    done = report(finished, finished, "-o", tmp_path)
    assert "Identical: every figure is the same in both" in done.output
    found = [r for r in rows(tmp_path) if r["difference"]]
    assert len(found) == 2 * (8 + 1)  # without pretraining there is scratch alone
    ends = [(r["difference"], r["difference_low"], r["difference_high"]) for r in found]
    assert set(ends) == {("0.000000",) * 3} and {r["paired"] for r in found} == {"yes"}
    assert not rows(tmp_path, "compare_differences")


def test_a_planted_difference_is_found_paired_by_seed(compared: tuple[Result, Path]) -> None:
    done, out = compared
    found = rows(out)
    key = {"width": 512, "pretrain_epochs": 3}
    tuned, gain = of(found, "finetuned", **key), of(found, "gain_equal_finetuning", **key)
    for row in (tuned, gain):
        # The made-up noise is the same in both: what is left of it is rounding to points.
        assert float(row["difference"]) == pytest.approx(0.05, abs=1e-4)
        assert float(row["difference_low"]) == pytest.approx(0.05, abs=1e-3)
        assert (row["paired"], row["difference_seeds"], row["verdict"]) == ("yes", "3", "suggests positive")
    assert float(tuned["other"]) - float(tuned["first"]) == pytest.approx(float(tuned["difference"]), abs=2e-6)
    for measure in ("scratch", "synthetic_to_real", "domain_gap", "jumpstart", "forgetting"):
        assert float(of(found, measure, **key)["difference"]) == 0
    assert "Fine-tuned mIoU: 5.0 points higher in B than in A, over 1 setting (95 % interval" in done.output
    overall = of(rows(out, "compare_overall"), "gain_equal_total")
    assert (overall["settings"], overall["settings_matched"]) == ("1", "1")


def test_what_only_one_has_is_named_and_never_0(compared: tuple[Result, Path]) -> None:
    done, out = compared
    only = [r for r in rows(out) if r["in"] == "only A"]
    assert {r["width"] for r in only} == {"1024"} and {r["difference"] for r in only} == {""}
    assert {r["other"] for r in only} == {""} and any(r["first"] for r in only)
    assert "Only A has 2 settings: squeezesegv2, width 1024" in " ".join(done.output.split())
    scratch = [r for r in rows(out) if r["pretrain_epochs"] == "0" and r["measure"] == "finetuned"]
    assert all(r["difference"] == r["first"] == "" for r in scratch)


def test_what_differs_is_listed_without_places(compared: tuple[Result, Path]) -> None:
    done, out = compared
    assert [(r["what"], r["first"], r["other"]) for r in rows(out, "compare_differences")] == [
        ("recipe.learning_rate", "0.01", "0.03")
    ]
    for file in out.iterdir():
        assert b"secret" not in file.read_bytes(), file.name
    assert "other real test scans" not in done.output


def test_every_form_holds_the_same_figures(compared: tuple[Result, Path]) -> None:
    _, out = compared
    frame = pd.read_parquet(out / "compare.parquet")
    assert np.allclose(frame["difference"], pd.read_csv(out / "compare.csv")["difference"], atol=1e-6, equal_nan=True)
    tuned = of(rows(out), "finetuned", width=512, pretrain_epochs=3)
    shown = f"{100 * float(tuned['difference']):+.1f} ±"
    for name in ("compare.md", "compare.html"):
        assert shown in (out / name).read_text("utf-8")
    assert shown.replace("±", r"$\pm$") in (out / "compare.tex").read_text("utf-8")
    assert r"\toprule" in (out / "compare_overall.tex").read_text("utf-8")


def test_without_shared_seeds_means_are_compared_and_it_says_so(tmp_path: Path) -> None:
    a = make_study(tmp_path / "a", seeds=(0, 1, 2), curves=False)
    b = make_study(tmp_path / "b", seeds=(5, 6, 7, 8), curves=False, accuracy=better)
    done = report(a, b, "-o", tmp_path / "out")
    row = of(rows(tmp_path / "out"), "finetuned")
    assert (row["paired"], row["first_seeds"], row["other_seeds"]) == ("no", "3", "4")
    assert float(row["difference_low"]) < 0.05 < float(row["difference_high"])
    assert "3, 4 apart" in done.output and "(Welch)" in done.output
    overall = of(rows(tmp_path / "out", "compare_overall"), "finetuned")
    assert overall["difference"] == row["difference"] and overall["difference_low"] == ""
    assert "no interval" in done.output


def test_one_shared_seed_of_several_does_not_stand_for_them_all(tmp_path: Path) -> None:
    a = make_study(tmp_path / "a", seeds=(0, 1, 2), curves=False)
    b = make_study(tmp_path / "b", seeds=(2, 3, 4), curves=False, accuracy=better)
    report(a, b, "-o", tmp_path / "out")
    row, overall = of(rows(tmp_path / "out"), "finetuned"), of(rows(tmp_path / "out", "compare_overall"), "finetuned")
    assert row["paired"] == "no" and overall["difference"] == row["difference"] and overall["difference_low"] == ""


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    a = make_study(tmp_path / "a", seeds=(0,), curves=False)
    b = make_study(tmp_path / "b", seeds=(0,), curves=False, accuracy=better)
    report(a, b, "-o", tmp_path / "out")
    row = of(rows(tmp_path / "out"), "finetuned")
    assert float(row["difference"]) == pytest.approx(0.05, abs=1e-3)
    assert row["difference_low"] == "" and row["verdict"] == "n/a"


def test_other_class_sets_are_compared_over_what_both_hold(tmp_path: Path) -> None:
    def by_class(cell: dict[str, Any], role: str, domain: str) -> Any:
        return np.where(np.arange(1, 20) <= 10, 0.5, 0.1)  # classes 11 and up are hard

    a = make_study(tmp_path / "a", real_classes=range(1, 20), curves=False, accuracy=by_class)
    b = make_study(tmp_path / "b", real_classes=range(1, 11), curves=False, accuracy=by_class)
    done = report(a, b, "-o", tmp_path / "out")
    row = of(rows(tmp_path / "out"), "finetuned")
    assert (row["first"], row["other"], row["difference"]) == ("0.500000", "0.500000", "0.000000")
    text = " ".join(done.output.split())
    assert "The real test splits of A and B do not hold the same classes: means are over the 10 that both hold" in text
    assert "in A only: class-11, class-12" in text
    assert "scored on other real test scans, by the points of each class" in text
    assert "Identical" in done.output or "0.0 points" in done.output


def test_no_common_class_is_no_figure(tmp_path: Path) -> None:
    a = make_study(tmp_path / "a", real_classes=range(1, 5), curves=False)
    b = make_study(tmp_path / "b", real_classes=range(6, 9), curves=False)
    done = report(a, b, "-o", tmp_path / "out")
    assert "no class in common: no figure on real is compared" in " ".join(done.output.split())
    assert of(rows(tmp_path / "out"), "finetuned")["difference"] == ""
    assert of(rows(tmp_path / "out"), "forgetting")["difference"] != ""  # on synthetic


def test_it_warns_where_a_comparison_is_not_sound(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = (Path(shutil.copytree(p.parent, tmp_path / p.name)) / p.name for p in pair)

    def other(manifest: dict[str, Any]) -> None:
        manifest["domains"]["real"] |= {"test_fingerprint": "e" * 64, "taxonomy_digest": "c" * 64}
        manifest["semantics"] = 2

    edit(b / "manifest.json", other)
    edit(b / "plan.json", lambda plan: plan.update(updates_per_epoch=64))
    text = " ".join(report(a, b, "-o", tmp_path / "out").output.split())
    for said in (
        "A and B are scored on other real test scans",
        "The real label maps differ",
        "updates per epoch is 32 in A, 64 in B",
        "give other results for the same recipe",
    ):
        assert said in text
    assert "other synthetic test scans" not in text
    listed = {r["what"]: (r["first"], r["other"]) for r in rows(tmp_path / "out", "compare_differences")}
    assert listed["data.real.test_fingerprint"] == ("f" * 12, "e" * 12)


def test_failed_and_missing_cells_say_why(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = (Path(shutil.copytree(p.parent, tmp_path / p.name)) / p.name for p in pair)
    plan = json.loads((b / "plan.json").read_text())
    tuned = {c["seed"]: c["roles"]["finetuned"]["run"] for c in plan["cells"] if "finetuned" in c["roles"]}
    for run in tuned.values():
        shutil.rmtree(b.parent / "runs" / run)
    edit(b / "failures.json", lambda f: f.update({tuned[0]: {"kind": "failed", "message": "the loss is nan"}}))
    done = report(a, b, "-o", tmp_path / "out")
    row = of(rows(tmp_path / "out"), "finetuned", width=512, pretrain_epochs=3)
    assert row["difference"] == row["other"] == "" and row["first"] and row["other_seeds"] == "0"
    assert "B: seed 0 failed: finetuned: the loss is nan" in row["reason"]
    assert "Not whole: B: seed 0 failed" in done.output
    assert of(rows(tmp_path / "out"), "scratch", width=512, pretrain_epochs=3)["difference"] == "0.000000"


def test_three_studies_are_laid_beside_the_first(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = pair
    done = report(a, b, a, "-o", tmp_path)
    assert {(r["study"], r["minus"]) for r in rows(tmp_path)} == {("B", "A"), ("C", "A")}
    assert "B is second, A is first" in done.output and "C is first, A is first" in done.output
    assert "Identical" in done.output


def test_by_default_it_lies_in_the_first_study_s_report(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = (Path(shutil.copytree(p.parent, tmp_path / p.name)) / p.name for p in pair)
    done = report(a, b)
    assert done.output.rstrip().endswith(str(Path("report") / "compare" / "compare.html"))
    assert (a / "report" / "compare" / "compare.csv").exists() and not (b / "report").exists()


def test_a_foreign_or_broken_folder_is_one_message(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    broken = Path(shutil.copytree(pair[1], tmp_path / "broken"))
    (broken / "plan.json").write_text('{"schema": 1, "cells": [7]')
    for folder, said in ((tmp_path / "empty", "not the folder of a study"), (broken, "plan cannot be read")):
        done = report(pair[0], folder, "-o", tmp_path / "out")
        assert isinstance(done.exception, UserError) and said in str(done.exception)
    for wrong in (["--table", "gap"], []):
        done = report(pair[0], *([pair[1], *wrong] if wrong else ["-o", tmp_path / "out"]))
        assert isinstance(done.exception, UserError)
    assert not (tmp_path / "out").exists()
    # Files beside the plan that are no such thing are left out.
    b = Path(shutil.copytree(pair[1].parent, tmp_path / "b")) / "second"
    (b / "study.yaml").write_text("a: [}")
    (b / "manifest.json").write_text("[" * 100_000)
    assert report(pair[0], b, "-o", tmp_path / "out").exit_code == 0


def test_hostile_names_are_escaped_in_every_form(tmp_path: Path) -> None:
    bad = "=cmd()<script>alert(1)</script>\\input{x}\x1b[2J|../../x"
    names = ["ignored", bad, *(f"class-{n}" for n in range(2, 20))]
    a = make_study(tmp_path / "a", backbones=("x",), names=names, curves=False)
    b = make_study(tmp_path / "b", backbones=("x",), names=names, real_classes=range(2, 20), curves=False)
    for study in (a, b):
        for cell_of in ("backbone", "freeze"):
            edit(study / "plan.json", lambda plan, k=cell_of: [cell.update({k: bad}) for cell in plan["cells"]])
        edit(study / "plan.json", lambda plan: plan.update(study=bad))
        (study / "study.yaml").write_text(yaml.safe_dump({"recipe": {bad: study.parent.name}}))
    done = report(a, b, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    read = {file.name: file.read_text("utf-8") for file in (tmp_path / "out").glob("*.[cmth]*")}
    assert "\x1b" not in "".join(read.values())
    assert "<script>alert" not in read["compare.html"] and "<script>" not in read["compare.md"]
    for name in ("compare.tex", "compare_overall.tex", "compare_differences.tex"):
        assert not any("\\input" in line for line in read[name].splitlines() if not line.startswith("%"))
    for name in ("compare.csv", "compare_differences.csv"):
        for row in csv.reader(read[name].splitlines()):
            assert not any(field.startswith(("=", "+", "@", "\t")) for field in row)
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b", "out"}

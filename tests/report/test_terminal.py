from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lidartune.report import load_study
from lidartune.report.headline import headline
from lidartune.report.terminal import print_tables

from .made_up_study import edit, make_study


def printed(study: Path, width: int = 120) -> str:
    out = io.StringIO()
    print_tables(load_study(study), Console(file=out, width=width))
    return out.getvalue()


def test_what_is_printed_says_what_its_figures_are(finished: Path) -> None:
    text = printed(finished)
    flat = " ".join(text.split())
    for words in ("mIoU in percent, on points, whole test split, last epoch, mean over 3 seeds",
                  "half width of the 95 % t interval", "17 classes in the real test split",
                  "Throughout: backbone squeezesegv2, freeze none, labelled real scans 8."):  # fmt: skip
        assert words in flat
    rows = [line for line in text.splitlines() if re.match(r"(512|1024)\s", line)]
    assert len(rows) == 8 and all("3/3" in row for row in rows[:4])
    assert re.search(r"[+-]\d+\.\d ±\d+\.\d", rows[1])


@pytest.fixture(scope="module")
def wide_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 settings with every part of the key varying."""
    return make_study(
        tmp_path_factory.mktemp("wide"), backbones=("squeezesegv2", "darknet53"), widths=(512, 2048),
        pretrain_epochs=(10, 150), freezes=("none", "backbone"), labelled=(1000, "all"), seeds=(0, 1), curves=False,
        blocks=1,
    )  # fmt: skip


@pytest.mark.parametrize("width", [60, 120])
def test_a_full_study_fits_120_columns_and_no_figure_is_ever_cut(wide_study: Path, width: int) -> None:
    text = printed(wide_study, width)
    assert "…" not in text
    rows = [line for line in text.splitlines() if re.match(r"(512|2048)\s", line)]
    assert len(rows) == 2 * 32 and max(map(len, text.splitlines())) <= 120
    assert all(len(row.split()) >= 4 + 10 for row in rows)


def test_cells_that_are_not_there_say_why(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0, 1), widths=(512, 1024), curves=False)
    for run in (tmp_path / "runs").glob("squeezesegv2-1024-p3*"):
        (run / "epoch-000004" / "test" / "commit.json").unlink(missing_ok=True)
        failure = {"kind": "failed", "message": "out of [red]memory[/red]"}
        edit(study / "failures.json", lambda f, run=run, failure=failure: f.update({run.name: failure}))
    text = printed(study)
    assert "2 cells failed: finetuned: out of [red]memory[/red]" in text
    row = next(line for line in text.splitlines() if line.startswith("1024"))
    assert "0/2 failed" in row and "n/a" in row


def shifted(gain: float, spread: float) -> Callable[[dict[str, Any], str, str], float]:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        moved = gain + spread * (cell["seed"] - 1) if role == "finetuned" else 0.0
        return {"full_equal": 0.5, "pretrained": 0.2, "start": 0.2}.get(role, 0.4) + moved

    return accuracy


@pytest.mark.parametrize(
    ("gain", "spread", "says"),
    [
        (0.05, 0.005, r"score 5\.0 points higher than networks .* interval \+3\.8 to \+6\.2, 3 seeds\)"),
        (-0.05, 0.005, r"score 5\.0 points lower than networks .* interval -6\.2 to -3\.8, 3 seeds\)"),
        (0.05, 0.05, r"points higher .* interval -7\.4 to \+17\.4: not distinguishable from no difference at 3 seeds"),
    ],
)
def test_the_headline_says_what_the_interval_says(tmp_path: Path, gain: float, spread: float, says: str) -> None:
    lines = headline(load_study(make_study(tmp_path, accuracy=shifted(gain, spread), curves=False)))
    assert len(lines) == 3 and re.search(says, lines[1])
    assert "30.0 points below" in lines[0] and lines[2].startswith("At equal total updates, ")


def test_the_headline_over_settings_counts_what_each_says_by_itself(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return shifted({512: 0.05, 1024: -0.05}[cell["width"]], 0.005)(cell, role, domain)

    line = headline(load_study(make_study(tmp_path, accuracy=accuracy, widths=(512, 1024), curves=False)))[1]
    assert "on average over 2 settings" in line
    assert "above 0 in 1, below 0 in 1 of 2 settings" in line


def test_the_headline_speaks_of_the_longest_pretraining(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return shifted({3: -0.05, 10: 0.05}[cell["pretrain_epochs"]], 0.005)(cell, role, domain)

    study = make_study(tmp_path, accuracy=accuracy, pretrain_epochs=(3, 10), curves=False)
    line = headline(load_study(study))[1]
    assert "pretrained for 10 epochs score 5.0 points higher" in line


def test_the_headline_without_figures(tmp_path: Path) -> None:
    study = make_study(tmp_path, pretrain_epochs=(0,), curves=False)
    assert all("n/a" in line for line in headline(load_study(study)))


def test_one_seed_says_that_it_has_no_interval(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    assert all("(no interval: 1 seed)" in line for line in headline(load_study(study)))


def test_notes_of_the_manifest_are_printed(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    edit(study / "manifest.json", lambda m: m.update(notes=["Two kinds of CPU took part."]))
    text = printed(study)
    assert "Two kinds of CPU took part." in text

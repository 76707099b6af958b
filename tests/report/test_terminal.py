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
from lidartune.report.texts import caption, matrix_text

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
    assert max(map(len, text.splitlines())) <= 120
    # What does not fit goes on below under the same names: the figures of a row are never fewer than its columns.
    tables = [table.split("Throughout")[0] for table in text.split("Transfer gap: ")[1:]]
    assert [table.split("\n")[0].strip() for table in tables] == [
        f"{backbone}{more}" for backbone in ("darknet53", "squeezesegv2") for more in ("", ", continued")
    ]
    assert len(rows) == 4 * 32 and all(len(row.split()) >= 4 + 2 for row in rows)


def test_a_table_that_fits_is_not_folded(finished: Path) -> None:
    assert "continued" not in printed(finished)


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
    assert "30.0 points below" in lines[0] and "interval 30.0 to 30.0 below, 3 seeds" in lines[0]
    assert lines[2].startswith("At equal total updates, ")


def test_the_headline_over_settings_counts_what_each_says_by_itself(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return shifted({512: 0.05, 1024: -0.05}[cell["width"]], 0.005)(cell, role, domain)

    line = headline(load_study(make_study(tmp_path, accuracy=accuracy, widths=(512, 1024), curves=False)))[1]
    assert "on average over 2 settings" in line
    assert "above 0 in 1, below 0 in 1 of 2 settings" in line


@pytest.mark.parametrize(
    ("zero_shot", "spread", "says"),
    [
        (0.45, 0.01, r"5\.0 points below networks .* \(95 % interval 2\.5 to 7\.5 below, 3 seeds\)"),
        (0.55, 0.01, r"5\.0 points above networks .* \(95 % interval 2\.5 to 7\.5 above, 3 seeds\)"),
        (0.49, 0.01, r"1\.0 points below networks .* \(95 % interval 1\.5 above to 3\.5 below: not .* 3 seeds\)"),
    ],
)
def test_the_domain_gaps_interval_has_no_sign_against_its_words(
    tmp_path: Path, zero_shot: float, spread: float, says: str
) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return {"full_equal": 0.5, "pretrained": zero_shot + spread * (cell["seed"] - 1)}.get(role, 0.4)

    line = headline(load_study(make_study(tmp_path, accuracy=accuracy, curves=False)))[0]
    assert re.search(says, line)


def test_settings_that_differ_after_pretraining_only_are_one_domain_gap(tmp_path: Path) -> None:
    study = make_study(
        tmp_path, accuracy=shifted(0.05, 0.005), freezes=("none", "encoder"), labelled=(4, 8), curves=False
    )  # fmt: skip
    # The first of the four settings lacks a seed; another has all three.
    edit(study / "plan.json", lambda plan: plan["cells"].pop(0))
    lines = headline(load_study(study))
    assert lines[0].startswith("Zero-shot, networks") and "3 seeds" in lines[0]
    assert "on average over 3 of 4 settings" in lines[1] and "3 seeds" in lines[1], "as in the summary table"


@pytest.mark.parametrize(
    ("gains", "apart"),
    [
        # With opposite signs, one of them beyond chance: each has its say.
        ({"darknet21": (-0.017, 0.001), "squeezesegv2": (0.006, 0.01)},
         r": darknet21 1\.7 points lower \(-1\.9 to -1\.5\), squeezesegv2 0\.6 points higher \(-1\.9 to \+3\.1\)\.$"),
        ({"darknet21": (-0.017, 0.05), "squeezesegv2": (0.006, 0.01)}, r"2 settings\)\.$"),  # may both be chance
        ({"darknet21": (0.017, 0.001), "squeezesegv2": (0.006, 0.01)}, r"2 settings\)\.$"),  # the same sign
    ],
)  # fmt: skip
def test_backbones_that_pooling_would_hide(tmp_path: Path, gains: dict[str, tuple[float, float]], apart: str) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        return shifted(*gains[cell["backbone"]])(cell, role, domain)

    lines = headline(load_study(make_study(tmp_path, accuracy=accuracy, backbones=gains, curves=False)))
    assert re.search(apart, lines[1]) and lines[0].endswith("2 settings).")


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


def test_a_spread_of_a_test_split_is_not_called_whole(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)

    def tested(real: dict[str, int], synthetic: dict[str, int]) -> str:
        domains = {"real": {"scans": real}, "synthetic": {"scans": synthetic}}
        edit(study / "manifest.json", lambda manifest: manifest.update(domains=domains))
        return caption(load_study(study))[0]

    whole = "on points, whole test split, last epoch"
    assert whole in tested({"test": 24}, {"test": 24})  # not known: as studies were before
    assert whole in tested({"test": 24, "test_available": 24}, {"test": 9, "test_available": 9})
    part = {"test": 500, "test_available": 4071}
    assert "on points, on the whole synthetic test split and 500 of 4,071 real test scans, last epoch" in tested(
        part, {"test": 24, "test_available": 24}
    )
    assert "on 20 of 20,000 synthetic test scans and 500 of 4,071 real test scans" in tested(
        part, {"test": 20, "test_available": 20_000}
    )


def test_controls_stand_in_the_rows_with_nothing_frozen(tmp_path: Path) -> None:
    study = make_study(tmp_path, freezes=("none", "encoder"), curves=False)
    table = matrix_text(load_study(study))
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.heads[0] == "freeze" and list(rows["encoder"][6:12]) == ["–"] * 6
    assert not {"–", "n/a"} & set(rows["none"]) and not {"–", "n/a"} & set(rows["encoder"][:6] + rows["encoder"][12:])
    note = "S,S and R,R and R,S are trained with nothing frozen and stand in "
    assert table.notes[-1] == note + "the rows of freeze none only."
    # A search may have drawn no such row: the figures are then kept, with a note.
    edit(study / "plan.json", lambda plan: plan.update(cells=[c for c in plan["cells"] if c["freeze"] != "none"]))
    table = matrix_text(load_study(study))
    assert not {"–", "n/a"} & set(table.rows[0])
    assert table.notes[-1] == note + "other rows where there is no row of freeze none only."


def test_equal_updates_are_not_called_equal_schedules(finished: Path) -> None:
    assert "Equal total: equal updates, not equal schedules" in " ".join(printed(finished).split())

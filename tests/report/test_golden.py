"""The tables of a kept study are what they were, byte for byte; what differs is a change of a definition."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from lidartune.report import load_study
from lidartune.report.exports import write_tables

from .golden import FOLDER, tables, unpack


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def found(study: Path) -> dict[str, str]:
    return tables(study)


def test_every_table_is_kept(found: dict[str, str]) -> None:
    assert {p.name for p in FOLDER.glob("*.csv")} == set(found)
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) < 300 * 1024


@pytest.mark.parametrize("name", sorted(p.name for p in FOLDER.glob("*.csv")))
def test_tables_are_the_kept_ones_byte_for_byte(found: dict[str, str], name: str) -> None:
    assert found[name] == (FOLDER / name).read_text("utf-8")


def test_the_files_of_a_report_are_the_same(study: Path, tmp_path: Path) -> None:
    write_tables(load_study(study), tmp_path)
    for kept in FOLDER.glob("*.csv"):
        assert (tmp_path / kept.name).read_bytes() == kept.read_bytes()


def test_what_is_not_there_is_empty_and_never_0(found: dict[str, str]) -> None:
    rows = list(csv.DictReader(io.StringIO(found["gap.csv"])))
    unfinished = [row for row in rows if row["status"] != "done"]
    assert {row["status"] for row in unfinished} == {"failed", "missing"}
    assert {row["finetuned_seeds"] for row in unfinished} == {"2"} and {row["scratch_seeds"] for row in rows} == {"3"}
    scratch = [row for row in rows if row["pretrain_epochs"] == "0"]
    assert all(row["finetuned"] == row["domain_gap"] == row["gap_closed_low"] == "" for row in scratch)
    cells = list(csv.DictReader(io.StringIO(found["cells.csv"])))
    assert sum(row["finetuned"] == "" for row in cells) == 2 + sum(row["pretrain_epochs"] == "0" for row in cells)

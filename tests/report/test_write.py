from __future__ import annotations

import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from lidartune.errors import UserError
from lidartune.report import figures, write_report

from .made_up_study import NAMES, edit, make_study

HOSTILE = "<script>alert(1)</script>|`x`"


class Page(HTMLParser):
    """Counts elements and collects what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.fetched: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attributes:
            if name in ("src", "href", "xlink:href") and not str(value).startswith(("data:", "#")):
                self.fetched.append(str(value))
            if name.startswith("on"):
                self.handlers.append(name)


def parse(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_the_report_of_a_finished_study(finished: Path) -> None:
    out = io.StringIO()
    folder = write_report(finished, console=Console(file=out, width=120))
    assert folder == finished / "report"
    for name in ("gap.csv", "cells.csv", "matrix.csv", "per_class.csv", "learning.csv", "report.md", "index.html",
        "figures/curves.svg", "figures/gain.png", "gap.parquet", "gap.tex", "matrix.tex"):  # fmt: skip
        assert (folder / name).stat().st_size > 500, name
    assert len(list((folder / "figures").glob("scan-*-gain-*.png"))) == 6
    assert len(pd.read_csv(folder / "gap.csv")) == 4 and len(pd.read_csv(folder / "cells.csv")) == 12
    assert len(pd.read_csv(folder / "per_class.csv")) == 4 * 19
    assert "Transfer gap" in out.getvalue()
    text = (folder / "report.md").read_text()
    assert "| width |" in text and "At equal fine-tuning" in text


def test_latex_and_parquet_hold_the_same_rows(finished: Path) -> None:
    folder = write_report(finished)
    tex = (folder / "gap.tex").read_text()
    assert tex.count(r" \\") == 5 and r"$\pm$" in tex and "%" not in tex.split("tabular}")[1].replace(r"\%", "")
    assert len(pd.read_parquet(folder / "gap.parquet")) == 4


def test_the_page_is_whole_and_fetches_nothing(finished: Path) -> None:
    page = parse(write_report(finished) / "index.html")
    assert page.fetched == [] and page.handlers == []
    assert page.tags["svg"] >= 6 and page.tags["script"] == 2 and page.tags["img"] >= 3 and page.tags["table"] >= 3


def test_a_second_report_is_the_same_whatever_processes_draw_it(finished: Path) -> None:
    first, second = (
        {path.name: path.read_bytes() for path in write_report(finished, processes=n).rglob("*") if path.is_file()}
        for n in (1, 2)
    )
    assert first == second


def test_what_cannot_be_drawn_in_another_process_is_one_message_too(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(figure: object, stem: Path) -> Path:
        raise OSError(28, "No space left on device", str(stem))

    monkeypatch.setattr(figures, "save", full)  # forks have it too
    with pytest.raises(UserError, match=r"cannot be written[^$]*curves[^$]*No space left"):
        write_report(finished, processes=2)


def test_a_report_loads_nothing_that_trains(finished: Path) -> None:
    code = (
        "import sys; from lidartune.report import write_report; from pathlib import Path\n"
        "write_report(Path(sys.argv[1])); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(finished)], capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "optuna", "numba", "pydantic"} & set(done.stdout.split())


def test_hostile_names_are_text(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0, 1), names=["ignored", HOSTILE, *NAMES[2:]], name="demo")
    edit(study / "plan.json", lambda p: p.update(study=HOSTILE))
    edit(study / "plan.json", lambda p: [c.update(backbone=HOSTILE) for c in p["cells"]])
    excluded = [{"cell": {"freeze": HOSTILE}, "reason": HOSTILE}]
    edit(study / "plan.json", lambda p: p.update(excluded=excluded))
    edit(study / "manifest.json", lambda m: m.update(notes=[HOSTILE]))
    run = next((tmp_path / "runs").glob("*-p3-*real-n8-s0-*"))
    (run / "epoch-000004" / "test" / "commit.json").unlink()
    edit(
        study / "failures.json", lambda f: f.update({run.name: {"kind": "failed", "message": HOSTILE, "log": HOSTILE}})
    )
    folder = write_report(study, console=Console(file=io.StringIO()))
    page = parse(folder / "index.html")
    assert page.tags["script"] == 2  # its own and its data
    html = (folder / "index.html").read_text()
    in_data = html.count("\\u003cscript>alert(1)\\u003c/script>")
    assert html.count("alert(1)") == html.count("&lt;script&gt;alert(1)&lt;/script&gt;") + in_data and in_data >= 2
    markdown = (folder / "report.md").read_text()
    assert "<script>" not in markdown
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables[:3]} == {len(re.findall(r"(?<!\\)\|", tables[0]))}


@pytest.mark.parametrize("keep", [0, 20])
def test_an_unfinished_study_reports_what_it_has(tmp_path: Path, keep: int) -> None:
    study = make_study(tmp_path)
    (study / "manifest.json").unlink()
    for commit_file in sorted((tmp_path / "runs").rglob("commit.json"))[keep:]:
        commit_file.unlink()
    out = io.StringIO()
    folder = write_report(study, console=Console(file=out, width=120))
    assert "3 cells missing" in out.getvalue() or "cells missing: " in out.getvalue()
    assert "missing" in (folder / "report.md").read_text()
    table = pd.read_csv(folder / "gap.csv")
    assert table["status"][0] == "missing" and pd.isna(table["gain_equal_finetuning"][0])
    assert "Figures that this study has no data for" in (folder / "index.html").read_text()


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    (study / "report").write_text("a file is in the way")
    with pytest.raises(UserError, match="the report cannot be written") as caught:
        write_report(study)
    assert str(study / "report") in str(caught.value)
    (study / "report").unlink()
    (study / "report" / "index.html").mkdir(parents=True)
    with pytest.raises(UserError, match="index.html"):
        write_report(study)


def test_what_cannot_be_read_as_a_study_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="not the folder of a study"):
        write_report(tmp_path / "file")
    (tmp_path / "study" / "plan.json").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be read"):
        write_report(tmp_path / "study")


def test_gap_closed_and_jumpstart_have_their_intervals_in_every_form(finished: Path) -> None:
    out = io.StringIO()
    folder = write_report(finished, console=Console(file=out, width=120))
    files = [(folder / name).read_text() for name in ("index.html", "gap.tex", "report.md")]
    for text in (out.getvalue(), *files):
        bare = re.sub(r"<[^>]+>", " ", text.replace(r"$\pm$", "±")).replace("\\", "")
        assert len(re.findall(r"\d+% \[-?\d+, -?\d+\][ |&]+\+\d+\.\d ±\d+\.\d", bare)) == 2

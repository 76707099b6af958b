"""`lidartune check` as a person uses it: tables, JSON, the page, errors, an interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from lidartune.cli.check import check
from lidartune.errors import UserError
from lidartune.scans import built_in_taxonomies
from lidartune.streetworld import WorldFolder
from lidartune.survey import canvases, findings, texts
from lidartune.survey.overview import common_axes, histograms

from .made_up import looked_at, ray_scan, run_check, write_dataset, write_scan

BOTH = ("--taxonomy", "synlidar", "--taxonomy", "semantic-kitti")


def checked_json(*arguments: object) -> dict[str, Any]:
    result = run_check(*arguments, "--json", "-")
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_two_domains_side_by_side(tiny_world: WorldFolder) -> None:
    result = run_check(tiny_world.synthetic, tiny_world.real, *BOTH, "--processes", 1)
    assert result.return_value == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 100
    row = {line.split("   ")[0].strip(): line for line in lines}
    assert row["beams"].split()[1:3] == ["16", "16"]
    assert "1.80 m" in row["mounting height"] and "1.73 m" in row["mounting height"]
    assert "Nothing is wrong." in lines
    text = " ".join(result.output.split())
    assert "What differs, the largest first" in text and "of the labelled points would have to change class" in text
    assert "Read 16 of 16 scans" in text


def test_json_alone_on_standard_output(tiny_world: WorldFolder) -> None:
    result = run_check(tiny_world.real, "--taxonomy", "semantic-kitti", "--json", "-", "--processes", 1)
    assert json.loads(result.stdout)["faulty"] is False
    assert "Nothing is wrong." in result.stderr


def test_json_is_the_same_for_any_number_of_processes(tiny_world: WorldFolder, tmp_path: Path) -> None:
    for processes in (1, 2):
        out = tmp_path / f"{processes}"
        run_check(tiny_world.real, "--taxonomy", "semantic-kitti", "--processes", processes, "--json", out)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_the_keys_of_the_json_stay(tiny_world: WorldFolder) -> None:
    document = checked_json(tiny_world.synthetic, tiny_world.real, *BOTH, "--processes", 1, "--widths", "128")
    assert document["format"] == 1
    assert list(document) == [
        "format", "faulty", "datasets", "differences", "not_compared", "classes_in_one_only", "widths",
        "widths_advice",
    ]  # fmt: skip
    real = document["datasets"][1]
    assert list(real) == [
        "name", "root", "taxonomy", "faulty", "files", "read", "splits", "sequences", "sensor", "classes", "raw_ids",
        "range_m", "elevation_deg", "remission", "findings",
    ]  # fmt: skip
    assert list(real["sensor"]) == [
        "order", "beams", "columns", "up_deg", "down_deg", "top_deg", "bottom_deg", "height_m", "azimuth_deg",
        "returns", "remission", "points_of_a_ring", "canvas_edges_deg", "canvas_width",
    ]  # fmt: skip
    assert list(real["sensor"]["beams"]) == ["value", "how", "low", "high", "agree"]
    assert list(real["read"]) == [
        "scans", "empty_scans", "labelled_scans", "points", "labelled_points", "usable_points", "nan_points",
        "infinite_points", "origin_points", "far_points", "odd_remissions",
    ]  # fmt: skip
    assert list(real["range_m"]) == ["mean", "quantiles", "from", "step", "counts"]
    assert sum(real["range_m"]["counts"]) == sum(c for _, c in real["remission"]["counts"]) == real["read"]["points"]
    assert sum(real["elevation_deg"]["counts"]) == real["read"]["points"]
    assert sum(c["points"] for c in real["classes"]) == sum(c["points"] for c in real["raw_ids"])
    assert real["files"]["bytes"] == sum(
        path.stat().st_size for path in (Path(real["root"]) / "sequences").rglob("*.*") if path.is_file()
    )
    assert list(document["widths"]) == ["synthetic", "real"]
    assert document["widths"]["real"][0]["verdict"] == "suits" and real["sensor"]["canvas_width"] == 288
    assert any("measure 256 too" in line for line in document["widths_advice"])
    assert real["classes"][0]["share"] is None and real["classes"][0]["share_of_all"] is not None
    assert sum(c["share"] or 0 for c in real["classes"]) == pytest.approx(1)
    assert real["splits"]["train"]["absent"] == [4, 5, 6, 7, 9, 10]


def test_splits_of_the_taxonomy(tmp_path: Path) -> None:
    root = write_dataset(tmp_path, (0, 1, 8, 99))
    document = checked_json(root, "--taxonomy", "semantic-kitti", "--processes", 1)
    splits = document["datasets"][0]["splits"]
    assert {name: s["sequences"] for name, s in splits.items()} == {
        "train": ["00", "01"], "valid": ["08"], "no split": ["99"],
    }  # fmt: skip
    assert splits["train"]["scans"] == splits["train"]["with_labels"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--taxonomy semantic-kitti"),
        (("--taxonomy", "a", "--taxonomy", "b"), "2 for 1 folder"),
        (("--taxonomy", "nothing-like-it"), "no such taxonomy"),
        (("--taxonomy", "semantic-kitti", "--widths", "512;1024"), "such as 512,1024,2048"),
        (("--taxonomy", "semantic-kitti", "--height", "64"), "add --widths"),
        (("--taxonomy", "semantic-kitti", "--widths", "64", "--widths-figure", "w.pdf"), ".svg or .png"),
        (("--taxonomy", "semantic-kitti", "--html", "/proc/page.html"), "cannot be written"),
        (("--taxonomy", "semantic-kitti", "--json", "/"), "cannot be written"),
    ],
)
def test_a_wrong_command_is_one_message(tiny_world: WorldFolder, arguments: tuple[str, ...], said: str) -> None:
    result = run_check(tiny_world.real, *arguments)
    assert isinstance(result.exception, UserError) and said in str(result.exception)
    assert result.output == ""


def test_three_folders_or_one_that_is_not_there(tiny_world: WorldFolder, tmp_path: Path) -> None:
    for folders in ([tiny_world.real] * 3, [tmp_path / "nothing"]):
        result = run_check(*folders, "--taxonomy", "semantic-kitti")
        assert isinstance(result.exception, UserError)


def test_one_taxonomy_serves_two_folders_of_the_same_name(tmp_path: Path) -> None:
    first, second = (write_dataset(tmp_path / side / "data", (0,)) for side in ("a", "b"))
    document = checked_json(first, second, "--taxonomy", "semantic-kitti", "--processes", 1)
    assert [d["name"] for d in document["datasets"]] == ["a/data", "b/data"]
    assert document["differences"] == []


def test_long_names_and_large_numbers_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [write_dataset(tmp_path / f"{side}-dataset-with-a-name-of-far-too-many-letters", (0,)) for side in "ab"]
    result = run_check(*folders, "--taxonomy", "semantic-kitti", "--processes", 1)
    lines = [line for line in result.output.splitlines() if not line.startswith("    ")]
    assert max(map(len, lines)) <= 100 and "…" not in result.output
    rows = [[f"{n:02d}", "–", "45,000", "45,000", "124,668", "56,000.1", "9", "0.3"] for n in range(13)]
    monkeypatch.setattr(texts, "sequences", lambda survey: rows)
    output = run_check(folders[0], "--taxonomy", "semantic-kitti", "--processes", 1).output
    assert output.count("56,000.1") == 13 and max(map(len, output.splitlines())) <= 100


def test_widths_use_the_sensor_that_was_found_or_the_one_given(tiny_world: WorldFolder, tmp_path: Path) -> None:
    figure = tmp_path / "widths.svg"
    arguments = (tiny_world.synthetic, "--taxonomy", "synlidar", "--processes", 1, "--widths", "256,128")
    result = run_check(*arguments, "--widths-figure", figure)
    text = " ".join(result.output.split())
    assert "8 scans, 16 rows from +3 to -25 degrees: as many rows as beams" in text
    assert "256" in text and figure.read_text().lstrip().startswith("<?xml")
    result = run_check(*arguments, "--height", 8, "--fov-up", 5, "--fov-down", -30)
    assert "8 rows from +5 to -30 degrees: as given" in " ".join(result.output.split())


def test_two_folders_are_measured_on_one_canvas(tmp_path: Path) -> None:
    few = write_dataset(tmp_path / "few", (0,), beams=8, up_deg=0.0, down_deg=-14.0)
    many = write_dataset(tmp_path / "many", (0,), beams=16, up_deg=15.0, down_deg=-15.0)
    arguments = (few, many, "--taxonomy", "semantic-kitti", "--processes", 1, "--widths", "304")
    text = " ".join(run_check(*arguments).output.split())
    said = "2 scans, 16 rows from +16 to -16 degrees: one canvas for both"
    assert f"few: measured on {said}" in text and f"many: measured on {said}" in text
    text = " ".join(run_check(*arguments, "--height", 20, "--fov-up", 20).output.split())
    assert text.count("20 rows from +20 to -16 degrees: one canvas for both") == 2


def test_widths_need_one_good_scan_however_many_are_faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "KEPT", 2)
    points, ids = ray_scan()
    root = write_dataset(tmp_path, (0,), scans=6)
    for name in range(5):
        write_scan(root, 0, name, ray_scan(seed=50 + name)[0], np.full_like(ids, 77))
    result = run_check(root, "--taxonomy", "semantic-kitti", "--processes", 1, "--widths", "300")
    assert "measured on 1 scan, 16 rows" in " ".join(result.output.split())


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_no_digit_is_cut_off_on_a_narrow_terminal(
    tiny_world: WorldFolder, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["lidartune.cli.check"], "console", lambda: Console(width=columns))
    rows = [[f"{n:02d}", "–", "4,541", "4,541", "124,668", "56,000.1", "9", "0.3"] for n in range(13)]
    with monkeypatch.context() as patch:
        patch.setattr(texts, "sequences", lambda survey: rows)
        output = run_check(tiny_world.real, "--taxonomy", "semantic-kitti", "--processes", 1).output
    assert (output.count(" 4,541 "), output.count(" 56,000.1")) == (26, 13)
    both = (tiny_world.synthetic, tiny_world.real, *BOTH, "--processes", 1, "--widths", "128,256")
    result = run_check(*both)
    lines = result.output.splitlines()
    assert "…" not in result.output
    assert columns == 60 or max(map(len, lines)) <= columns
    bars = [line for line in lines if "points from" in line]
    assert len(bars) == 3  # the bars stand in one line


def test_a_terminal_of_ascii_gets_ascii(tiny_world: WorldFolder) -> None:
    command = [sys.executable, "-c", "from lidartune.cli import run; from lidartune.cli.check import check; run(check)"]
    done = subprocess.run(
        [*command, str(tiny_world.real), "--taxonomy", "semantic-kitti", "--processes", "1"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert b"Nothing is wrong." in done.stdout and b"@" in done.stdout and b"?" not in done.stdout


def test_help_names_every_taxonomy() -> None:
    text = "".join(CliRunner().invoke(check, ["--help"]).output.split())
    assert f"Required:itslabelids:{','.join(built_in_taxonomies())},oraYAMLfile" in text


def test_folders_that_cannot_be_compared(tiny_world: WorldFolder, tmp_path: Path) -> None:
    same = run_check(tiny_world.real, tiny_world.real / ".", "--taxonomy", "semantic-kitti")
    assert isinstance(same.exception, UserError) and "the same folder twice" in str(same.exception)
    (tmp_path / "a.bin").write_bytes(b"")
    file = run_check(tmp_path / "a.bin", "--taxonomy", "semantic-kitti")
    assert isinstance(file.exception, UserError) and "this is a file" in str(file.exception)
    assert texts.short_names([Path("/tmp"), Path("/var/tmp")]) == ["/tmp", "var/tmp"]


def test_shares_and_their_ratio_are_named(tiny_world: WorldFolder) -> None:
    text = run_check(tiny_world.synthetic, tiny_world.real, *BOTH, "--processes", 1).output
    assert "Class shares, of the labelled points without the ignored ones" in text
    assert "ratio = first / second" in " ".join(text.split())
    shares = texts.class_shares(looked_at(tiny_world.real))
    assert sum(share for name, share in shares.items() if "of all points" not in name) == pytest.approx(1)


def test_the_elevation_draws_no_comb(tmp_path: Path) -> None:
    survey = looked_at(write_dataset(tmp_path, (0,), beams=16, up_deg=10.0, down_deg=-20.0))
    _, elevation, _ = histograms(survey, common_axes([survey]), (50, 20, 50))
    inner = elevation[3:-3]
    assert inner.max() < 1.1 * inner.min()  # every beam has as many points


def test_widths_leave_out_scans_with_unknown_ids(tmp_path: Path) -> None:
    points, ids = ray_scan()
    root = write_dataset(tmp_path, (0,), scans=3)
    ids[0] = 77
    write_scan(root, 0, 1, points, ids)
    result = run_check(root, "--taxonomy", "semantic-kitti", "--processes", 1, "--widths", "300")
    assert result.return_value == 1
    assert "measured on 2 scans, 16 rows" in " ".join(result.output.split())


def test_an_unknown_sensor_falls_back_to_the_usual_canvas(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32) * 9
    write_scan(tmp_path, 0, 0, points, np.repeat([40, 50], 1500))
    result = run_check(tmp_path, "--taxonomy", "semantic-kitti", "--processes", 1, "--widths", "300")
    assert "64 rows from +3 to -25 degrees: the usual HDL-64 canvas" in " ".join(result.output.split())


def test_without_labels_all_but_classes_and_widths_is_there(tmp_path: Path) -> None:
    write_scan(tmp_path / "data", 11, 0, ray_scan()[0], None)
    page = tmp_path / "page.html"
    arguments = ("--taxonomy", "semantic-kitti", "--processes", 1, "--widths", "300", "--html", page)
    result = run_check(tmp_path / "data", *arguments, "--widths-figure", tmp_path / "w.svg")
    assert result.return_value == 0 and not (tmp_path / "w.svg").exists()
    assert "data: canvas widths were not measured: no labelled scan" in " ".join(result.output.split())
    assert "Class shares" not in result.output + page.read_text()


def test_widths_are_numbers() -> None:
    assert canvases.parse_widths(" 512, 2048,1024,512") == [512, 1024, 2048]
    for text in ("", "512,", "0", "5.5", "-1", "1e3", "99999999"):
        with pytest.raises(UserError):
            canvases.parse_widths(text)


class Page(HTMLParser):
    """Counts elements and collects what would be fetched."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attributes:
            if name in ("src", "href", "xlink:href") and not str(value).startswith(("data:", "#")):
                self.fetched.append(str(value))


def test_the_page_is_whole_and_fetches_nothing(tiny_world: WorldFolder, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "page.html"
    run_check(tiny_world.synthetic, tiny_world.real, *BOTH, "--processes", 1, "--html", path, "--widths", "128,256")
    page = Page(path)
    assert page.fetched == [] and page.tags["svg"] == 3 and page.tags["script"] == 1 and page.tags["table"] >= 7
    text = path.read_text()
    assert "default-src 'none'" in text and "mathdefault" not in text
    for said in ("What differs", "No fault was found", "Class shares", "Canvas widths", "Raw label ids of real",
                 "ceiling: the true classes", "fill: pixels", "too narrow"):
        assert said in text
    assert list(path.parent.iterdir()) == [path]


def test_names_from_files_are_shown_as_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    root = write_dataset(tmp_path / "<b>data</b>", (0,))
    (root / "sequences/00/labels" / f"{hostile.replace('/', '')}.label").write_bytes(b"")
    source = Path(__file__).parents[2] / "lidartune" / "scans" / "taxonomies" / "semantic-kitti.yaml"
    taxonomy = tmp_path / "own.yaml"
    taxonomy.write_text(source.read_text().replace('"lane-marking"', f'"{hostile} [bold]x"'))
    page = tmp_path / "page.html"
    result = run_check(root, "--taxonomy", taxonomy, "--processes", 1, "--html", page)
    assert result.return_value == 1
    assert Page(page).tags["script"] == 1 and Page(page).tags.get("b", 0) == 0
    assert "<script>alert(1)<script>.label" in result.output  # and not taken for the terminal's own marks


def test_an_interrupt_leaves_nothing_half_done(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data", (0,), scans=2)
    for part, suffix in (("velodyne", "bin"), ("labels", "label")):
        folder = root / "sequences" / "00" / part
        for name in range(2, 3000):
            os.link(folder / f"000000.{suffix}", folder / f"{name:06d}.{suffix}")
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            from lidartune.cli import run
            from lidartune.cli.check import check
            from lidartune.survey import survey

            if __name__ == "__main__":
                def first_then_stop(self, scan, result, real=survey._Repeated.add):
                    real(self, scan, result)
                    if scan.name == "000020":
                        print("begun", flush=True)
                survey._Repeated.add = first_then_stop
                run(check)
            """
        )
    )
    json_file, page = tmp_path / "out.json", tmp_path / "page.html"
    command = [sys.executable, str(script), str(root), "--taxonomy", "semantic-kitti", "--processes", "2"]
    started = subprocess.Popen(
        [*command, "--json", str(json_file), "--html", str(page)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert started.stdout is not None and started.stdout.readline() == b"begun\n"
    os.killpg(started.pid, signal.SIGINT)
    output, errors = started.communicate(timeout=60)
    assert started.returncode == 130, errors
    assert b"Traceback" not in errors and b"points read" not in output
    assert not json_file.exists() and not page.exists()

"""A folder with every kind of fault: each is found and named, and the rest is counted all the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from lidartune.streetworld import WorldFolder
from lidartune.survey import texts
from lidartune.survey.findings import KEPT, KINDS, Finding, Findings
from lidartune.survey.sensor import mean_range_m, mean_remission
from lidartune.survey.survey import Survey

from .made_up import ROAD, looked_at, ray_scan, run_check, write_dataset, write_scan


def found(survey: Survey, kind: str) -> list[Finding]:
    return [finding for finding in survey.findings if finding.kind == kind]


def only(survey: Survey, kind: str) -> Finding:
    """The one finding of this kind, and of all kinds but the notes on splits."""
    others = {f.kind for f in survey.findings} - {"no-split"}
    assert others == {kind}
    (finding,) = found(survey, kind)
    return finding


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sequences 00 and 08 with two whole scans each."""
    return write_dataset(tmp_path / "data")


def test_a_whole_dataset_has_no_fault(root: Path) -> None:
    survey = looked_at(root)
    assert not survey.faulty
    assert survey.findings == []
    assert texts.splits(survey)[0][:2] == ["train", "0, without 1-7, 9, 10"]  # in its table, not among the findings


def test_a_cut_file_of_points(root: Path) -> None:
    path = root / "sequences/00/velodyne/000001.bin"
    path.write_bytes(path.read_bytes()[:-3])
    survey = looked_at(root)
    finding = only(survey, "points-size")
    assert finding.count == 1 and finding.first[0]["path"] == str(path)
    assert finding.first[0]["found"] == "76,797 bytes, 13 too many"
    assert survey.faulty and survey.tally.scans == 3


def test_cut_and_short_label_files(root: Path) -> None:
    cut, short = (root / f"sequences/00/labels/{name}.label" for name in ("000000", "000001"))
    cut.write_bytes(cut.read_bytes()[:-1])
    short.write_bytes(short.read_bytes()[:-8])
    survey = looked_at(root)
    assert [f.first[0] for f in survey.findings if f.wrong] == [
        {"path": str(cut), "found": "19,199 bytes, 3 too many"},
        {"path": str(short), "found": "4,798 labels for 4,800 points"},
    ]
    assert (survey.tally.scans, survey.tally.labelled_scans) == (4, 2)  # their points are counted


def test_missing_and_extra_labels(root: Path) -> None:
    labels = root / "sequences/00/labels"
    (labels / "000001.label").rename(labels / "000007.label")
    survey = looked_at(root)
    (missing,), (extra,) = found(survey, "missing-labels"), found(survey, "extra-labels")
    assert missing.first[0]["path"].endswith("00/velodyne/000001.bin")
    assert extra.first[0]["path"].endswith("00/labels/000007.label")
    assert survey.sequences[0].files.labels == 1


def test_a_sequence_without_labels_is_one_finding_and_none_where_the_split_says_test(root: Path) -> None:
    shutil.rmtree(root / "sequences/08/labels")
    write_scan(root, 11, 0, ray_scan(seed=5)[0], None)
    survey = looked_at(root)
    finding = only(survey, "unlabelled-sequence")
    assert (finding.count, finding.first[0]["path"]) == (1, str(root / "sequences/08"))


def test_an_empty_sequence_and_an_empty_scan(root: Path) -> None:
    (root / "sequences/02").mkdir()
    write_scan(root, 0, 5, np.zeros((0, 4)), np.zeros(0, np.uint32))
    survey = looked_at(root)
    assert found(survey, "empty-sequence")[0].first[0]["found"] == "no velodyne folder"
    assert found(survey, "empty-scan")[0].count == 1
    assert survey.tally.scans == 5 and survey.tally.empty_scans == 1
    assert survey.sensor.returns.number == 1.0  # the empty scan does not count as rays that got lost


def test_unknown_ids_with_their_counts_and_files(root: Path) -> None:
    for name, count in (("000000", 7), ("000001", 5)):
        path = root / f"sequences/08/labels/{name}.label"
        ids = np.fromfile(path, "<u4")
        ids[:count] = 77
        ids[-1] = 0xFFFF0000 + ROAD  # an instance number is no unknown id
        ids.astype("<u4").tofile(path)
    survey = looked_at(root)
    finding = only(survey, "unknown-id")
    assert (finding.detail, finding.count, finding.points) == ("id 77 (12 points)", 2, 12)
    assert finding.first[0] == {"path": str(root / "sequences/08/labels/000000.label"), "found": "7 points"}
    assert survey.tally.raw_ids[77] == 12
    assert survey.class_points.sum() == survey.tally.labelled_points - 12


def test_nan_infinite_and_origin_points(root: Path) -> None:
    points, ids = ray_scan()
    points[3, 0], points[4, 3], points[5:8, :3] = np.nan, np.inf, 0
    write_scan(root, 0, 0, points, ids)
    survey = looked_at(root)
    counts = {kind: found(survey, kind)[0].points for kind in ("nan", "infinite", "origin")}
    assert counts == {"nan": 1, "infinite": 1, "origin": 3}
    assert found(survey, "nan")[0].wrong and not found(survey, "origin")[0].wrong


def test_scans_that_stand_twice(root: Path) -> None:
    for part, suffix in (("velodyne", "bin"), ("labels", "label")):
        shutil.copy(root / f"sequences/00/{part}/000000.{suffix}", root / f"sequences/08/{part}/000009.{suffix}")
    points, ids = ray_scan()
    points[4500, 0] += 0.01  # the same first 4,096 points, but not the same scan
    write_scan(root, 0, 9, points, ids)
    survey = looked_at(root)
    finding = only(survey, "split-leak")
    assert finding.count == 1 and survey.faulty  # trained on, and validated on
    assert finding.first[0]["path"].endswith("08/velodyne/000009.bin")
    assert finding.first[0]["found"].startswith("in valid; in train: ")
    assert finding.first[0]["found"].endswith("00/velodyne/000000.bin")


def test_every_scan_that_stands_twice_in_one_split_is_counted_and_no_fault(tmp_path: Path) -> None:
    root = write_dataset(tmp_path, (0,), scans=1)
    points, labels = root / "sequences/00/velodyne", root / "sequences/00/labels"
    for name in range(1, 1102):
        os.link(points / "000000.bin", points / f"{name:06d}.bin")
        os.link(labels / "000000.label", labels / f"{name:06d}.label")
    survey = looked_at(root)
    assert only(survey, "same-scan").count == 1101 and not survey.faulty


def test_points_and_remission_that_cannot_be(root: Path) -> None:
    whole = looked_at(root)
    points, ids = ray_scan(seed=0)
    points[10, 0], points[11, 3], points[12, 3] = 1e30, 1e20, -4
    write_scan(root, 0, 0, points, ids)
    survey = looked_at(root)
    far, odd = found(survey, "far")[0], found(survey, "odd-remission")[0]
    assert (far.points, odd.points) == (1, 2) and far.wrong and odd.wrong
    assert far.first[0]["path"].endswith("00/velodyne/000000.bin")
    assert mean_range_m(survey.tally) == pytest.approx(mean_range_m(whole.tally), rel=0.01)
    assert mean_remission(survey.tally) == pytest.approx(mean_remission(whole.tally), rel=0.01)
    assert survey.sensor.remission.value == "steps of 0.01"
    result = run_check(root, "--taxonomy", "semantic-kitti", "--processes", 1)
    assert result.return_value == 1 and "scans with points beyond 2,000 m: 1 (1 point)" in result.output
    assert "negative or above 65,535: 1 (2 points)" in result.output


def test_a_dataset_without_any_labels_is_a_note(root: Path) -> None:
    for sequence in ("00", "08"):
        shutil.rmtree(root / f"sequences/{sequence}/labels")
    result = run_check(root, "--taxonomy", "semantic-kitti", "--processes", 1)
    assert result.return_value == 0
    assert "note: datasets without labels: 1" in result.output and "Nothing is wrong." in result.output


def test_files_that_cannot_be_read(root: Path) -> None:
    velodyne = root / "sequences/00/velodyne"
    (velodyne / "000003.bin").mkdir()
    (velodyne / "000004.bin").symlink_to(velodyne / "nowhere.bin")
    survey = looked_at(root)
    finding = only(survey, "unreadable")
    assert [Path(f["path"]).name for f in finding.first] == ["000003.bin", "000004.bin"]
    assert survey.tally.scans == 4


def test_a_file_that_goes_while_it_is_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lidartune.survey import survey as module

    def take_and_lose(dataset, findings):  # type: ignore[no-untyped-def]
        found = take_inventory(dataset, findings)
        (root / "sequences/00/velodyne/000000.bin").unlink()
        (root / "sequences/08/labels/000001.label").write_bytes(b"1234")
        return found

    take_inventory = module.take_inventory
    monkeypatch.setattr(module, "take_inventory", take_and_lose)
    survey = looked_at(root)
    first, second = only(survey, "unreadable").first
    assert first["path"].endswith("000000.bin") and "no such file" in first["found"]
    assert second["path"].endswith("000001.label") and "changed while" in second["found"]
    assert (survey.tally.scans, survey.tally.labelled_scans) == (3, 2)


def test_a_few_scans_of_each_sequence_but_all_sizes(root: Path) -> None:
    for sequence in (0, 8):
        for name in range(2, 9):
            write_scan(root, sequence, name, *ray_scan(seed=1000 + 100 * sequence + name))
    path = root / "sequences/08/velodyne/000005.bin"
    path.write_bytes(path.read_bytes()[:-1])
    survey = looked_at(root, scans=3)
    assert survey.tally.scans == 6
    assert sum(s.files.files for s in survey.sequences) == 18
    assert only(survey, "points-size").first[0]["path"] == str(path)


def test_the_command_says_what_is_wrong_and_goes_on(root: Path) -> None:
    path = root / "sequences/00/velodyne/000001.bin"
    path.write_bytes(path.read_bytes()[:-3])
    write_scan(root, 8, 5, *ray_scan(seed=5))
    (root / "sequences/08/labels/000005.label").unlink()
    result = run_check(root, "--taxonomy", "semantic-kitti", "--processes", 1)
    assert result.return_value == 1
    text = result.output
    for kind in ("points-size", "missing-labels"):
        assert f"wrong: {KINDS[kind].what}: 1" in text and f"next: {KINDS[kind].do}" in text
    assert str(path) in text and "76,797 bytes" in text
    assert "2 kinds of fault" in text
    # three of the four scans and the one without labels
    assert ["points", "read", "19,200"] in [line.split() for line in text.splitlines()]


def test_findings_keep_the_first_files_and_count_the_rest() -> None:
    findings = Findings()
    for number in range(KEPT + 50):
        findings.add("missing-labels", f"{number}")
    findings.add("nan", "a", points=2)
    findings.add("nan", "b", points=9)
    missing, nan = findings.sorted()
    assert (missing.count, len(missing.first), missing.first[-1]["path"]) == (KEPT + 50, KEPT, str(KEPT - 1))
    assert (nan.count, nan.points) == (2, 11)


def test_the_wrong_taxonomy_does_not_fill_the_terminal(root: Path) -> None:
    path = root / "sequences/08/labels/000000.label"
    ids = np.fromfile(path, "<u4")
    ids[:60] = 1000 + np.arange(60) // 2
    ids[0] = 1029  # the commonest is named first
    ids.tofile(path)
    result = run_check(root, "--taxonomy", "semantic-kitti", "--processes", 1)
    lines = [line for line in result.output.splitlines() if "does not know" in line]
    assert len(lines) == 1 and result.output.count("next:") == 1 and "1 kind of fault" in result.output
    assert "id 1029 (3 points), id 1001 (2 points)" in lines[0]
    assert "and 25 other ids; in 1 scan (60 points)" in lines[0]
    assert any(line.split()[:6] == ["unknown", "ids,", "of", "all", "points", "0.31"]
               for line in result.output.splitlines())  # fmt: skip


def test_the_taxonomy_that_knows_every_id_is_named(tiny_world: WorldFolder) -> None:
    result = run_check(tiny_world.synthetic, "--taxonomy", "semantic-kitti", "--processes", 1)
    assert "next: take --taxonomy synlidar or synlidar-cosmix: every id is known there" in result.output
    assert result.output.count("next:") == 1

"""`lidartune taxonomy`: what a person sees of label maps and label shift."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lidartune.cli.taxonomy import taxonomy as command
from lidartune.errors import UserError
from lidartune.scans import CLASS_NAMES, built_in_taxonomies, load_taxonomy


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def cells(text: str, name: str) -> list[str]:
    """The row of a table in which a cell holds this."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return next(row for row in rows if len(row) > 2 and name in row)


def test_tables_are_as_light_as_those_of_the_other_commands() -> None:
    for text in (printed(), printed("synlidar"), printed("synlidar", "semantic-kitti")):
        lines = text.splitlines()
        assert set(lines[1].strip()) == {"─"} and lines[0].strip() and lines[2].strip()
        assert not set(text) & set("┏┃┡│├└")


def test_without_names_the_built_in_ones_are_listed() -> None:
    for name in built_in_taxonomies():
        assert load_taxonomy(name).digest[:12] == cells(printed(), name)[3]
    assert cells(printed(), "semantic-kitti-moving")[1] == "25"
    listed = json.loads(printed("--json"))
    assert {row["name"]: row["digest"] for row in listed} == {n: load_taxonomy(n).digest for n in built_in_taxonomies()}


def test_one_name_shows_every_id() -> None:
    text = printed("synlidar")
    assert cells(text, "pick-up") == ["2", "pick-up", "4", "truck", "0.4417 %"]
    assert f"synlidar: 19 classes, digest {load_taxonomy('synlidar').digest}" in text
    assert len([line for line in text.splitlines() if re.match(r" +\d+ ", line)]) == 33
    shown = json.loads(printed("synlidar-cosmix", "--json"))
    assert {row["id"]: row["ignored"] for row in shown["ids"]}[2] is True and shown["num_classes"] == 20


def test_two_names_show_the_label_shift_and_say_what_matters() -> None:
    text = printed("synlidar", "semantic-kitti")
    assert cells(text, "motorcyclist") == ["motorcyclist", "0.7949 %", "0.0039 %", "206"]
    flat = " ".join(text.split())
    assert "total variation 0.314, Jensen-Shannon 0.117 bit" in flat
    assert "More common in synlidar than in semantic-kitti: motorcyclist (206 times)" in flat
    record = json.loads(printed("synlidar", "semantic-kitti", "--json"))
    assert [row["name"] for row in record["classes"]] == list(CLASS_NAMES[1:])
    assert record["total_variation"] == pytest.approx(0.3138, abs=1e-4) and "motorcyclist" in record["in_words"]


def config(path: Path, shares: dict[int, float], **changes: object) -> str:
    values = {
        "labels": {0: "[red]none", 1: "a " * 40 + "long name", 2: "road", 3: "car"},
        "learning_map": {0: 0, 1: 1, 2: 2, 3: 3},
        "learning_map_inv": {0: 0, 1: 1, 2: 2, 3: 3},
        "content": shares,
    }
    path.write_text(yaml.safe_dump(values | changes))
    return str(path)


def test_classes_that_a_measured_dataset_does_not_have_are_not_available(tmp_path: Path) -> None:
    first = config(tmp_path / "a.yaml", {0: 0.1, 1: 0.5, 2: 0.4})
    second = config(tmp_path / "b.yaml", {0: 0.0, 1: 1e-9, 3: 0.9})
    text = printed(first, second)
    assert cells(text, "road") == ["road", "44.4444 %", "n/a", "n/a", "not in b.yaml"]
    assert "< 0.0001 %" in text and "Only in a.yaml: road. " in " ".join(text.split())
    record = json.loads(printed(first, second, "--json"))
    assert [row["ratio"] is None for row in record["classes"]] == [False, True, True]


def test_tables_fit_100_columns_and_markup_in_labels_is_text(tmp_path: Path) -> None:
    path = config(tmp_path / ("a" * 80 + ".yaml"), {0: 0.1, 1: 0.5, 2: 0.4})
    for text in (printed(), printed("semantic-kitti-moving"), printed(path), printed(path, path)):
        rule = next(number for number, line in enumerate(text.splitlines()) if line.strip(" ─") == "")
        assert max(map(len, text.splitlines()[: rule + 4])) <= 100
    assert "[red]none" in printed(path)


def test_what_cannot_be_compared_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)other classes.*19 and 25 classes.*semantic-kitti-moving\+YOUR_BRIDGE"):
        printed("synlidar", "semantic-kitti-moving")
    bare = config(tmp_path / "bare.yaml", {})
    with pytest.raises(UserError, match=r"(?s)how many points.*bare.yaml, key content.*lidartune stats"):
        printed(bare, bare)
    assert CliRunner().invoke(command, ["a", "b", "c"]).exit_code != 0

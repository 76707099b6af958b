"""`lidartune evaluate` as a user types it, against counting point by point."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml

import lidartune.scans
from lidartune.cli.evaluate import evaluate
from lidartune.cli.sequences import SequenceList
from lidartune.errors import UserError
from lidartune.scans import load_taxonomy, write_labels, write_points
from lidartune.scans.splits import spelled

ABSENT = (5, 8)  # classes without ground truth
OUTSIDERS = [20, 13, 16, 256, 257, 259, 32, 255]  # their raw ids


@dataclass
class MadeUp:
    """Three sequences of random labels and half-right predictions; `pairs[sequence]` has each scan's (truth, pred)."""

    root: Path
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]]

    def prediction(self, sequence: str, number: int) -> Path:
        return self.root / "out/sequences" / sequence / "predictions" / f"{number:06d}.label"

    def evaluate(self, *options: str, taxonomy: str = "semantic-kitti") -> dict[str, Any]:
        output = self.root / "figures.json"
        arguments = [str(self.root / "out"), str(self.root / "data"), "--taxonomy", taxonomy, *options]
        evaluate.main([*arguments, "--json", str(output)], standalone_mode=False)
        return json.loads(output.read_text())

    def joined(self, *sequences: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = [pair for name in sequences or self.pairs for pair in self.pairs[name]]
        return np.concatenate([t for t, _ in chosen]), np.concatenate([p for _, p in chosen])


def write_scan(root: Path, sequence: str, number: int, truth: np.ndarray, predicted: np.ndarray) -> None:
    folder, name = root / "data/sequences" / sequence, f"{number:06d}"
    write_points(folder / "velodyne" / f"{name}.bin", np.ones((len(truth), 4), np.float32))
    write_labels(folder / "labels" / f"{name}.label", truth, np.full(len(truth), 7))
    write_labels(root / "out/sequences" / sequence / "predictions" / f"{name}.label", predicted)


@pytest.fixture
def made_up(tmp_path: Path) -> MadeUp:
    rng, taxonomy = np.random.default_rng(0), load_taxonomy("semantic-kitti")
    ids = np.array([raw for raw in taxonomy.learning_map if raw not in OUTSIDERS])
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for sequence, scans in (("00", 5), ("08", 7), ("09", 2)):
        for number in range(scans):
            truth = rng.choice(ids, rng.integers(300, 500))
            guess = taxonomy.to_raw(rng.integers(0, 20, len(truth)))
            predicted = np.where(rng.random(len(truth)) < 0.5, truth, guess)
            write_scan(tmp_path, sequence, number, truth, predicted)
            pairs.setdefault(sequence, []).append((taxonomy.to_common(truth), taxonomy.to_common(predicted)))
    return MadeUp(tmp_path, pairs)


def by_hand(truth: np.ndarray, predicted: np.ndarray, *, forgive: bool) -> tuple[list[float | None], float]:
    """IoU of the classes 1..19 and the accuracy."""
    counted = (truth > 0) & ((predicted > 0) | (not forgive))
    ious: list[float | None] = []
    for c in range(1, 20):
        hit = ((truth == c) & (predicted == c) & counted).sum()
        either = (((truth == c) | (predicted == c)) & counted).sum()
        ious.append(None if not (truth == c).any() else float(hit / either))
    return ious, float((truth == predicted)[counted].mean())


def counts(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    matrix = np.zeros((20, 20), int)
    for truth, predicted in pairs:
        np.add.at(matrix, (truth, predicted), 1)
    return matrix


@pytest.mark.parametrize("rule", ["semantic-kitti", "bonnetal"])
def test_figures_equal_counting_by_hand(made_up: MadeUp, rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = made_up.evaluate("--rule", rule)
    truth, predicted = made_up.joined()
    ious, accuracy = by_hand(truth, predicted, forgive=rule == "bonnetal")
    assert [entry["iou"] for entry in values["classes"]] == pytest.approx(ious)
    assert [entry["class"] for entry in values["classes"] if entry["iou"] is None] == list(ABSENT)
    present = [iou for iou in ious if iou is not None]
    assert values["miou"] == pytest.approx(np.mean(present)) and values["classes_in_mean"] == 17
    assert values["accuracy"] == pytest.approx(accuracy)
    assert values["labelled_points"] == (truth > 0).sum()
    assert values["predicted_ignored"] == ((truth > 0) & (predicted == 0)).sum() > 0
    # what the two public evaluators print on the same files
    assert values["tool"]["miou"] == pytest.approx(sum(present) / 19)
    assert values["tool"]["accuracy"] == pytest.approx(by_hand(truth, predicted, forgive=True)[1])
    printed = capsys.readouterr().out
    assert f"mIoU      {100 * np.mean(present):.1f} %" in printed and "mean of 17 of 19 classes" in printed
    assert "n/a: not in the ground truth, in no mean: other-vehicle, motorcyclist" in printed
    assert ("left out by this rule" in printed) == (rule == "bonnetal")


def test_blocks_are_consecutive_scans_of_one_sequence_and_add_up(made_up: MadeUp) -> None:
    values = made_up.evaluate("--block", "3")
    found = [(b["sequence"], b["first"], b["last"], b["scans"]) for b in values["blocks"]]
    assert found == [
        ("00", "000000", "000002", 3), ("00", "000003", "000004", 2), ("08", "000000", "000002", 3),
        ("08", "000003", "000005", 3), ("08", "000006", "000006", 1), ("09", "000000", "000001", 2),
    ]  # fmt: skip
    scans = [pair for pairs in made_up.pairs.values() for pair in pairs]
    for block in values["blocks"]:
        mine, scans = scans[: block["scans"]], scans[block["scans"] :]
        np.testing.assert_array_equal(block["points"], counts(mine))
    everything = [pair for pairs in made_up.pairs.values() for pair in pairs]
    np.testing.assert_array_equal(values["confusion_matrix"], counts(everything))


def test_several_processes_and_long_blocks_give_the_same_figures(made_up: MadeUp) -> None:
    for number in range(7, 30):  # more scans than one job holds
        shutil.copy(made_up.prediction("08", 1), made_up.prediction("08", number))
        for part, suffix in (("velodyne", "bin"), ("labels", "label")):
            folder = made_up.root / "data/sequences/08" / part
            shutil.copy(folder / f"000001.{suffix}", folder / f"{number:06d}.{suffix}")
    one = made_up.evaluate("--processes", "1")
    assert [b["scans"] for b in one["blocks"]] == [5, 30, 2]
    assert made_up.evaluate("--processes", "2") == one


@pytest.mark.parametrize("options", [("--sequences", "8"), ("--split", "valid")])
def test_chosen_sequences_are_scored_alone(
    made_up: MadeUp, options: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(made_up.root / "out/sequences/00")
    values = made_up.evaluate(*options)
    truth, _ = made_up.joined("08")
    assert values["sequences"] == ["08"] and values["labelled_points"] == (truth > 0).sum()
    assert "sequences 8: 7 scans" in capsys.readouterr().out
    assert made_up.evaluate()["sequences"] == ["08", "09"], "by default those that have predictions"


def test_predictions_without_the_sequences_level_are_found(made_up: MadeUp) -> None:
    with_level = made_up.evaluate()
    (made_up.root / "out/sequences").rename(made_up.root / "moved")
    shutil.rmtree(made_up.root / "out")
    (made_up.root / "moved").rename(made_up.root / "out")
    assert made_up.evaluate() == with_level


def test_the_interval_holds_the_mean_and_closes_where_all_blocks_are_alike(made_up: MadeUp) -> None:
    values = made_up.evaluate("--block", "1")
    assert values["miou_low"] < values["miou"] < values["miou_high"]
    assert values["miou_high"] - values["miou_low"] < 0.2
    for entry in values["classes"]:
        assert entry["low"] is None if entry["iou"] is None else entry["low"] <= entry["iou"] <= entry["high"]


@pytest.mark.parametrize("rule", ["semantic-kitti", "bonnetal"])
def test_a_class_that_is_only_predicted_as_ignored_stays_in_mean_and_interval(tmp_path: Path, rule: str) -> None:
    truth = np.array([10, 10, 10, 40, 40, 11, 11, 0])  # car, road, bicycle
    predicted = np.array([10, 40, 0, 40, 40, 0, 0, 11])
    for number in range(6):
        write_scan(tmp_path, "00", number, truth, predicted)
    values = MadeUp(tmp_path, {}).evaluate("--block", "1", "--rule", rule)
    car = 1 / 2 if rule == "bonnetal" else 1 / 3
    assert values["miou"] == pytest.approx((car + 0 + 2 / 3) / 3)
    assert values["miou_low"] == pytest.approx(values["miou"]) == values["miou_high"]


def test_too_few_blocks_give_no_interval_and_say_why(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    values = made_up.evaluate()
    assert values["miou_low"] is None and values["classes"][0]["high"] is None
    assert "no interval: 3 blocks of up to 50 scans" in capsys.readouterr().out


def test_another_number_of_classes(made_up: MadeUp) -> None:
    moving = load_taxonomy("semantic-kitti-moving")
    values = made_up.evaluate(taxonomy="semantic-kitti-moving")
    assert [entry["name"] for entry in values["classes"]] == list(moving.names[1:]) and len(moving.names) == 26
    assert np.shape(values["confusion_matrix"]) == (26, 26)
    cars = values["classes"][0]["points"], next(e["points"] for e in values["classes"] if e["name"] == "moving-car")
    truth, _ = made_up.joined()
    assert sum(cars) == (truth == 1).sum() and min(cars) > 0


def test_a_taxonomy_may_ignore_more_classes(made_up: MadeUp) -> None:
    config = yaml.safe_load((Path(lidartune.scans.__file__).parent / "taxonomies/semantic-kitti.yaml").read_text())
    config["learning_ignore"] |= {9: True}
    (made_up.root / "own.yaml").write_text(yaml.safe_dump(config))
    values = made_up.evaluate("--block", "1", taxonomy=str(made_up.root / "own.yaml"))
    assert "road" not in [entry["name"] for entry in values["classes"]] and values["classes_in_mean"] == 16
    truth, _ = made_up.joined()
    assert values["labelled_points"] == ((truth != 0) & (truth != 9)).sum()
    assert values["miou_low"] < values["miou"] < values["miou_high"]


# -- what is wrong is named, with how many ----------------------------------------------------------------------------


def remove(made_up: MadeUp) -> None:
    for number in (1, 4, 6):
        made_up.prediction("08", number).unlink()


def cut(made_up: MadeUp) -> None:
    for sequence, number in (("00", 3), ("08", 2)):
        path = made_up.prediction(sequence, number)
        path.write_bytes(path.read_bytes()[:-8])


def strange(made_up: MadeUp) -> None:
    ids = np.fromfile(made_up.prediction("09", 1), np.uint32)
    ids[:3] = [4711, 4711, 5]
    write_labels(made_up.prediction("09", 1), ids)


def both(made_up: MadeUp) -> None:
    cut(made_up)
    strange(made_up)


@pytest.mark.parametrize(
    ("damage", "processes", "words"),
    [
        (remove, 1, ["3 of 14 scans have none: 08/000001, 08/000004, 08/000006", "08/predictions"]),
        (cut, 1, ["2 of 14 scans cannot be scored", "2: 00/000003, 08/000002", "one label for each point"]),
        (strange, 1, ["1 of 14 scans cannot be scored", "1: 09/000001", "id 5 (1 points), id 4711 (2 points)"]),
        (both, 1, ["3 of 14 scans cannot be scored", "2: 00/000003, 08/000002", "1: 09/000001", "id 4711"]),
        (both, 2, ["3 of 14 scans cannot be scored", "2: 00/000003, 08/000002", "1: 09/000001", "id 4711"]),
    ],
)
def test_faulty_predictions_are_counted_and_named(
    made_up: MadeUp, damage: Callable[[MadeUp], None], processes: int, words: list[str]
) -> None:
    damage(made_up)
    with pytest.raises(UserError) as raised:
        made_up.evaluate("--processes", str(processes))
    for word in words:
        assert word in str(raised.value)
    assert not (made_up.root / "figures.json").exists(), "nothing half-written"


def test_many_faulty_scans_are_named_shortly(made_up: MadeUp) -> None:
    for number in range(7):
        made_up.prediction("08", number).unlink()
    made_up.prediction("00", 0).unlink()
    with pytest.raises(UserError, match=r"8 of 14 .*: 00/000000, 08/000000, .*08/000003 and 3 more"):
        made_up.evaluate()


def test_predictions_of_no_scan_are_mentioned(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(made_up.prediction("09", 1), made_up.prediction("09", 2))
    (made_up.prediction("09", 1).parent / "._000001.label").write_bytes(b"")  # as macOS leaves beside files
    made_up.evaluate()
    assert "1 prediction belongs to no scan of these sequences" in capsys.readouterr().out


def test_wrong_folders_and_options_are_named(made_up: MadeUp, tmp_path: Path) -> None:
    out, data = str(tmp_path / "out"), str(tmp_path / "data")

    def fails(match: str, *arguments: str) -> None:
        with pytest.raises((UserError, click.UsageError)) as raised:
            evaluate.main([*arguments, "--taxonomy", "semantic-kitti"], standalone_mode=False)
        text = raised.value.format_message() if isinstance(raised.value, click.UsageError) else str(raised.value)
        assert match in text

    fails("no such folder of predictions", str(tmp_path / "nowhere"), data)
    fails("no predictions in this folder", data, data)
    fails("sequence 3", out, data, "--sequences", "3")
    fails("no list of sequences", out, data, "--sequences", "8-")
    fails("named twice", out, data, "--sequences", "8", "--split", "valid")
    (tmp_path / "data/sequences/08/labels/000002.label").unlink()
    fails("1 of 14 scans have none", out, data)
    with pytest.raises(UserError, match="names no such part of a split"):
        evaluate.main([out, data, "--taxonomy", "synlidar", "--split", "valid"], standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "numbers", "again"),
    [("8", (8,), "8"), ("9,0-2,1", (0, 1, 2, 9), "0-2, 9"), (" 3 - 4 ", (3, 4), "3, 4"), ("100", (100,), "100")],
)
def test_lists_of_sequences_are_read_and_spelled(text: str, numbers: tuple[int, ...], again: str) -> None:
    assert SequenceList().convert(text, None, None) == numbers
    assert spelled(numbers) == again


@pytest.mark.parametrize("text", ["", "a", "1,,2", "-3", "1-2-3", "5-2", "1-99999999", "1" * 5000, "0-" + "9" * 5000])
def test_what_is_no_list_of_sequences_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        SequenceList().convert(text, None, None)
    assert len(raised.value.message) < 200

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from lidartune.cli import lidartune
from lidartune.errors import UserError
from lidartune.report import records
from lidartune.report.foreign_events import read_event_file
from lidartune.report.foreign_log import Log, read_log
from lidartune.report.tensorboard import StudyWriter

from .foreign_logs import FIRST_FILE, bonnetal_folder, bonnetal_rows, event_file, example

PRETRAINED = [0.10, 0.30, 0.48, 0.45]
TUNED = [0.20, 0.35, 0.44, 0.46]


def curves(*arguments: object) -> Result:
    return CliRunner().invoke(lidartune, ["curves", *map(str, arguments)])


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def points(log: Log) -> list[tuple[int, float]]:
    return [(int(e), round(float(s), 4)) for e, s in zip(log.trained, log.scores, strict=True)]


@pytest.fixture
def logs(tmp_path: Path) -> tuple[Path, Path]:
    pretraining = bonnetal_folder(tmp_path / "pre", PRETRAINED, valid=3)
    return pretraining, bonnetal_folder(tmp_path / "fine", TUNED, backbone_lr=0.0)


def test_the_memo_s_question_is_answered(logs: tuple[Path, Path], tmp_path: Path) -> None:
    done = curves(*logs, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    lines = {line[:38].strip(): line[38:].split() for line in done.output.splitlines()}
    # lidar-bonnetal's step 0 is written after the first epoch.
    assert lines["pretraining, last"] == ["4", "45.0"] and lines["pretraining, best"] == ["3", "48.0"]
    assert lines["fine-tuning, before its first update"] == ["0", "unknown"]
    assert lines["fine-tuning, first score"] == ["1", "20.0"]
    assert "(epoch 1) is 25.0 points below pretraining's last and 28.0 points below its best." in done.output
    assert "It reaches pretraining's last score at epoch 4." in done.output
    unknown = done.output.partition("Unknown")[2]
    for word in ("epoch 0 (lidar-bonnetal", "-p loads", "(here 3)", "on pixels", "forgetting", "second seed"):
        assert word in unknown
    assert "validated on sequences 3" in done.output and "both have the same 3 classes" in done.output
    assert "fine-tuning: logged as lidar-bonnetal does" in done.output and "frozen: encoder" in done.output
    assert (tmp_path / "out" / "curves.txt").read_text("utf-8") in done.output


def test_the_files_hold_the_same_curves(logs: tuple[Path, Path], tmp_path: Path) -> None:
    curves(*logs, "-o", tmp_path / "out")
    table = rows(tmp_path / "out" / "curves.csv")
    assert [(r["curve"], r["epoch"], r["position"], r["miou"]) for r in table[3:5]] == [
        ("pretraining", "4", "4", "0.450000"), ("fine-tuning", "1", "5", "0.200000"),
    ]  # fmt: skip
    assert [r["miou"] for r in rows(tmp_path / "out" / "start.csv") if r["epoch"] == "0"] == [""]
    learning = rows(tmp_path / "out" / "learning.csv")[0]
    assert (learning["backbone"], learning["width"], learning["freeze"]) == ("squeezesegv2", "1024", "encoder")
    assert learning["area_finetuned"] == f"{(0.5 * 0.20 + 0.35 + 0.44 + 0.5 * 0.46) / 3:.6f}"
    # Without a run from scratch there is no threshold: neither reached nor missed.
    assert learning["area_scratch"] == learning["epochs_to_50_percent_finetuned_never"] == ""
    shown = "".join(ET.parse(tmp_path / "out" / "curves.svg").getroot().itertext())
    assert "pretraining (lidar-bonnetal: valid_iou)" in shown and "epoch 0 not logged" in shown
    with Image.open(tmp_path / "out" / "curves.png") as picture:
        used = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0xE6, 0x9F, 0x00), (0x00, 0x72, 0xB2)} <= used  # the memo's orange and blue


def test_the_same_logs_give_the_same_bytes(logs: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        curves(*logs, "-o", tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_a_log_from_scratch_gives_the_thresholds(logs: tuple[Path, Path], tmp_path: Path) -> None:
    scratch = bonnetal_folder(tmp_path / "scratch", [0.05, 0.15, 0.30, 0.40])
    done = curves(*logs, "--scratch", scratch, "-o", tmp_path / "out")
    assert "Against from scratch it is +15.0 points at epoch 1, +6.0 at 4." in done.output
    learning = rows(tmp_path / "out" / "learning.csv")[0]
    assert learning["epochs_to_75_percent_finetuned"] == "2.000000"
    assert learning["epochs_to_75_percent_scratch"] == "3.000000"
    assert learning["epochs_to_100_percent_finetuned_never"] == "0"
    assert learning["area_gain_low"] == ""  # one seed has no interval


def test_a_study_stands_in_the_same_frame_and_table(finished: Path, logs: tuple[Path, Path], tmp_path: Path) -> None:
    done = curves(*logs, "--study", finished, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    learning, own = rows(tmp_path / "out" / "learning.csv"), [r for r in rows_of_learning(finished)]
    assert [r["source"] for r in learning] == ["logs"] + ["study"] * len(own)
    for mine, its in zip(learning[1:], own, strict=True):
        assert mine["area_finetuned"] == its["area_finetuned"] and mine["seeds"] == its["seeds"]
        updates, epochs = its["updates_to_90_percent_scratch"], mine["epochs_to_90_percent_scratch"]
        assert bool(updates) == bool(epochs) == (its["seeds"] != "0")
        assert not updates or float(updates) == pytest.approx(32 * float(epochs), abs=1e-4)
    assert any(row["epochs_to_90_percent_scratch"] for row in learning[1:])
    shown = "".join(ET.parse(tmp_path / "out" / "curves.svg").getroot().itertext())
    assert "study: fine-tuning on real, scored on real" in shown
    assert {r["setting"] != "" for r in rows(tmp_path / "out" / "curves.csv")} == {True, False}


def rows_of_learning(study: Path) -> list[dict[str, str]]:
    from lidartune.report import load_study
    from lidartune.report.csv_files import csv_text
    from lidartune.report.learning import learning_table

    return list(csv.DictReader(csv_text(learning_table(load_study(study))).splitlines()))


def test_our_own_logs_have_an_epoch_0(finished: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(finished.parent, tmp_path / "results")) / finished.name
    names = StudyWriter(study, study.parent / "runs").names
    cells = json.loads((study / "plan.json").read_text())["cells"]
    cell = next(cell for cell in cells if {"pretrained", "finetuned"} <= set(cell["roles"]))
    logs = [study / "tensorboard" / names[cell["roles"][role]["run"]] for role in ("pretrained", "finetuned")]
    done = curves(*logs, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    answer = done.output.partition("Known")[0]
    assert "fine-tuning, first score                     0" in answer and "unknown" not in answer
    assert "epoch 0 of fine-tuning" in (tmp_path / "out" / "curves.svg").read_text("utf-8")


def test_the_example_in_the_docs_is_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gap.md").read_text("utf-8")
    section = page.partition("## Somebody else's curves")[2]
    command, _, printed = section.partition("```console\n$ lidartune curves ")[2].partition("```")[0].partition("\n")
    example(tmp_path / "logs")
    monkeypatch.chdir(tmp_path)
    done = curves(*command.split())
    assert done.exit_code == 0 and done.output == printed


def test_a_log_folder_its_tb_its_file_and_a_folder_above_are_one_log(tmp_path: Path) -> None:
    log = bonnetal_folder(tmp_path / "above" / "log", TUNED, width=512)
    for path in (log, log / "tb", log / "tb" / FIRST_FILE):
        found = read_log(path)
        assert points(found) == [(1, 0.2), (2, 0.35), (3, 0.44), (4, 0.46)] and found.width == 512
        assert found.classes == ("car", "road", "building") and found.valid_sequences == ("8",)
    assert points(read_log(tmp_path / "above")) == points(read_log(log))
    bonnetal_folder(tmp_path / "above" / "other", TUNED)
    with pytest.raises(UserError, match=r"several logs(.|\n)*log/tb, other/tb"):
        read_log(tmp_path / "above")


def test_after_a_restart_the_later_steps_count_and_it_says_so(tmp_path: Path) -> None:
    # The later file by its first record, not by its name: names sort the other way here.
    event_file(tmp_path / "events.out.tfevents.2", bonnetal_rows([0.1, 0.2, 0.3, 0.4, 0.5]), began=100.0)
    event_file(tmp_path / "events.out.tfevents.1", bonnetal_rows([0.25, 0.35], first=2), began=900.0)
    found = read_log(tmp_path)
    assert points(found) == [(1, 0.1), (2, 0.2), (3, 0.25), (4, 0.35)]
    assert any("2 event files" in n and "steps 2 to 4" in n and "1 steps" in n for n in found.notes), found.notes


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_record_cut_off_is_left_out_and_said(tmp_path: Path, cut: int) -> None:
    path = event_file(tmp_path / "a.tfevents", [(s, {"miou": 0.1 * s}) for s in range(5)])
    path.write_bytes(path.read_bytes()[:-cut])
    found = read_log(path, tag="miou")
    assert points(found) == [(s, round(0.1 * s, 4)) for s in range(4)]
    assert any("the last record is cut off" in note for note in found.notes)


def test_damage_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = event_file(tmp_path / "a.tfevents", [(s, {"miou": 0.5}) for s in range(3)])
    data = bytearray(path.read_bytes())
    size = (len(data) - 40) // 3  # of a record; the first says the version
    data[-size - 6] ^= 1  # in the data of the last but one
    path.write_bytes(data)
    found = read_log(path, tag="miou")
    assert [e for e, _ in points(found)] == [0, 2] and any("1 damaged records" in n for n in found.notes)
    data[-size + 1] ^= 1  # the length of the last
    path.write_bytes(data)
    found = read_log(path, tag="miou")
    assert [e for e, _ in points(found)] == [0] and any("what follows is left out" in n for n in found.notes)


def test_a_length_beyond_the_file_takes_no_memory(tmp_path: Path) -> None:
    path = event_file(tmp_path / "a.tfevents", [(0, {"miou": 0.5})])
    header = (1 << 62).to_bytes(8, "little")
    path.write_bytes(path.read_bytes() + header + records.checksum(header) + b"x" * 40)
    assert points(read_log(path, tag="miou")) == [(0, 0.5)]


def test_our_records_are_tensorboard_s(tmp_path: Path) -> None:
    data = [b"", b"x", bytes(range(256)) * 40]
    path = tmp_path / "a"
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for each in data:
            writer.write(each)
    assert path.read_bytes() == b"".join(map(records.record, data))
    problems: list[str] = []
    assert list(records.read_records(path, problems)) == data and not problems


def test_records_of_absurd_length_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = event_file(tmp_path / "a.tfevents", [(s, {"miou": 0.5}) for s in range(3)])
    long = Summary.Value(tag="picture", image=Summary.Image(encoded_image_string=b"x" * 5000))
    content = path.read_bytes()
    path.write_bytes(content + records.record(Event(summary=Summary(value=[long])).SerializeToString()) + content)
    monkeypatch.setattr(records, "LONGEST", 4000)
    found = read_event_file(path)
    assert len(found.series["miou"]) == 6 and any("1 records of more than" in p for p in found.problems)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_wrong_with_a_file_it_is_one_message_or_a_note(tmp_path: Path, data: st.DataObject) -> None:
    path = event_file(tmp_path / "a.tfevents", [(s, {"miou": 0.01 * s}) for s in range(6)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=12))
    path.write_bytes(bytes(content))
    try:
        found = read_event_file(path)
    except UserError as error:
        assert "no TensorBoard event file" in str(error)
        return
    values = found.series.get("miou", [])
    # Every score is one that was written: damage is left out, never misread.
    assert all(value == np.float32(0.01 * step) for step, value in values)
    assert len(values) == 6 or found.problems or bytes(content) == b""


def test_pytorch_s_writer_is_read_in_both_of_its_forms(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step, score in enumerate(TUNED):
            writer.add_scalar("val/mIoU", score, step)
            writer.add_scalar("new style", score, step, new_style=True)
            writer.add_scalar("double", score, step, new_style=True, double_precision=True)
            writer.add_histogram("weights", np.arange(1000.0), step)
    for tag in ("val/mIoU", "new style", "double"):
        assert points(read_log(tmp_path, tag=tag)) == [(s, score) for s, score in enumerate(TUNED)]


def test_epochs_without_validation_are_no_scores(tmp_path: Path) -> None:
    # lidar-bonnetal writes its last figures again after epochs that report_epoch leaves out.
    written = bonnetal_rows([0.2, 0.2, 0.3, 0.3, 0.4])
    for at in (1, 3):
        written[at][1].update({k: written[at - 1][1][k] for k in ("valid_loss", "valid_acc", "valid_iou")})
    path = event_file(tmp_path / "tb" / FIRST_FILE, written)
    found = read_log(path)
    assert points(found) == [(1, 0.2), (3, 0.3), (5, 0.4)] and any("2 epochs were not scored" in n for n in found.notes)
    other = bonnetal_folder(tmp_path / "told", [0.2, 0.21, 0.3, 0.31], train={"report_epoch": 2})
    assert [e for e, _ in points(read_log(other))] == [1, 3]


def test_other_writers_are_read_by_tag_and_counted_in_steps(tmp_path: Path) -> None:
    for name, scores in (("p", [10.0, 40.0]), ("f", [30.0, float("nan"), 50.0])):
        event_file(tmp_path / name, [(500 * i, {"val/mIoU": s}) for i, s in enumerate(scores)])
    refused = curves(tmp_path / "p", tmp_path / "f", "-o", tmp_path / "out")
    assert isinstance(refused.exception, UserError) and "'val/mIoU'" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    done = curves(tmp_path / "p", tmp_path / "f", "--tag", "val/mIoU", "-o", tmp_path / "out")
    assert "(step 0) is 10.0 points below pretraining's last" in done.output
    assert "what a step is (epoch or update)" in done.output and "writer not known" in done.output
    assert "what else" not in done.output
    assert "read as percent" in done.output and "1 scores that are not a number" in done.output
    with pytest.raises(UserError, match=r"did you mean 'val/mIoU'"):
        read_log(tmp_path / "p", tag="val/miou")


def test_tags_of_unknown_meaning_are_listed_as_unknown(logs: tuple[Path, Path], tmp_path: Path) -> None:
    for number, log in enumerate(logs):
        extra = {f"extra/{n}": 1.0 for n in range(10 * number)} | {"train_loss": 1.0, "encoder_lr": 0.1}
        event_file(log / "tb" / "events.out.tfevents.9", [(9, extra)], began=9e9)
    unknown = curves(*logs, "-o", tmp_path / "out").output.partition("Unknown")[2]
    assert "- what else pretraining logs, which is not used: encoder_lr\n" in unknown
    assert "fine-tuning logs, which is not used: encoder_lr, extra/0, " in unknown and "extra/6 and 3 more" in unknown


def test_what_is_no_event_file_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "went off"),)

    (tmp_path / "a.tfevents").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "empty.tfevents").touch()
    for name in ("a.tfevents", "empty.tfevents"):
        with pytest.raises(UserError, match="no TensorBoard event file"):
            read_log(tmp_path / name)
    with pytest.raises(UserError, match="there is no event file here"):
        read_log(tmp_path / "nowhere")
    assert not (tmp_path / "went off").exists()


@pytest.mark.parametrize(
    ("score", "tag", "said"),
    [(130.0, "miou", "no mIoU"), (-0.1, "miou", "no mIoU"), (float("nan"), "miou", "holds no score")],
)
def test_values_that_are_no_score_are_refused(tmp_path: Path, score: float, tag: str, said: str) -> None:
    event_file(tmp_path / "a", [(0, {tag: score})])
    with pytest.raises(UserError, match=said):
        read_log(tmp_path / "a", tag=tag)


def test_mixed_counting_and_one_log_twice_are_refused(logs: tuple[Path, Path], tmp_path: Path) -> None:
    event_file(tmp_path / "other", [(0, {"valid_iou": 0.1})])
    for pair, said in (((logs[0], tmp_path / "other"), "count differently"), ((logs[0], logs[0]), "the same log")):
        done = curves(*pair, "-o", tmp_path / "out")
        assert isinstance(done.exception, UserError) and said in str(done.exception)


def test_hostile_names_are_shown_as_they_are(tmp_path: Path) -> None:
    tag = "=cmd()<script>$x_1$\x1b[31m\n\\input" + "x" * 10_000
    classes = ("unlabeled", "=2+5<script>", "b\x1b[2J", "c")
    for name in ("p", "f"):
        bonnetal_folder(tmp_path / name, TUNED, classes=classes if name == "p" else ("unlabeled", "d", "e", "f"))
        event_file(tmp_path / name / "tb" / FIRST_FILE, [(s, {tag: 0.1 * s}) for s in range(3)])
    done = curves(tmp_path / "p", tmp_path / "f", "--tag", tag, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    for text in (done.output, *(p.read_text("utf-8") for p in (tmp_path / "out").glob("*.[cts][sxv][vtg]"))):
        assert "\x1b" not in text and "x" * 200 not in text
    assert "<script>" not in (tmp_path / "out" / "curves.svg").read_text("utf-8")
    assert rows(tmp_path / "out" / "curves.csv")[0]["tag"].startswith("'=cmd()<script>")
    with pytest.raises(UserError) as error:
        read_log(tmp_path / "p", tag="nothing like it")
    assert "\x1b" not in str(error.value) and "x" * 200 not in str(error.value)


def test_a_broken_configuration_is_a_note_not_an_error(tmp_path: Path) -> None:
    log = bonnetal_folder(tmp_path / "log", TUNED)
    (log / "arch_cfg.yaml").write_text("backbone: [}")
    (log / "data_cfg.yaml").write_text("labels: 3")
    found = read_log(log)
    assert len(found.scores) == 4 and found.backbone is None and found.classes is None
    assert [n.split()[0] for n in found.notes] == ["arch_cfg.yaml", "data_cfg.yaml"]


def test_a_hundred_megabytes_take_seconds(tmp_path: Path) -> None:
    path = event_file(tmp_path / "a.tfevents", bonnetal_rows(TUNED))
    picture = Summary.Value(tag="picture", image=Summary.Image(encoded_image_string=bytes(1_000_000)))
    record = records.record(Event(step=1, summary=Summary(value=[picture])).SerializeToString())
    with path.open("ab") as file:
        for _ in range(100):
            file.write(record)
    began = time.process_time()
    assert len(read_log(path).scores) == 4
    assert time.process_time() - began < 3  # with checksums in Python it would take 11


def test_no_torch_and_no_tensorflow(logs: tuple[Path, Path], tmp_path: Path) -> None:
    code = (
        "import sys; from lidartune.report.foreign_log import read_log; from lidartune.report import foreign_write; "
        f"read_log(__import__('pathlib').Path({str(logs[0])!r})); "
        "print([m for m in ('torch', 'tensorflow', 'tensorboardX') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

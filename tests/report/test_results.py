from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from lidartune.errors import UserError
from lidartune.report import load_study
from lidartune.report.cells import cells_table
from lidartune.report.committed import as_matrix, with_matrices_as_text
from lidartune.report.settings import gap_table

from .made_up_study import NAMES, commit, edit, make_study


def the_run(study: Path, role: str, seed: int = 0) -> str:
    cells = json.loads((study / "plan.json").read_text())["cells"]
    return next(c["roles"][role]["run"] for c in cells if c["seed"] == seed and role in c["roles"])


def remove(study: Path, role: str, epoch: int, seed: int = 0) -> str:
    run = the_run(study, role, seed)
    (study.parent / "runs" / run / f"epoch-{epoch:06d}" / "test" / "commit.json").unlink()
    return run


def test_a_finished_study(finished: Path) -> None:
    results = load_study(finished)
    assert [c.status for c in results.cells] == ["done"] * 12
    assert results.class_sets["real"].sum() == 17 and results.class_sets["synthetic"].sum() == 19
    assert not results.notes and results.updates_per_epoch == 32


FAILED = {"kind": "failed", "message": "loss became nan", "log": None}
BLOCKED = {"kind": "blocked", "message": "needs x, which failed: loss became nan", "log": None}


@pytest.mark.parametrize(
    ("gone", "status", "reason"),
    [
        ({"finetuned": None, "real_real": None}, "missing", "finetuned: test of epoch 4 not there yet"),
        ({"finetuned": FAILED, "real_real": None}, "failed", "finetuned: loss became nan"),
        # The pretraining failed: the cell's own end is blocked, whichever role is looked at first.
        ({"pretrained": FAILED, "start": BLOCKED, "finetuned": BLOCKED}, "blocked", f"finetuned: {BLOCKED['message']}"),
        # A reference failed: a failure where the end is there, and nothing about the cell where it is still to come.
        ({"scratch_longer": FAILED}, "failed", "scratch_longer: loss became nan"),
        ({"full_longer": BLOCKED, "real_real": FAILED}, "failed", "real_real: loss became nan"),
        ({"finetuned": None, "scratch_longer": FAILED}, "missing", "finetuned: test of epoch 4 not there yet"),
        ({"scratch_longer": None}, "missing", "scratch_longer: test of epoch 7 not there yet"),
    ],
)
def test_the_cells_own_end_decides_then_the_others(
    tmp_path: Path, gone: dict[str, dict[str, object] | None], status: str, reason: str
) -> None:
    study = make_study(tmp_path, seeds=(0, 1), curves=False)
    epochs = {"pretrained": 3, "start": 0, "scratch_longer": 7, "full_longer": 7}
    for role, failure in gone.items():
        run = remove(study, role, epochs.get(role, 4))
        if failure is not None:
            edit(study / "failures.json", lambda f, run=run, failure=failure: f.update({run: failure}))
    results = load_study(study)
    assert [(c.status, c.reason) for c in results.cells] == [(status, reason), ("done", "")]
    # What is there is reported, what is not is n/a and never 0.
    row = cells_table(results).iloc[0]
    assert row["scratch"] > 0.3 and np.isnan(row["finetuned"]) == ("finetuned" in gone)
    assert np.isnan(row["real_then_real_scored_on_real"]) == ("real_real" in gone)
    table = gap_table(results).iloc[0]
    assert (table["seeds_done"], table["finetuned_seeds"], table["scratch_seeds"]) == (1, 2 - ("finetuned" in gone), 2)
    assert table["status"] == status and reason in table["reason"]


def test_without_pretraining_the_end_is_scratch(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), pretrain_epochs=(0,), curves=False)
    run = remove(study, "scratch", 4)
    edit(study / "failures.json", lambda f: f.update({run: FAILED}))
    (cell,) = load_study(study).cells
    assert (cell.status, cell.reason) == ("failed", "scratch: loss became nan")


def test_nothing_there_at_all_is_nan_everywhere(tmp_path: Path) -> None:
    study = make_study(tmp_path, curves=False)
    (study / "manifest.json").unlink()
    for commit_file in (tmp_path / "runs").rglob("commit.json"):
        commit_file.unlink()
    row = gap_table(load_study(study)).iloc[0]
    assert row["status"] == "missing" and row["classes"] == 0
    figures = [c for c in row.index if f"{c}_low" in row.index]
    assert len(figures) > 20 and row[figures].isna().all()


def test_a_torn_commit_is_not_there_and_a_changed_file_is_damaged(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0, 1, 2), curves=False)
    place = {s: tmp_path / "runs" / the_run(study, "finetuned", s) / "epoch-000004" / "test" for s in (0, 1, 2)}
    torn = (place[0] / "commit.json").read_text()
    (place[0] / "commit.json").write_text(torn[: len(torn) // 2])
    scores = next(place[1].glob("scores-*.json"))
    scores.write_bytes(scores.read_bytes().replace(b"77", b"78", 1))
    next(place[2].glob("scores-*.json")).unlink()
    reasons = [c.reason for c in load_study(study).cells]
    assert "not there yet" in reasons[0]
    assert "damaged" in reasons[1] and "unlike its commit" in reasons[1]
    assert "damaged" in reasons[2] and "missing" in reasons[2]


def test_a_commit_that_names_a_file_elsewhere_is_not_followed(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    place = tmp_path / "runs" / the_run(study, "finetuned") / "epoch-000004" / "test"
    outside = tmp_path / "outside.json"
    outside.write_bytes(next(place.glob("scores-*.json")).read_bytes())
    edit(place / "commit.json", lambda c: c["files"]["scores.json"].update(path="../../../../outside.json"))
    assert "elsewhere" in load_study(study).cells[0].reason


def test_matrices_of_another_size_are_damaged(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    run = tmp_path / "runs" / the_run(study, "finetuned")
    commit(run, 4, "test", {"scores.json": json.dumps({"epoch": 4, "updates": 1, "real": {"points": [[1]]}}).encode()})
    assert "shape (1, 1) for 20 classes" in load_study(study).cells[0].reason


@pytest.mark.parametrize(
    "rows", ["[[1,2,3],[4]]", "[[1,2],[3,x]]", "[[1,2]", "[[]]", "[[1,2],[3,4.5]]", "[[,1],[2,3]]", '[["a"]]']
)
def test_a_matrix_that_is_none_is_damaged(rows: str) -> None:
    data = f'{{"points": {rows}}}'.encode()
    with pytest.raises(ValueError), warnings.catch_warnings():
        warnings.simplefilter("error")
        as_matrix(json.loads(with_matrices_as_text(data))["points"], 2)


def test_a_matrix_read_as_text_is_the_one_read_as_json() -> None:
    counts = np.random.default_rng(0).integers(0, 10**12, (5, 5))
    for text in (json.dumps({"a": [{"b": counts.tolist()}], "c": "[x]"}), f'{{"a":[{{"b":{counts.tolist()}}}]}}'):
        found = json.loads(with_matrices_as_text(text.encode()))
        assert isinstance(found["a"][0]["b"], str) and np.array_equal(as_matrix(found["a"][0]["b"], 5), counts)
        assert np.array_equal(as_matrix(json.loads(text)["a"][0]["b"], 5), counts)


def test_runs_scored_on_different_test_splits_are_noted(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0, 1), curves=False)
    other = make_study(tmp_path / "other", seeds=(1,), curves=False, real_classes=range(1, 11))
    run = the_run(other, "finetuned", 1)
    source = tmp_path / "other" / "runs" / run / "epoch-000004" / "test"
    place = tmp_path / "runs" / run / "epoch-000004" / "test"
    for file in source.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    assert any("different real test splits" in note for note in load_study(study).notes)


def test_what_is_not_a_study_says_what_to_do(tmp_path: Path) -> None:
    make_study(tmp_path, seeds=(0,), curves=False)
    with pytest.raises(UserError, match="name a study inside it: demo"):
        load_study(tmp_path)
    edit(tmp_path / "demo" / "plan.json", lambda p: p.update(schema=2))
    with pytest.raises(UserError, match="schema 1"):
        load_study(tmp_path / "demo")


def test_runs_may_lie_elsewhere(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert load_study(study).cells[0].status == "missing"
    assert load_study(study, tmp_path / "elsewhere").cells[0].status == "done"


def test_hundreds_of_test_scores_take_seconds(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=range(40), curves=False)  # 12 roles each
    runs = sum(1 for _ in (tmp_path / "runs").rglob("scores-*.json"))
    begun = time.perf_counter()
    results = load_study(study)
    assert runs == 480 and len(results.cells) == 40
    assert time.perf_counter() - begun < 10


def test_neither_torch_nor_ray_is_imported() -> None:
    modules = "report, report.tables, report.figures, report.page, report.terminal, report.tensorboard, transfer.gap"
    code = "import sys\n" + "".join(f"import lidartune.{m}\n" for m in modules.split(", "))
    code += "print(sorted({'torch', 'ray', 'pickle5'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_class_names_come_from_the_plan(finished: Path) -> None:
    assert list(load_study(finished).classes) == NAMES

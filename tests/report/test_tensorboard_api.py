"""A made-up study, asked for over TensorBoard's own HTTP API: HParams, Custom Scalars, PR curves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lidartune.report import load_study
from lidartune.report.tables import all_tables
from lidartune.report.tensorboard import StudyWriter

from .made_up_study import commit, edit, make_study, matrix, scores
from .tensorboard_api import Api

SETTINGS = {"widths": (512, 1024), "pretrain_epochs": (0, 3), "seeds": (0, 1), "real_classes": range(1, 18)}
CELL = "cells/squeezesegv2-512-3ep-none-8scans-seed0"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cells, one of which lacks a control."""
    study = make_study(tmp_path_factory.mktemp("results"), **SETTINGS)
    plan = json.loads((study / "plan.json").read_text())
    cell = next(c for c in plan["cells"] if (c["width"], c["pretrain_epochs"], c["seed"]) == (1024, 3, 1))
    place = cell["roles"]["real_synthetic"]
    shutil.rmtree(study.parent / "runs" / place["run"] / f"epoch-{place['epoch']:06d}")
    StudyWriter(study, study.parent / "runs")
    return study


@pytest.fixture(scope="module")
def api(study: Path) -> Api:
    return Api(study / "tensorboard")


def scalars(api: Api, run: str, tag: str) -> dict[str, list[Any]]:
    """A chart's tag (a regular expression) -> what Custom Scalars draws: tag -> (wall time, step, value)."""
    answer = api("custom_scalars/scalars", run=run, tag=tag)
    assert answer["regex_valid"]
    found: dict[str, list[Any]] = answer["tag_to_events"]
    return found


def hparams_rows(api: Api) -> dict[str, dict[str, Any]]:
    """Session group -> axes and figures by the names that HParams shows."""
    experiment = api.post("hparams/experiment", {"experimentName": ""})
    titles = {m["name"]["tag"]: m["displayName"] for m in experiment["metricInfos"]}
    question = {
        "experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 1000,
        "colParams": [],
    }  # fmt: skip
    groups = api.post("hparams/session_groups", question)["sessionGroups"]
    return {
        g["name"]: g["hparams"] | {titles[m["name"]["tag"]]: m["value"] for m in g.get("metricValues", [])}
        for g in groups
    }


def test_hparams_has_a_row_for_every_finished_cell_with_the_figures_of_the_tables(study: Path, api: Api) -> None:
    rows = hparams_rows(api)
    table = all_tables(load_study(study))["cells"].set_index(["width", "pretrain_epochs", "seed"])
    done = table[table["status"] == "done"]
    assert len(rows) == len(done) == 7
    for (width, epochs, seed), figures in done.iterrows():
        row = rows[f"squeezesegv2-{width}-{epochs}ep-none-8scans-seed{seed}"]
        axes = {"backbone": "squeezesegv2", "width": width, "pretrain_epochs": epochs, "freeze": "none"}
        assert {k: row[k] for k in (*axes, "labelled_scans", "seed")} == axes | {"labelled_scans": 8, "seed": seed}
        wanted = {"scratch mIoU": figures["scratch"]}
        if epochs:
            wanted |= {
                "fine-tuned mIoU": figures["finetuned"],
                "gain at equal fine-tuning": figures["finetuned"] - figures["scratch"],
                "gain at equal total": figures["finetuned"] - figures["scratch_longer"],
                "domain gap": figures["full_equal"] - figures["synthetic_to_real"],
            }
        # Without pretraining there is no such figure, and no 0 for it.
        assert {k: row[k] for k in row if k not in axes | {"labelled_scans": 0, "seed": 0}} == pytest.approx(wanted)


def test_hparams_names_the_axes_and_shows_those_first_that_differ(api: Api) -> None:
    experiment = api.post("hparams/experiment", {"experimentName": ""})
    names = [info["name"] for info in experiment["hparamInfos"]]
    assert names == ["pretrain_epochs", "seed", "width", "backbone", "freeze", "labelled_scans"]
    assert [m["displayName"] for m in experiment["metricInfos"]] == [
        "fine-tuned mIoU", "gain at equal fine-tuning", "gain at equal total", "domain gap", "scratch mIoU",
    ]  # fmt: skip


def test_custom_scalars_lay_pretraining_and_fine_tuning_in_one_chart(study: Path, api: Api) -> None:
    (category,) = api("custom_scalars/layout")["category"]
    assert "updates since pretraining began" in category["title"]
    charts = {chart["title"]: chart["multiline"]["tag"] for chart in category["chart"]}
    memo, in_real = charts["Pretraining scored on synthetic, fine-tuning on real"], charts["All scored on real"]
    (before,), (after,) = (scalars(api, CELL, tag).values() for tag in memo)
    assert [step for _, step, _ in before] == [0, 32, 64, 96]  # 3 epochs of 32 updates
    assert [step for _, step, _ in after] == [96, 128, 160, 192, 224]  # then 4 epochs
    curves = [events for tag in in_real for events in scalars(api, CELL, tag).values()]
    # Pretraining, from scratch for all the updates, fine-tuning.
    assert sorted((events[0][1], events[-1][1]) for events in curves) == [(0, 96), (0, 224), (96, 224)]
    # An unfinished cell is shown as far as it is there.
    assert scalars(api, "cells/squeezesegv2-1024-3ep-none-8scans-seed1", memo[1])


def test_pr_curves_are_there_for_the_classes_of_the_test_split(study: Path, api: Api) -> None:
    run = "squeezesegv2-512-p3-none-real-n8-s0"
    tags = api("pr_curves/tags")[run]
    assert {f"test real/class-{n}" for n in range(1, 18)} == {t for t in tags if t.startswith("test real/")}
    first, last = api("pr_curves/pr_curves", run=[run], tag="test real/class-3")[run]
    assert (first["step"], last["step"]) == (0, 4)
    cell = load_study(study).cells
    confusion = next(c for c in cell if (c.width, c.pretrain_epochs, c.seed) == (512, 3, 0)).matrix("finetuned", "real")
    assert confusion is not None
    share = confusion[3, 3] / confusion[3].sum()
    at = last["thresholds"].index(0.8)
    assert last["recall"][at] == pytest.approx(share, rel=1e-6) and last["precision"][at] == 1.0
    assert last["recall"][5] == 1.0 and last["precision"][5] == pytest.approx(1 / 17, rel=1e-6)
    assert len(last["thresholds"]) == 41  # none is said to be of the class above


def test_a_cell_is_shown_once_it_is_done_while_the_study_runs(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), curves=False)
    runs = study.parent / "runs"
    place = json.loads((study / "plan.json").read_text())["cells"][0]["roles"]["finetuned"]
    test = runs / place["run"] / f"epoch-{place['epoch']:06d}" / "test"
    shutil.rmtree(test)
    writer = StudyWriter(study, runs)
    assert not (study / "tensorboard" / "cells").exists()
    rows = {d: matrix(0.3) for d in ("synthetic", "real")}
    commit(runs / place["run"], place["epoch"], "test", {"scores.json": scores(place["epoch"], rows)})
    writer.epoch(place["run"], place["epoch"])
    (row,) = hparams_rows(Api(study / "tensorboard")).values()
    assert row["fine-tuned mIoU"] == pytest.approx(0.3)


def test_words_among_numbers_make_an_axis_of_words(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=(0,), labelled=(8, "all"), pretrain_epochs=(3, "checkpoint"), curves=False)
    StudyWriter(study, study.parent / "runs")
    rows = hparams_rows(Api(study / "tensorboard"))
    assert {(r["labelled_scans"], r["pretrain_epochs"]) for r in rows.values()} == {
        (scans, epochs) for scans in ("8", "all") for epochs in ("3", "checkpoint")
    }
    assert all(("domain gap" in row) == (row["pretrain_epochs"] == "3") for row in rows.values())


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    names = ["ignored", "<script>alert(1)</script>", "../../x", "=cmd()", "\\input{/etc/passwd}", "\ud800\x1b[2J\n"]
    names += [f"class-{n}" for n in range(6, 20)]
    results = tmp_path / "a" / "b"
    results.mkdir(parents=True)
    study = make_study(results, seeds=(0,), names=names)
    outside = Path(shutil.copytree(next((study.parent / "runs").glob("*-real-n8-s0-*")), results / "outside"))

    def hostile(plan: dict[str, Any]) -> None:
        plan["cells"][0].update(backbone="../../../out<img src=x>\ud800")
        plan["cells"][0]["roles"]["ladder:../x"] = {"run": f"../{outside.name}", "epoch": 4}

    edit(study / "plan.json", hostile)
    writer = StudyWriter(study, study.parent / "runs")
    assert {p.name for folder in (tmp_path, results.parent) for p in folder.iterdir()} == {"a", "b"}
    assert {p.name for p in results.iterdir()} == {"runs", "demo", "outside"}
    assert f"../{outside.name}" not in writer.names  # what a plan says is no reason to read elsewhere
    api = Api(study / "tensorboard")
    (cell,) = (run for run in api("scalars/tags") if run.startswith("cells/"))
    assert os.sep not in cell.removeprefix("cells/") and "<" not in cell
    (name,) = hparams_rows(api)
    assert "\ud800" not in name
    run = writer.names[next(iter(writer.names))]
    tags = api("scalars/tags")[run]
    assert "per class real/<script>alert(1)</script>" in tags and "per class real/\\ud800\\x1b[2J" in tags
    shown = json.dumps(api("pr_curves/tags"))
    assert "every fourth test scan" in shown and np.isfinite(len(shown))

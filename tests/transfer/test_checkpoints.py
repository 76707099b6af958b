"""A study that starts from an imported network: its cells, what is scored, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from lidartune.canvas import Sensor
from lidartune.cli.import_bonnetal import import_bonnetal
from lidartune.config import load_config
from lidartune.errors import UserError
from lidartune.runs.spec import NetworkForm
from lidartune.runs.store import Store
from lidartune.scoring import ConfusionMatrix
from lidartune.streetworld import WorldFolder
from lidartune.transfer.plan import Cell, Plan, grid_cells
from tests.runs.conftest import TinyStudy, open_tiny, tiny_config
from tests.runs.model_folder import direct_classes, small_folder

CELL = Cell(
    backbone="squeezesegv2", width=64, pretrain_epochs="checkpoint", freeze="none", labelled_scans=2, seed=0
)
FROZEN = dataclasses.replace(CELL, freeze="encoder")
WIDE = dataclasses.replace(CELL, width=128)
GRID = {"width": [64, 128], "pretrain_epochs": [0, "checkpoint"], "labelled_scans": [2], "seed": [0, 1]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a CRF that takes no remission, so that the study must build another network than the usual one."""
    inputs = ("range", "x", "y", "z")
    return small_folder(tmp_path_factory.mktemp("model") / "model", crf=True, inputs=inputs)


def imported(folder: Path, results: Path, *more: str) -> str:
    import_bonnetal.main([str(folder), "-o", str(results / "runs" / "mine"), *more], standalone_mode=False)
    return str(results / "runs" / "mine")


@pytest.fixture(scope="module")
def checkpoint(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return imported(folder, tmp_path_factory.mktemp("elsewhere"))


def config_with(world: WorldFolder, checkpoint: str, **changes: Any) -> Any:
    values = {"channels": 1.0, "checkpoints": {"squeezesegv2": checkpoint}, "grid": GRID}
    return tiny_config(world, **(values | changes))


@pytest.fixture(scope="module")
def study(tiny_world: WorldFolder, checkpoint: str) -> TinyStudy:
    return open_tiny(config_with(tiny_world, checkpoint), CELL, FROZEN, WIDE)


@pytest.fixture(scope="module")
def results(study: TinyStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint adopted at both widths and scored, and one fine-tuning of it."""
    results = tmp_path_factory.mktemp("results")
    for width in (64, 128):
        study.plan.checkpoints["squeezesegv2"].bring(Store(results), study.plan.adopted("squeezesegv2", width))
    for cell in (CELL, WIDE):
        done = study.carry_out(study.plan.roles[cell]["pretrained"], results, [0])
        assert [(epoch.epoch, epoch.kept) for epoch in done] == [(0, True)]
    study.carry_out(study.plan.roles[CELL]["finetuned"], results, [0, 1])
    study.carry_out(study.plan.roles[FROZEN]["start"], results, [0])
    study.carry_out(study.plan.roles[WIDE]["start"], results, [0])
    return results


def scores(results: Path, study: TinyStudy, cell: Cell, role: str) -> dict[str, Any]:
    milestone = study.plan.roles[cell][role]
    return Store(results).read_json(milestone.run, milestone.epoch, "test", "scores.json")


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_a_cell_has_the_roles_that_need_no_count_of_the_checkpoint_s_updates(study: TinyStudy) -> None:
    roles = study.plan.roles[CELL]
    assert list(roles) == ["pretrained", "start", "finetuned", "scratch_start", "scratch"]
    assert roles["pretrained"].epoch == 0 and roles["start"].run == roles["finetuned"].run
    assert study.spec("finetuned", CELL).start is not None
    assert study.spec("finetuned", CELL).start.run == roles["pretrained"].run  # type: ignore[union-attr]
    assert roles["finetuned"].run.startswith("squeezesegv2-64-imported-")
    assert "-real-2scans-none-seed0-" in roles["finetuned"].run
    json.dumps(study.plan.as_dict([]))
    assert study.plan.pretraining_epochs() == (0, 0)


def test_one_scoring_of_the_checkpoint_serves_all_seeds_and_policies_of_a_width(study: TinyStudy) -> None:
    plan = Plan(study.config, study.data)
    cells, excluded = grid_cells(study.config.grid, study.config.checkpoints)
    assert not excluded
    for cell in [*cells, FROZEN]:
        plan.add(cell)
    of_checkpoint = {cell.width: set() for cell in cells}  # type: ignore[var-annotated]
    for cell, roles in plan.roles.items():
        if cell.pretrain_epochs == "checkpoint":
            of_checkpoint[cell.width].add(roles["pretrained"].run)
    assert {width: len(runs) for width, runs in of_checkpoint.items()} == {64: 1, 128: 1}
    finetunings = [roles["finetuned"].run for cell, roles in plan.roles.items() if "finetuned" in roles]
    assert len(set(finetunings)) == len(finetunings) == 5


def test_what_it_is_compared_with_is_the_same_network(study: TinyStudy) -> None:
    form = study.spec("pretrained", CELL).network
    assert form.crf and form.inputs == ("range", "x", "y", "z")
    assert {study.spec(role, cell).network for cell in (CELL, WIDE) for role in ("scratch", "finetuned")} == {form}


def test_other_weights_are_other_runs_under_the_same_name(tiny_world: WorldFolder, tmp_path: Path) -> None:
    runs = []
    for seed in range(2):
        options: dict[str, Any] = {"crf": True, "inputs": ("range", "x", "y", "z")}
        run = imported(small_folder(tmp_path / f"model{seed}", seed=seed, **options), tmp_path / f"results{seed}")
        runs.append(open_tiny(config_with(tiny_world, run), CELL).plan.roles[CELL])
    assert not {m.run for r, m in runs[0].items() if "scratch" not in r} & {m.run for m in runs[1].values()}
    assert runs[0]["scratch"] == runs[1]["scratch"]


def test_a_backbone_without_a_checkpoint_is_left_out_with_the_reason(tiny_world: WorldFolder, checkpoint: str) -> None:
    grid = GRID | {"backbone": ["squeezesegv2", "darknet21"], "freeze": ["none", "encoder"]}
    config = config_with(tiny_world, checkpoint, grid=grid)
    cells, excluded = grid_cells(config.grid, config.checkpoints)
    starting = [cell for cell in cells if cell.pretrain_epochs == "checkpoint"]
    assert {(cell.backbone, cell.freeze) for cell in starting} == {("squeezesegv2", f) for f in ("none", "encoder")}
    reasons = {entry.reason for entry in excluded if entry.cell.pretrain_epochs == "checkpoint"}
    assert reasons == {"no checkpoint of darknet21 is named"}


# -- what is scored and trained ----------------------------------------------------------------------------------------


def test_the_zero_shot_scores_are_those_of_the_model_folder(study: TinyStudy, folder: Path, results: Path) -> None:
    for cell in (CELL, WIDE):
        sensor = Sensor(16, cell.width, 3.0, -25.0)
        for domain, data in study.data.domains.items():
            matrix = ConfusionMatrix(20)
            for scan in data.test:
                matrix.add(direct_classes(folder, scan.points, sensor), data.dataset.read(scan)[1])
            found = scores(results, study, cell, "pretrained")[domain]["points"]
            assert found == matrix.matrix.tolist()
            assert np.count_nonzero(np.sum(found, 0)) > 2, "a network that says one class everywhere shows nothing"


@pytest.mark.parametrize("cell", [CELL, FROZEN, WIDE], ids=["none", "encoder", "wide"])
def test_finetuning_begins_at_the_checkpoint_s_zero_shot_score(study: TinyStudy, results: Path, cell: Cell) -> None:
    before, start = scores(results, study, cell, "pretrained"), scores(results, study, cell, "start")
    assert before["real"] == start["real"] and before["synthetic"] == start["synthetic"]


def test_finetuning_moves_the_network_and_leaves_the_checkpoint(
    study: TinyStudy, results: Path, checkpoint: str
) -> None:
    store, roles = Store(results), study.plan.roles[CELL]
    source = Store(Path(checkpoint).parents[1]).read("mine", 0, "state", "weights.safetensors")
    assert store.read(roles["pretrained"].run, 0, "state", "weights.safetensors") == source
    old = load_tensors(source)
    new = load_tensors(store.read(roles["finetuned"].run, 1, "state", "weights.safetensors"))
    moved = {name.partition(".")[0] for name in old if not np.array_equal(old[name], new[name])}
    assert moved == {"backbone", "decoder", "head", "CRF"}
    kept = ("CRF.iter", "CRF.lcn_size", "CRF.xyz_coef", "CRF.xyz_sigma")
    assert all(np.array_equal(old[name], new[name]) for name in kept)


def test_the_checkpoint_s_normalisation_stays_with_its_weights(study: TinyStudy, results: Path) -> None:
    roles = study.plan.roles[CELL]
    facts = Store(results).read_json(roles["finetuned"].run, 1, "state", "state.json")
    assert facts["means"] == [12.12, 10.88, 0.23, -1.04, 0.21]


def test_an_imported_network_is_never_trained_on(study: TinyStudy, results: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)never trained.*epoch 3 wanted.*starts from it"):
        study.carry_out(study.plan.roles[CELL]["pretrained"], results, [0, 3])
    assert Store(results).epochs(study.plan.roles[CELL]["pretrained"].run, "metrics") == [0]


def test_scored_once_it_is_announced_again(study: TinyStudy, results: Path) -> None:
    done = study.carry_out(study.plan.roles[CELL]["pretrained"], results, [0])
    assert [(epoch.epoch, epoch.kept, epoch.validation) for epoch in done] == [(0, True, {})]


def test_a_checkpoint_that_was_not_brought_is_named(study: TinyStudy, tmp_path: Path) -> None:
    run = study.plan.roles[CELL]["pretrained"].run
    with pytest.raises(UserError, match=run):
        study.carry_out(study.plan.roles[CELL]["pretrained"], tmp_path, [0])


def test_weights_that_were_changed_in_the_store_are_not_adopted(
    study: TinyStudy, folder: Path, tmp_path: Path
) -> None:
    run = Path(imported(folder, tmp_path))
    weights = next(run.rglob("weights-*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    plan = Plan(dataclasses.replace(study.config, checkpoints={"squeezesegv2": str(run)}), study.data)
    with pytest.raises(UserError, match="damaged"):
        plan.checkpoints["squeezesegv2"].bring(Store(tmp_path), plan.adopted("squeezesegv2", 64))
    assert not list((tmp_path / "runs").glob("squeezesegv2-*"))


def test_weights_of_another_import_under_the_same_name_are_not_adopted(
    study: TinyStudy, folder: Path, tmp_path: Path
) -> None:
    run, store = imported(folder, tmp_path), Store(tmp_path)
    plan = Plan(dataclasses.replace(study.config, checkpoints={"squeezesegv2": run}), study.data)
    names = ("weights.safetensors", "state.json", "taxonomy.yaml")
    files = {name: store.read("mine", 0, "state", name) for name in names}
    tensors = load_tensors(files["weights.safetensors"])
    store.discard("mine", 0, "state")
    store.commit("mine", 0, "state", files | {names[0]: save_tensors(tensors | {"head.1.bias": np.ones(20, "f4")})})
    with pytest.raises(UserError, match="not those that it was imported with"):
        plan.checkpoints["squeezesegv2"].bring(Store(tmp_path), plan.adopted("squeezesegv2", 64))
    assert not list((tmp_path / "runs").glob("squeezesegv2-*"))


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_run_of_a_study_is_no_checkpoint(study: TinyStudy, results: Path, tiny_world: WorldFolder) -> None:
    run = results / "runs" / study.plan.roles[CELL]["finetuned"].run
    with pytest.raises(UserError, match=r"(?s)imported networks only.*checkpoints.squeezesegv2.*was trained here"):
        open_tiny(config_with(tiny_world, str(run)), CELL)


def test_no_such_checkpoint(tiny_world: WorldFolder, checkpoint: str) -> None:
    with pytest.raises(UserError, match=r"(?s)no such run.*did you mean 'mine'"):
        open_tiny(config_with(tiny_world, checkpoint.replace("mine", "mime")), CELL)


def test_another_network_than_the_study_s(tiny_world: WorldFolder, checkpoint: str) -> None:
    with pytest.raises(UserError, match=r"(?s)another network.*set channels_by_backbone.squeezesegv2=1"):
        open_tiny(config_with(tiny_world, checkpoint, channels=0.5), CELL)
    named = {"squeezeseg": checkpoint}
    with pytest.raises(UserError, match=r"(?s)another network.*name it as checkpoints.squeezesegv2"):
        open_tiny(config_with(tiny_world, checkpoint, checkpoints=named), CELL)


def test_a_checkpoint_s_own_form_holds_where_the_study_states_none(tiny_world: WorldFolder, checkpoint: str) -> None:
    def forms(**network: Any) -> set[NetworkForm]:
        study = open_tiny(config_with(tiny_world, checkpoint, network=network), CELL)
        return {work.spec.network for work in study.plan.works.values()}

    own = NetworkForm(inputs=("range", "x", "y", "z"), crf=True)
    stated = {"inputs": ["range", "x", "y", "z"], "crf": True, "circular": False, "output_stride": 16}
    assert forms() == forms(crf=True) == forms(**stated) == {own}
    for other, found, wanted in (
        ({"crf": False}, "crf: true", "crf: false"),
        ({"circular": True}, "circular: false", "circular: true"),
        ({"output_stride": 8, "crf": True}, "output_stride: 16", "output_stride: 8"),
        ({"inputs": ["x", "y", "z", "range"]}, '"range", "x", "y", "z"', '"x", "y", "z", "range"'),
    ):
        said = rf"(?s)than the study states.*checkpoints.squeezesegv2.*found: .*{found}.*wanted: .*{wanted}.*leave"
        with pytest.raises(UserError, match=said):
            forms(**other)


def test_what_counts_as_trained_on_real_scans(tiny_world: WorldFolder, folder: Path, tmp_path: Path) -> None:
    run = imported(folder, tmp_path, "--domain", "real")
    with pytest.raises(UserError, match=r"(?s)counts as trained on real scans.*--domain synthetic"):
        open_tiny(config_with(tiny_world, run), CELL)


def test_other_classes_than_the_common_ones(tiny_world: WorldFolder, tmp_path: Path) -> None:
    run = imported(small_folder(tmp_path / "model", num_classes=7), tmp_path)
    with pytest.raises(UserError, match=r"(?s)19 common classes.*7 classes, 0 included: ignored, kind 1"):
        open_tiny(config_with(tiny_world, run), CELL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: s\ncheckpoints: {squeezesegv2: x}", "no cell starts from one.*add checkpoint"),
        ("name: s\ngrid: {pretrain_epochs: [0, checkpoint]}", "none is named.*checkpoints.squeezesegv2=results/runs"),
        ("name: s\ngrid: {pretrain_epochs: checkpoint}\ncheckpoints: {darknet21: x}", "none is named.*darknet21"),
        ("name: s\ncheckpoints: {squeezesegv3: x}", "unknown backbone.*did you mean 'squeezesegv2'"),
        ("name: s\ngrid: {pretrain_epochs: [-1]}", "grid.pretrain_epochs.*a number of epochs from 0, or checkpoint"),
        ("name: s\ngrid: {pretrain_epochs: [imported]}", "a number of epochs from 0, or checkpoint"),
    ],
)
def test_a_study_that_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"(?s){message}"):
        load_config(path)

"""A run's id is a hash of what it states beyond the defaults: the same everywhere, another for another run.

Up to 0.1.0 ids hashed defaults too; since then a new field that is neutral by default leaves every id as it is.
"""

from __future__ import annotations

import dataclasses
import json

import pytest
from pydantic.dataclasses import dataclass

from lidartune.canvas import Sensor
from lidartune.runs.spec import Imported, NetworkForm, RunSpec, Start, default_of
from lidartune.training.adapt.model import Adaptation
from lidartune.training.at_start import AtStart
from lidartune.training.augment import Augmentation
from lidartune.training.joint import Joint, Teacher
from lidartune.training.loss_terms import Loss
from lidartune.training.mixing import LaserMix, PolarMix
from lidartune.training.recipe import Ema, GroupLearningRates, Recipe

SPEC = RunSpec(
    domain="real",
    start=Start(run="squeezesegv2-512-synthetic-seed3-0123456789ab", epoch=10),
    backbone="squeezesegv2",
    channels=0.25,
    canvas=Sensor(32, 512, 3.0, -25.0),
    recipe=Recipe(updates_per_epoch=16),
    freeze="encoder",
    labelled_scans=8,
    seed=3,
    train="a",
    validation={"synthetic": "b", "real": "c"},
    test={"synthetic": "d", "real": "e"},
    block=4,
    taxonomies={"synthetic": "f", "real": "g"},
    semantics=1,
)


def test_the_id_is_the_same_on_every_machine() -> None:
    assert SPEC.folder == "squeezesegv2-512-synthetic-10ep-real-8scans-encoder-seed3-076ed6b14e6c"


IMPORTED = Imported(weights="3f9a61c2" * 8, means=(0.0,) * 5, stds=(1.0,) * 5)


@pytest.mark.parametrize("network", [NetworkForm(), NetworkForm(inputs=("range", "mask"), crf=True)])
@pytest.mark.parametrize("imported", [None, IMPORTED])
def test_a_spec_survives_json(network: NetworkForm, imported: Imported | None) -> None:
    spec = dataclasses.replace(SPEC, network=network, imported=imported)
    again = RunSpec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec and again.id == spec.id


def test_a_recipe_within_recipes_survives_json() -> None:
    recipe = Recipe(updates_per_epoch=16, ema=Ema(decay=0.9), loss=Loss(focal=1.0), start=AtStart(warmup=False))
    spec = dataclasses.replace(SPEC, recipe=recipe)
    again = RunSpec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec and again.id == spec.id and again.recipe.ema == Ema(decay=0.9)


@pytest.mark.parametrize("joint", [Joint(labels="real"), Joint(teacher=Teacher(decay=0.5), mixing="polarmix")])
def test_a_joint_run_survives_json_and_says_so_in_its_name(joint: Joint) -> None:
    spec = dataclasses.replace(SPEC, joint=joint)
    again = RunSpec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec and again.id == spec.id
    word = "joint" if joint.labels == "real" else "polarmix"
    assert spec.name == f"squeezesegv2-512-synthetic-10ep-real-8scans-{word}-encoder-seed3"


def test_what_a_run_uses_of_its_start_stays() -> None:
    scaled = AtStart(learning_rate="scaled", learning_rate_factor=1.0)
    assert scaled.for_warmup(0) == AtStart() and AtStart(learning_rate_factor=0.1).for_warmup(0) == AtStart()
    tenth = AtStart(learning_rate="scaled", learning_rate_factor=0.1, warmup=False)
    assert tenth.for_warmup(3) == tenth
    kept = Recipe(start=AtStart(optimizer="kept", warmup=False), class_weights_counted_on="real")
    found = kept.for_run("none", "synthetic", backbone="darknet21", starts=True)
    assert found.start == AtStart(optimizer="kept") and found.class_weights_counted_on == "real"


def test_what_goes_on_from_an_imported_network_is_named_by_its_weights() -> None:
    imported = dataclasses.replace(SPEC, start=None, imported=IMPORTED)
    assert imported.name == "squeezesegv2-512-imported-3f9a61c2"
    finetuned = dataclasses.replace(SPEC, start=Start(run=imported.folder, epoch=0))
    assert finetuned.name == "squeezesegv2-512-imported-3f9a61c2-real-8scans-encoder-seed3"
    third = dataclasses.replace(SPEC, start=Start(run=finetuned.folder, epoch=2), freeze="none")
    assert third.name == "squeezesegv2-512-imported-3f9a61c2-real-8scans-encoder-2ep-real-8scans-none-seed3"


@pytest.mark.parametrize(
    ("adaptation", "word"),
    [
        (Adaptation(), "as_it_is"),
        (Adaptation(statistics="target", batchnorm="target_layerwise"), "statistics-adabn_layerwise"),
        (Adaptation(batchnorm="target", prior="em"), "adabn-prior_em"),
        (Adaptation(prior="oracle", scans=3), "prior_oracle"),
    ],
)
def test_an_adapted_run_survives_json_and_says_so_in_its_name(adaptation: Adaptation, word: str) -> None:
    spec = dataclasses.replace(SPEC, domain="synthetic", labelled_scans="all", adaptation=adaptation)
    again = RunSpec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec and again.id == spec.id
    assert spec.name == f"squeezesegv2-512-synthetic-10ep-adapted-{word}-seed3"


def test_raydrop_is_for_runs_on_synthetic_scans() -> None:
    recipe = Recipe(raydrop="global")
    assert recipe.for_run("none", "real", backbone="darknet21", starts=True) == Recipe()
    assert recipe.for_run("none", "synthetic", backbone="darknet21", starts=False) == recipe


def test_another_value_anywhere_is_another_run() -> None:
    others = [
        {"seed": 4},
        {"start": None},
        {"start": Start(run=SPEC.start.run if SPEC.start else "", epoch=3)},
        {"canvas": Sensor(32, 512, 3.0, -24.0)},
        {"canvas": Sensor(32, 512, 3.0, -25.0, "ring")},
        {"recipe": Recipe(updates_per_epoch=17)},
        {"recipe": Recipe(updates_per_epoch=16, sampling="sequences")},
        {"recipe": Recipe(updates_per_epoch=16, augmentation=Augmentation(rotate=True))},
        {"recipe": Recipe(updates_per_epoch=16, augmentation=Augmentation(flip=0.5))},
        {"recipe": Recipe(updates_per_epoch=16, probe_updates=5)},
        {"recipe": Recipe(updates_per_epoch=16, group_learning_rates=GroupLearningRates(encoder=0.1))},
        {"recipe": Recipe(updates_per_epoch=16, group_learning_rates=GroupLearningRates(decoder=0.1))},
        {"freeze": "none"},
        {"network": NetworkForm(crf=True)},
        {"network": NetworkForm(circular=True)},
        {"network": NetworkForm(inputs=("range", "x", "y", "z"))},
        {"network": NetworkForm(output_stride=8)},
        {"recipe": Recipe(updates_per_epoch=16, loss=Loss(lovasz=1.0))},
        {"recipe": Recipe(updates_per_epoch=16, class_weights="effective_number")},
        {"recipe": Recipe(updates_per_epoch=16, class_weights="effective_number", effective_number_beta=0.99)},
        {"recipe": Recipe(updates_per_epoch=16, class_weights_counted_on="synthetic")},
        {"recipe": Recipe(updates_per_epoch=16, schedule="cosine", cosine_updates=32)},
        {"recipe": Recipe(updates_per_epoch=16, schedule="cosine", cosine_updates=48)},
        {"recipe": Recipe(updates_per_epoch=16, accumulation=2)},
        {"recipe": Recipe(updates_per_epoch=16, clip_gradient_norm=1.0)},
        {"recipe": Recipe(updates_per_epoch=16, ema=Ema())},
        {"recipe": Recipe(updates_per_epoch=16, ema=Ema(use="milestones"))},
        {"recipe": Recipe(updates_per_epoch=16, precise_batchnorm=8)},
        {"recipe": Recipe(updates_per_epoch=16, amp="bf16")},
        {"recipe": Recipe(updates_per_epoch=16, start=AtStart(optimizer="kept"))},
        {"recipe": Recipe(updates_per_epoch=16, start=AtStart(head="new"))},
        {"other": "h"},
        {"other": "points-h"},
        {"recipe": Recipe(updates_per_epoch=16, raydrop="global")},
        {"recipe": Recipe(updates_per_epoch=16, raydrop="per_pixel")},
        {"adaptation": Adaptation()},
        {"adaptation": Adaptation(batchnorm="target")},
        {"adaptation": Adaptation(batchnorm="target", scans=8)},
        {"joint": Joint(labels="real")},
        {"joint": Joint(labels="real", share=0.25)},
        {"joint": Joint(teacher=Teacher())},
        {"joint": Joint(teacher=Teacher(threshold=0.5))},
        {"joint": Joint(teacher=Teacher(), mixing="lasermix")},
        {"joint": Joint(teacher=Teacher(), mixing="lasermix", lasermix=LaserMix(areas=(2,)))},
        {"joint": Joint(teacher=Teacher(), mixing="polarmix")},
        {"imported": IMPORTED},
        {"imported": dataclasses.replace(IMPORTED, stds=(1.0, 1.0, 1.0, 1.0, 0.5))},
        {"block": 8},
        {"taxonomies": {"synthetic": "f", "real": "h"}},
        {"semantics": 2},
    ]
    ids = {dataclasses.replace(SPEC, **change).id for change in others}  # type: ignore[arg-type]
    assert len(ids | {SPEC.id}) == len(others) + 1


def test_the_spec_on_disk_is_complete_and_an_older_one_without_new_fields_is_the_same_run() -> None:
    values = json.loads(json.dumps(SPEC.as_dict()))
    del values["network"], values["imported"]
    assert values["recipe"]["sampling"] == "uniform" and values["recipe"]["augmentation"]["rotate"] is False
    del values["other"], values["adaptation"], values["joint"]
    first = ("updates_per_epoch", "batch_size", "optimizer", "learning_rate", "warmup_updates", "decay_per_epoch")
    first += ("momentum", "weight_decay", "class_weights", "class_weight_epsilon", "batchnorm_momentum", "dropout")
    first += ("skip_gradient", "statistics_scans")
    values["recipe"] = {name: values["recipe"][name] for name in first}
    assert RunSpec.from_dict(values) == SPEC and RunSpec.from_dict(values).id == SPEC.id


def test_a_new_field_that_is_neutral_by_default_leaves_ids_as_they_are() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Later(Augmentation):
        scale: float = 0.0

    @dataclass(frozen=True, kw_only=True)
    class LaterRecipe(Recipe):
        augmentation: Augmentation = Later()
        ema: bool = False

    later = dataclasses.replace(SPEC, recipe=LaterRecipe(updates_per_epoch=16))
    assert "ema" in later.as_dict()["recipe"] and later.id == SPEC.id
    changed = dataclasses.replace(SPEC, recipe=LaterRecipe(updates_per_epoch=16, ema=True))
    assert changed.id != SPEC.id


def test_raised_semantics_are_other_runs_though_they_are_a_default() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class LaterSpec(RunSpec):
        semantics: int = 2

    values = {field.name: getattr(SPEC, field.name) for field in dataclasses.fields(SPEC) if field.name != "semantics"}
    assert LaterSpec(**values).semantics == 2 and LaterSpec(**values).id != SPEC.id


DEFAULTS = {
    "RunSpec": {
        "network": NetworkForm(),
        "imported": None,
        "other": "",
        "adaptation": None,
        "joint": None,
        "semantics": 1,
    },
    "NetworkForm": {
        "num_classes": 20,
        "inputs": ("range", "x", "y", "z", "remission"),
        "output_stride": None,
        "circular": False,
        "crf": False,
    },
    "Imported": {},
    "Start": {},
    "Sensor": {"rows": "elevation"},
    "Recipe": {
        "updates_per_epoch": 1,
        "batch_size": 8,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "warmup_updates": 0,
        "decay_per_epoch": 0.99,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "class_weights": "inverse",
        "class_weight_epsilon": 0.001,
        "batchnorm_momentum": None,
        "dropout": None,
        "skip_gradient": True,
        "statistics_scans": 500,
        "sampling": "uniform",
        "augmentation": Augmentation(rotate=False, flip=0.0, drop=0.0, jitter_m=0.0),
        "probe_updates": None,
        "group_learning_rates": GroupLearningRates(encoder=1.0, decoder=1.0, head=1.0),
        "loss": Loss(nll=1.0, focal=0.0, focal_gamma=2.0, lovasz=0.0, label_smoothing=0.0),
        "effective_number_beta": 0.999999,
        "class_weights_counted_on": "own",
        "schedule": "decay",
        "cosine_updates": None,
        "accumulation": 1,
        "clip_gradient_norm": None,
        "ema": None,
        "precise_batchnorm": None,
        "amp": "off",
        "raydrop": "off",
        "start": AtStart(
            optimizer="fresh",
            learning_rate="restarted",
            learning_rate_factor=1.0,
            warmup=True,
            head="kept",
            normalization="carried",
        ),
    },
    "Ema": {"decay": 0.999, "use": "scores"},
    "Adaptation": {"statistics": "carried", "batchnorm": "carried", "prior": "none", "scans": 500},
    "Joint": {
        "labels": "none",
        "share": 0.5,
        "mixing": "none",
        "lasermix": LaserMix(areas=(3, 4, 5, 6), fov_up_deg=3.0, fov_down_deg=-25.0),
        "polarmix": PolarMix(swap=0.5, sector_deg=180.0, paste=1.0, classes=(1, 2, 3, 4, 5, 6, 7, 8), turned_copies=2),
        "teacher": None,
    },
    "Teacher": {"decay": 0.99, "threshold": 0.9, "weight": 1.0},
    "LaserMix": {"areas": (3, 4, 5, 6), "fov_up_deg": 3.0, "fov_down_deg": -25.0},
    "PolarMix": {
        "swap": 0.5,
        "sector_deg": 180.0,
        "paste": 1.0,
        "classes": (1, 2, 3, 4, 5, 6, 7, 8),
        "turned_copies": 2,
    },
    "AtStart": {
        "optimizer": "fresh",
        "learning_rate": "restarted",
        "learning_rate_factor": 1.0,
        "warmup": True,
        "head": "kept",
        "normalization": "carried",
    },
    "Loss": {"nll": 1.0, "focal": 0.0, "focal_gamma": 2.0, "lovasz": 0.0, "label_smoothing": 0.0},
    "GroupLearningRates": {"encoder": 1.0, "decoder": 1.0, "head": 1.0},
    "Augmentation": {"rotate": False, "flip": 0.0, "drop": 0.0, "jitter_m": 0.0},
}


PARTS = [RunSpec, NetworkForm, Imported, Start, Sensor, Recipe, Augmentation, GroupLearningRates, Ema, AtStart, Loss]
PARTS += [Adaptation, Joint, Teacher, LaserMix, PolarMix]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_no_default_changes_unseen(part: type) -> None:
    found = {field.name: default_of(field) for field in dataclasses.fields(part)}
    found = {name: value for name, value in found.items() if value is not dataclasses.MISSING}
    assert found == DEFAULTS[part.__name__], (
        "ids leave out what is at its default. A changed default gives stored ids another meaning: raise SEMANTICS in "
        "lidartune/runs/spec.py. A new field must be neutral by default, and is added here."
    )

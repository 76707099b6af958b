"""A study's YAML: what is wrong is said once, with its place and what to do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lidartune.config import as_dict, from_dict, load_config
from lidartune.errors import UserError
from lidartune.runs.spec import NetworkForm
from lidartune.training.adapt.ladder import LADDER
from lidartune.training.augment import Augmentation
from lidartune.training.recipe import Recipe

STUDIES = sorted((Path(__file__).parents[1] / "study").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_that_is_shipped_is_valid(path: Path) -> None:
    config = load_config(path)
    assert from_dict(as_dict(config)) == config


def test_a_ladder_is_named_rung_by_rung_or_as_a_whole(tmp_path: Path) -> None:
    def ladder(text: str) -> tuple[str, ...]:
        return load_config(study(tmp_path, f"name: s\n{text}")).ladder

    assert ladder("") == () and ladder("ladder: adabn") == ("adabn",)
    assert ladder("ladder: [none, statistics]") == ("none", "statistics")
    assert ladder("ladder: all") == ladder("ladder: [all]") == tuple(LADDER)


def study(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: s\ngrid: {widht: [512]}", "did you mean 'width'"),
        ("name: s\nrecipe: {learning_rat: 1}", "did you mean 'learning_rate'"),
        ("name: s\ngrid: {backbone: [squezesegv2]}", "did you mean 'squeezesegv2'"),
        ("name: s\ngrid: {backbone: [darknet21], width: [1000]}", "multiple of 32"),
        ("name: s\ngrid: {width: [512, 512]}", "twice"),
        ("name: s\ngrid: {seed: []}", "empty"),
        ("name: s\ngrid: {freeze: [some]}", "grid.freeze"),
        ("name: s\nrecipe: {learning_rate: fast}", "recipe.learning_rate"),
        ("name: s\nrecipe_by_backbone: {darknet21: {updates_per_epoch: 3}}", "same number of updates"),
        ("name: s\ngrid: {labelled_scans: [8, 0%]}", "share above 0%"),
        ("name: s\ngrid: {labelled_scans: 150%}", "at most 100%"),
        ("name: s\ngrid: {labelled_scans: [x%]}", "a number of scans from 1"),
        ("name: s\ngrid: {labelled_scans: [0]}", "a number of scans from 1"),
        ("name: s\ngrid: {labelled_scans: [some]}", "grid.labelled_scans.0"),
        ("name: s\ngrid: {labelled_scans: [10%, 10 %]}", "twice"),
        ("name: s\nrecipe: {sampling: sequence}", "recipe.sampling"),
        ("name: s\nrecipe: {augmentation: {rotat: true}}", "did you mean 'rotate'"),
        ("name: s\nrecipe_second_stage: {augmentation: {flip: 2}}", "recipe_second_stage.augmentation.flip"),
        ("name: s\nrecipe: {augmentation: all}", "recipe.augmentation"),
        ("name: s\nrecipe_by_domain: {synthetc: {batch_size: 2}}", "recipe_by_domain"),
        ("name: s\nrecipe_by_domain: {real: {updates_per_epoch: 2}}", "same number of updates"),
        ("name: s\nladder: [adabm]", "(?s)ladder\n.*did you mean 'adabn'"),
        ("name: s\nladder: [adabn, none, adabn]", "named twice"),
        ("name: s\nladder: all\ngrid: {pretrain_epochs: [0]}", "nothing to stand on"),
        ("name: s\nrecipe: {raydrop: some}", "recipe.raydrop"),
        ("name: ../s", "folder's name"),
        ("name: a/b", "folder's name"),
        ("name: runs", "taken"),
        ("grid: {}", "add name"),
        ("name: s\nsearch: {sampler: tpe}", "search.trials"),
        ("name: s\ncanvas: {fov_up_deg: -30.0}", "upside down"),
        (
            "name: s\ndomains: {real: {taxonomy: t, splits: {train: [0, 8], validation: [1], test: [08]}}}",
            "train and test splits overlap",
        ),
        ("name: s\ngrid: {pretrain_epochs: [0], freeze: [encoder]}", "no cells"),
        ("name: s\ngrid: {pretrain_epochs: [0], freeze: [probe_then_full, batchnorm]}", "random weights"),
        (
            "name: s\ngrid: {backbone: [squeezeseg], pretrain_epochs: [0, 9], freeze: batchnorm}",
            "no batch normalisation",
        ),
        ("name: s\nrecipe: {group_learning_rates: {backbone: 0.1}}", "unknown key"),
        ("name: s\nrecipe: {group_learning_rates: {encoder: 0}}", "group_learning_rates.encoder"),
        ("name: s\nrecipe: {probe_updates: 0}", "recipe.probe_updates"),
        ("name: s\nresources: {gpus_per_trial: 1.5}", "whole ones"),
        ("name: s\nchannels_by_backbone: {darknet: 0.5}", "channels_by_backbone"),
        ("name: s\nnetwork: {input: [range]}", r"(?s)network.input\n.*did you mean 'inputs'"),
        ("name: s\nnetwork: {inputs: [range, remision]}", r"(?s)network.inputs\n.*'remision'.*mean 'remission'"),
        ("name: s\nnetwork: {inputs: [range, x, x]}", r"(?s)network.inputs\n.*each once"),
        ("name: s\nnetwork: {inputs: []}", r"(?s)network.inputs\n.*one or more of range, x"),
        ("name: s\nnetwork: {inputs: [{}]}", "network.inputs.0\n"),
        ("name: s\nnetwork: {crf: often}", "network.crf\n"),
        ("name: s\nnetwork: {num_classes: 7}", "unknown key"),
        ("name: s\nnetwork: {output_stride: 32}", r"(?s)squeezesegv2 has.*network.output_stride\n.*1, 2, 4, 8, 16"),
        (
            "name: s\ngrid: {backbone: [darknet21, cenet]}\nnetwork: {output_stride: 4}",
            r"(?s)cenet has no such output stride.*network.output_stride\n.*found: +4\n",
        ),
        ("name: s\ngrid: {width: [1004]}\nnetwork: {output_stride: 8}", "multiple of 8"),
        ("name: s\nnetwork: circular", "network\n"),
        ("- 1", "not a mapping"),
        ("name: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = study(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_a_backbone_that_is_not_in_the_grid_has_no_say_in_its_widths(tmp_path: Path) -> None:
    text = "name: s\ngrid: {backbone: [squeezesegv2], width: [272]}\nchannels_by_backbone: {darknet21: 0.5}"
    assert load_config(study(tmp_path, text)).grid.width == (272,)


def test_a_network_is_the_published_one_but_for_what_is_stated(tmp_path: Path) -> None:
    path = study(tmp_path, "name: s\ngrid: {width: [72, 40]}\nnetwork: {inputs: [range, x, y, z, mask], crf: true}")
    config = load_config(path, settings=["network.output_stride=8"])
    assert from_dict(as_dict(config)) == config
    form = config.network_for("squeezesegv2")
    assert form == NetworkForm(inputs=("range", "x", "y", "z", "mask"), output_stride=8, crf=True)
    one = load_config(path, settings=["network={inputs: range}", "grid.width=64"])
    assert one.network_for("darknet21") == NetworkForm(inputs=("range",)), "a single value stands for a list of one"
    same = "{inputs: [range, x, y, z, remission], crf: false, circular: false, output_stride: 16}"
    for network in ("{}", same):
        config = load_config(study(tmp_path, f"name: s\nnetwork: {network}"))
        assert config.network_for("squeezesegv2") == NetworkForm(), "so that ids stay as they are"


def test_set_replaces_single_values(tmp_path: Path) -> None:
    path = study(tmp_path, "name: s\ngrid: {width: [512]}")
    config = load_config(path, settings=["grid.width=[1024, 2048]", "recipe.learning_rate=1.0e-3", "name=other"])
    assert config.grid.width == (1024, 2048) and config.name == "other"
    assert config.recipe_for("squeezesegv2", "real", second_stage=False, updates_per_epoch=7).learning_rate == 1e-3
    with pytest.raises(UserError, match="key=value"):
        load_config(path, settings=["grid.width"])


def test_labelled_scans_are_numbers_shares_or_all(tmp_path: Path) -> None:
    path = study(tmp_path, 'name: s\ngrid: {labelled_scans: ["1%", 2.5%, 8, all]}')
    config = load_config(path)
    assert config.grid.labelled_scans == ("1%", "2.5%", 8, "all") and from_dict(as_dict(config)) == config
    assert load_config(path, settings=["grid.labelled_scans=20 %"]).grid.labelled_scans == ("20%",)


def test_augmentation_is_part_of_the_recipe(tmp_path: Path) -> None:
    path = study(tmp_path, "name: s\nrecipe_second_stage: {augmentation: {drop: 0.1}}")
    config = load_config(path, settings=["recipe.augmentation.rotate=true", "recipe.sampling=sequences"])
    first = config.recipe_for("squeezesegv2", "real", second_stage=False, updates_per_epoch=1)
    second = config.recipe_for("squeezesegv2", "real", second_stage=True, updates_per_epoch=1)
    assert first.augmentation == Augmentation(rotate=True) and first.sampling == "sequences"
    assert second.augmentation == Augmentation(drop=0.1), "the second stage's stands for all of it"


def test_off_is_off_though_yaml_reads_it_as_false(tmp_path: Path) -> None:
    """The recipe, and with it the run's id, is that of a study that does not state it."""
    text = "name: s\nrecipe: {raydrop: off, amp: off}\nrecipe_by_domain: {synthetic: {raydrop: per_pixel}}"
    config = load_config(study(tmp_path, text), settings=["recipe_second_stage.raydrop=off"])
    assert config.recipe == {"raydrop": False, "amp": False}, "as YAML 1.1 has it"
    first, second = (
        config.recipe_for("squeezesegv2", "synthetic", second_stage=later, updates_per_epoch=1)
        for later in (False, True)
    )
    assert first == Recipe(raydrop="per_pixel") and second == Recipe()
    for wrong in ("on", "no way", "0"):
        with pytest.raises(UserError, match="(?s)recipe.amp.*'off' or 'bf16'"):
            load_config(study(tmp_path, f"name: s\nrecipe: {{amp: {wrong}}}"))


def test_a_folder_given_on_the_command_line_keeps_the_file_s_splits(tmp_path: Path) -> None:
    splits = "{train: [0], validation: [1], test: [2]}"
    path = study(tmp_path, f"name: s\ndomains: {{real: {{taxonomy: semantic-kitti, splits: {splits}}}}}")
    config = load_config(path, real="/data/kitti")
    assert config.domains.real.root == "/data/kitti" and config.domains.real.splits is not None
    assert config.domains.synthetic.root is None


def test_recipes_of_backbone_and_second_stage_are_laid_over_the_common_one(tmp_path: Path) -> None:
    path = study(
        tmp_path,
        "name: s\nrecipe: {learning_rate: 0.1, batch_size: 2}\n"
        "recipe_by_backbone: {darknet21: {learning_rate: 0.2}}\nrecipe_second_stage: {warmup_updates: 5}",
    )
    config = load_config(path)
    config = dataclasses.replace(config, recipe_by_domain={"synthetic": {"sampling": "sequences"}})
    assert config.recipe_for("darknet21", "synthetic", second_stage=False, updates_per_epoch=9).sampling == "sequences"
    first = config.recipe_for("darknet21", "real", second_stage=False, updates_per_epoch=9)
    assert first.sampling == "uniform"
    second = config.recipe_for("squeezesegv2", "real", second_stage=True, updates_per_epoch=9)
    assert (first.learning_rate, first.warmup_updates, first.batch_size) == (0.2, 0, 2)
    assert (second.learning_rate, second.warmup_updates, second.updates_per_epoch) == (0.1, 5, 9)


@pytest.mark.parametrize("preset", ["bonnetal", "modern"])
def test_a_preset_lies_below_what_is_stated(tmp_path: Path, preset: str) -> None:
    config = load_config(study(tmp_path, "name: s"), settings=[f"recipe.preset={preset}", "recipe.momentum=0.5"])
    recipe = config.recipe_for("darknet21", "real", second_stage=False, updates_per_epoch=7)
    assert (recipe.momentum, recipe.warmup_updates) == (0.5, 7)
    assert recipe.optimizer == {"bonnetal": "sgd", "modern": "adamw"}[preset]
    assert recipe.batch_size == {"bonnetal": 2, "modern": 8}[preset], "bonnetal's is published by backbone"


def test_an_unknown_preset_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown preset[^$]*recipe[^$]*moderm"):
        load_config(study(tmp_path, "name: s"), settings=["recipe.preset=moderm"])


def test_a_later_layer_s_preset_lies_over_what_an_earlier_one_states(tmp_path: Path) -> None:
    text = "name: s\nrecipe: {learning_rate: 0.03, batch_size: 4}\nrecipe_second_stage: {preset: modern, batch_size: 2}"
    config = load_config(study(tmp_path, text))
    first, second = (
        config.recipe_for("squeezesegv2", "real", second_stage=stage, updates_per_epoch=7) for stage in (False, True)
    )
    assert (first.optimizer, first.learning_rate, first.batch_size) == ("sgd", 0.03, 4)
    assert (second.optimizer, second.learning_rate, second.batch_size) == ("adamw", 0.002, 2)


@pytest.mark.parametrize("section", ["recipe", "recipe_second_stage"])
def test_a_ladder_stands_on_no_real_label(tmp_path: Path, section: str) -> None:
    text = f"name: s\nladder: [adabn]\n{section}: {{class_weights_counted_on: real}}"
    with pytest.raises(UserError, match=f"(?s){section}.*class_weights_counted_on: real, in synthetic runs"):
        load_config(study(tmp_path, text))
    if section == "recipe":
        load_config(study(tmp_path, text), settings=["recipe_by_domain.synthetic.class_weights_counted_on=own"])

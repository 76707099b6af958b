"""Label maps against the published ones, users' own configs, and what a broken one is answered with."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lidartune.errors import UserError
from lidartune.scans import CLASS_COLORS, CLASS_NAMES, NUM_CLASSES, Taxonomy, built_in_taxonomies, load_taxonomy
from lidartune.scans.taxonomy import parse_taxonomy

KITTI = {
    0: [0, 1, 52, 99], 1: [10, 252], 2: [11], 3: [15], 4: [18, 258], 5: [13, 16, 20, 256, 257, 259], 6: [30, 254],
    7: [31, 253], 8: [32, 255], 9: [40, 60], 10: [44], 11: [48], 12: [49], 13: [50], 14: [51], 15: [70], 16: [71],
    17: [72], 18: [80], 19: [81],
}  # fmt: skip
KITTI_BACK = [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
SYNLIDAR = [0, 1, 4, 4, 5, 2, 3, 5, 9, 11, 10, 12, 6, 6, 6, 6, 7, 8, 13, 0, 15, 16, 17, 19, 18, 0, 14] + [0] * 6
SYNLIDAR_BACK = [0, 1, 5, 6, 3, 7, 13, 16, 17, 8, 10, 9, 11, 18, 26, 20, 21, 22, 24, 23]
COSMIX = [0 if raw in (2, 15) else common for raw, common in enumerate(SYNLIDAR)]


def expected_lookup(pairs: dict[int, int]) -> list[int]:
    return [pairs.get(raw, 255) for raw in range(65536)]


def test_semantic_kitti_is_the_published_map_for_every_id() -> None:
    taxonomy = load_taxonomy("semantic-kitti")
    assert taxonomy.lookup.tolist() == expected_lookup({raw: c for c, ids in KITTI.items() for raw in ids})
    assert taxonomy.to_raw(np.arange(20)).tolist() == KITTI_BACK
    assert taxonomy.split == {"train": (0, 1, 2, 3, 4, 5, 6, 7, 9, 10), "valid": (8,), "test": tuple(range(11, 22))}
    assert taxonomy.color_map[10] == (100, 150, 245)  # blue car: the file stores blue first


@pytest.mark.parametrize(("name", "pairs"), [("synlidar", SYNLIDAR), ("synlidar-cosmix", COSMIX)])
def test_synlidar_is_the_published_map_for_every_id(name: str, pairs: list[int]) -> None:
    taxonomy = load_taxonomy(name)
    assert taxonomy.lookup.tolist() == expected_lookup(dict(enumerate(pairs)))
    assert taxonomy.to_raw(np.arange(20)).tolist() == SYNLIDAR_BACK
    assert not taxonomy.split
    assert [taxonomy.labels[i] for i in (0, 2, 15, 23, 24, 32)] == [
        "unlabeled", "pick-up", "crowd", "traffic-sign", "pole", "other-object"]  # fmt: skip


def test_published_contents() -> None:
    kitti, synlidar = load_taxonomy("semantic-kitti"), load_taxonomy("synlidar")
    assert sum(kitti.content.values()) == pytest.approx(0.9999985, abs=5e-8)
    assert sum(synlidar.content.values()) == pytest.approx(1, abs=1e-9)
    assert set(kitti.content) == set(kitti.labels) == set(kitti.color_map) and len(kitti.labels) == 34
    assert set(synlidar.content) == set(synlidar.labels) == set(synlidar.color_map) == set(range(33))
    first, second = synlidar.class_content(), kitti.class_content()
    assert first is not None and second is not None
    ratios = dict(zip(CLASS_NAMES, first / second, strict=True))
    shares = {"motorcyclist": 205, "bicyclist": 38, "person": 19, "truck": 8.8, "bicycle": 5.4, "road": 2.1,
              "car": 0.34, "fence": 0.33, "vegetation": 0.25, "parking": 0.16}  # fmt: skip
    for name, ratio in shares.items():
        assert ratios[name] == pytest.approx(ratio, rel=0.03), name


@pytest.mark.parametrize("name", built_in_taxonomies())
def test_classes_survive_the_way_out_and_back(name: str) -> None:
    taxonomy = load_taxonomy(name)
    raw = taxonomy.to_raw(np.arange(20, dtype=np.uint8).reshape(4, 5))
    assert raw.dtype == np.uint32 and taxonomy.to_common(raw).tolist() == np.arange(20).reshape(4, 5).tolist()
    assert taxonomy.names == CLASS_NAMES and len(CLASS_NAMES) == NUM_CLASSES == 20 and CLASS_COLORS.shape == (20, 3)
    for c in range(1, 20):
        assert taxonomy.color_map[int(taxonomy.to_raw(np.array([c]))[0])] == tuple(CLASS_COLORS[c])


def test_digests_tell_maps_apart_and_nothing_else() -> None:
    digests = {load_taxonomy(name).digest for name in built_in_taxonomies()}
    assert len(digests) == len(built_in_taxonomies()) == 3
    recoloured = edited(lambda c: c["color_map"].update({10: [1, 2, 3]}))
    assert recoloured.digest == load_taxonomy("semantic-kitti").digest and recoloured == load_taxonomy("semantic-kitti")
    assert edited(lambda c: c["learning_map"].update({60: 0})).digest not in digests
    assert edited(lambda c: c["learning_map_inv"].update({1: 252})).digest not in digests


def test_a_taxonomy_is_frozen_and_travels() -> None:
    taxonomy = load_taxonomy("synlidar")
    again = pickle.loads(pickle.dumps(taxonomy))
    assert again == taxonomy and again.labels == taxonomy.labels and again.content == taxonomy.content
    with pytest.raises(ValueError, match="read-only"):
        again.lookup[1] = 2
    with pytest.raises(TypeError):
        taxonomy.labels[1] = "x"  # type: ignore[index]


def test_unknown_ids_are_listed_with_counts_and_file() -> None:
    ids = np.array([10, 12, 12, 300, 40, 70000], np.uint32)
    with pytest.raises(
        UserError, match=r"(?s)semantic-kitti.*000007.label.*id 12 \(2 points\), id 300 \(1.*id 70000 \(1"
    ):
        load_taxonomy("semantic-kitti").to_common(ids, where="000007.label")
    with pytest.raises(UserError, match=r"id -1 \(1 points\)"):
        load_taxonomy("semantic-kitti").to_common(np.array([-1, 10]))
    with pytest.raises(UserError, match=r"id 42 \(.*and 14 other ids"):
        load_taxonomy("synlidar").to_common(np.arange(33, 57))


@given(st.lists(st.integers(0, 65535), max_size=30))
@settings(max_examples=100, deadline=None)
def test_ids_are_mapped_or_named(ids: list[int]) -> None:
    taxonomy = load_taxonomy("synlidar")
    unknown = [i for i in ids if i > 32]
    if unknown:
        with pytest.raises(UserError, match=f"id {min(unknown)} "):
            taxonomy.to_common(np.array(ids, np.uint16))
    else:
        classes = taxonomy.to_common(np.array(ids, np.uint32))
        assert classes.dtype == np.uint8 and classes.tolist() == [SYNLIDAR[i] for i in ids]


def test_classes_that_are_none_are_refused() -> None:
    for classes in (np.array([20]), np.array([-1])):
        with pytest.raises(ValueError, match="0..19"):
            load_taxonomy("synlidar").to_raw(classes)


def test_a_users_config_is_read_by_path_with_only_the_maps(tmp_path: Path) -> None:
    config = {"labels": {0: "none", **{100 + c: f"thing {c}" for c in range(1, 20)}}}
    config["learning_map"] = {0: 0, **{100 + c: c for c in range(1, 20)}}  # type: ignore[dict-item]
    config["learning_map_inv"] = {0: 0, **{c: 100 + c for c in range(1, 20)}}  # type: ignore[dict-item]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config))
    taxonomy = load_taxonomy(path)
    assert taxonomy.to_common(np.array([0, 101, 119])).tolist() == [0, 1, 19]
    assert taxonomy.class_content() is None and taxonomy.name == str(path)


def base() -> dict:
    source = Path(__file__).parents[2] / "lidartune" / "scans" / "taxonomies" / "semantic-kitti.yaml"
    return yaml.safe_load(source.read_text())


def edited(change: Callable[[dict], object]) -> Taxonomy:
    config = base()
    change(config)
    return parse_taxonomy(yaml.safe_dump(config), name="mine.yaml", where="mine.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("learning_map"), "missing.*mine.yaml, key learning_map\n"),
        (lambda c: c.pop("labels"), "missing.*key labels"),
        (lambda c: c.pop("learning_map_inv"), "missing.*key learning_map_inv"),
        (lambda c: c.update(learning_map=[1, 2]), "mapping.*key learning_map"),
        (lambda c: c.update(labels=None), "mapping.*key labels"),
        (lambda c: c["learning_map"].update({70000: 1}), "learning_map.70000.*0..65535"),
        (lambda c: c["learning_map"].update({-1: 1}), "learning_map.-1.*0..65535"),
        (lambda c: c["learning_map"].update({"car": 1}), "learning_map.car.*0..65535"),
        (lambda c: c["learning_map"].update({10: 20}), "learning_map.10.*20.*0..19"),
        (lambda c: c["learning_map"].update({10: -1}), "learning_map.10.*0..19"),
        (lambda c: c["learning_map"].update({10: None}), "learning_map.10.*None"),
        (lambda c: c["learning_map"].update({10: True}), "learning_map.10.*True"),
        (lambda c: c["learning_map"].pop(99), "learning_map.99.*other-object"),
        (lambda c: c["learning_map_inv"].pop(19), r"another number of classes.*\[19\] missing.*not supported yet"),
        (lambda c: c["learning_map_inv"].update({20: 81}), "learning_map_inv.20.*0..19"),
        (lambda c: c["learning_map_inv"].update({1: 11}), "contradict.*learning_map_inv.1.*id 11"),
        (lambda c: c["learning_map_inv"].update({1: 12}), "not mapped.*learning_map_inv.1.*12"),
        (lambda c: c["content"].update({10: 1.5}), "content.10.*1.5"),
        (lambda c: c["content"].update({10: float("nan")}), "content.10.*nan"),
        (lambda c: c["content"].update({12: 0.5}), "content.12"),
        (lambda c: c["color_map"].update({10: [1, 2]}), r"color_map.10.*\[1, 2\].*blue"),
        (lambda c: c["color_map"].update({10: [1, 2, 256]}), "color_map.10.*256"),
        (lambda c: c["learning_ignore"].update({3: True}), "learning_ignore.3.*class 0"),
        (lambda c: c["learning_ignore"].update({3: 1}), "learning_ignore.3.*true or false"),
        (lambda c: c.update(split={"train": 3}), "split.train.*list"),
        (lambda c: c.update(split={"training": [3]}), "key split"),
        (lambda c: c.update(split={"train": ["a"]}), "split.train.*'a'"),
    ],
)
def test_a_broken_config_is_refused_by_file_and_key(change: Callable[[dict], object], said: str) -> None:
    with pytest.raises(UserError, match=f"(?s){said}") as caught:
        edited(change)
    assert "mine.yaml" in str(caught.value) and "next:" in str(caught.value)


def test_classes_in_another_order_are_refused() -> None:
    def swap_car_and_road(config: dict) -> None:
        swap = {1: 9, 9: 1}
        config["learning_map"] = {raw: swap.get(c, c) for raw, c in config["learning_map"].items()}
        config["learning_map_inv"].update({1: 40, 9: 10})

    with pytest.raises(UserError, match=r"(?s)otherwise.*learning_map_inv.1.*'road'.*'car'; 'road' is class 9"):
        edited(swap_car_and_road)


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    text = yaml.safe_dump({**base(), "split": None, "content": None})
    text += "content: {10: 1e-08}\nsplit: {valid: [08, 07]}\n"
    taxonomy = parse_taxonomy(text.replace("split: null\n", "").replace("content: null\n", ""), name="m", where="m")
    assert taxonomy.content == {10: 1e-8} and taxonomy.split == {"valid": (8, 7)}


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("labels:\n  0: [unclosed\nmore: }")
    with pytest.raises(UserError, match=r"(?s)not valid YAML.*broken.yaml, line 3"):
        load_taxonomy(path)
    path.write_bytes(b"\xff\xfe\x00labels")
    with pytest.raises(UserError, match=r"(?s)cannot be read.*broken.yaml"):
        load_taxonomy(path)
    for text in ("", "just text", "- 1\n- 2"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"(?s)YAML mapping.*broken.yaml"):
            load_taxonomy(path)


def test_yaml_does_not_run_code(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text(f"labels: !!python/object/apply:pathlib.Path.touch [{tmp_path}/owned]")
    with pytest.raises(UserError, match="not valid YAML"):
        load_taxonomy(path)
    assert not (tmp_path / "owned").exists()


@given(st.text(alphabet="labels:{}[]\n -019\"'&*!|>%\t", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_taxonomy_or_a_message(text: str) -> None:
    with pytest.raises(UserError):
        parse_taxonomy(text, name="fuzz", where="fuzz")


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"(?s)'semantic-kity'.*semantic-kitti, synlidar.*did you mean 'semantic-kitti'"
    ):
        load_taxonomy("semantic-kity")

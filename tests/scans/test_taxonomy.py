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
from lidartune.scans import (
    CLASS_COLORS,
    CLASS_NAMES,
    NUM_CLASSES,
    Taxonomy,
    built_in_taxonomies,
    compose,
    load_taxonomy,
)
from lidartune.scans.document import parse_document
from lidartune.scans.taxonomy import parse_taxonomy

KITTI = {
    0: [0, 1, 52, 99], 1: [10, 252], 2: [11], 3: [15], 4: [18, 258], 5: [13, 16, 20, 256, 257, 259], 6: [30, 254],
    7: [31, 253], 8: [32, 255], 9: [40, 60], 10: [44], 11: [48], 12: [49], 13: [50], 14: [51], 15: [70], 16: [71],
    17: [72], 18: [80], 19: [81],
}  # fmt: skip
KITTI_BACK = [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
SYNLIDAR = [0, 1, 4, 4, 5, 2, 3, 5, 9, 11, 10, 12, 6, 6, 6, 6, 7, 8, 13, 0, 15, 16, 17, 19, 18, 0, 14] + [0] * 6
SYNLIDAR_BACK = [0, 1, 5, 6, 3, 7, 13, 16, 17, 8, 10, 9, 11, 18, 26, 20, 21, 22, 24, 23]
MOVING = {20: [252], 21: [253], 22: [254], 23: [255], 24: [256, 257, 259], 25: [258]}  # of semantic-kitti-moving
MOVING_NAMES = (
    "moving-car", "moving-bicyclist", "moving-person", "moving-motorcyclist", "moving-other-vehicle", "moving-truck",
)  # fmt: skip
DIGESTS = {  # runs are named by them
    "semantic-kitti": "1eeae017a1536011e5e979597bad4c802f6d76a4bf5c63d9d874d6cb06894be7",
    "semantic-kitti-moving": "f006fbc5471439edaf603711ffc80c151728955e891816dd941223a015e79da5",
    "synlidar": "03ac307eb0eefcb8611ad55506807283cdb565d2d474725bea0524976d14e9fc",
    "synlidar-cosmix": "776b811bd684692bbd6edc689323816b3986f673708ad2e9d0d2435ec077ad9f",
}
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


def test_semantic_kitti_moving_is_the_published_map_for_every_id() -> None:
    taxonomy, still = load_taxonomy("semantic-kitti-moving"), load_taxonomy("semantic-kitti")
    moving = {raw for ids in MOVING.values() for raw in ids}
    pairs = {raw: c for c, ids in KITTI.items() for raw in ids if raw not in moving}
    assert taxonomy.lookup.tolist() == expected_lookup(pairs | {raw: c for c, ids in MOVING.items() for raw in ids})
    assert taxonomy.to_raw(np.arange(26)).tolist() == [*KITTI_BACK, 252, 253, 254, 255, 259, 258]
    assert taxonomy.names == CLASS_NAMES + MOVING_NAMES and taxonomy.num_classes == 26
    assert taxonomy.labels == still.labels and taxonomy.content == still.content and taxonomy.split == still.split


@pytest.mark.parametrize("name", built_in_taxonomies())
def test_every_one_of_the_ids_is_mapped_or_refused(name: str) -> None:
    taxonomy = load_taxonomy(name)
    known = np.array(sorted(taxonomy.learning_map))
    assert taxonomy.to_common(known).tolist() == [taxonomy.learning_map[raw] for raw in known.tolist()]
    for raw in np.setdiff1d(np.arange(65536), known):
        assert taxonomy.lookup[raw] == 255
    for raw in (2, 254, 255, 260, 65535, 65536, 1 << 31, 1 << 32, -1, -65526):
        if raw not in taxonomy.learning_map:
            with pytest.raises(UserError, match=rf"id {raw} \(1 points\)"):
                taxonomy.to_common(np.array([known[0], raw]))
    for dtype in (np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.uint64):
        assert taxonomy.to_common(np.array([[0, 1]], dtype)).tolist() == [[0, taxonomy.learning_map[1]]]
    assert taxonomy.to_common(np.zeros((0, 3))).shape == (0, 3)


def test_digests_stay_what_runs_were_named_by() -> None:
    assert {name: load_taxonomy(name).digest for name in built_in_taxonomies()} == DIGESTS


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
    count = 26 if name == "semantic-kitti-moving" else 20
    classes = np.arange(count, dtype=np.uint8).reshape(2, -1)
    raw = taxonomy.to_raw(classes)
    assert raw.dtype == np.uint32 and taxonomy.to_common(raw).tolist() == classes.tolist()
    assert taxonomy.num_classes == len(taxonomy.names) == count and taxonomy.names[:20] == CLASS_NAMES
    assert taxonomy.colors.shape == (count, 3) and (taxonomy.colors[:20] == CLASS_COLORS).all()
    for c in range(1, count):
        assert taxonomy.color_map[int(taxonomy.to_raw(np.array([c]))[0])] == tuple(taxonomy.colors[c])
    assert taxonomy.is_common == (count == NUM_CLASSES == 20)


def test_digests_tell_maps_apart_and_nothing_else() -> None:
    digests = {load_taxonomy(name).digest for name in built_in_taxonomies()}
    assert len(digests) == len(built_in_taxonomies()) == 4
    recoloured = edited(lambda c: c["color_map"].update({10: [1, 2, 3]}))
    assert recoloured.digest == load_taxonomy("semantic-kitti").digest and recoloured == load_taxonomy("semantic-kitti")
    assert edited(lambda c: c["learning_map"].update({60: 0})).digest not in digests
    assert edited(lambda c: c["learning_map_inv"].update({1: 252})).digest not in digests
    assert edited(lambda c: c["learning_ignore"].update({3: True})).digest not in digests


def test_a_taxonomy_is_frozen_and_travels() -> None:
    taxonomy = load_taxonomy("synlidar")
    again = pickle.loads(pickle.dumps(taxonomy))
    assert again == taxonomy and again.labels == taxonomy.labels and again.content == taxonomy.content
    assert again.names == CLASS_NAMES and again.ignore == (0,) and (again.colors == CLASS_COLORS).all()
    for array in (again.lookup, again.colors, taxonomy.colors):
        with pytest.raises(ValueError, match="read-only"):
            array[1] = 2
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
        (lambda c: c["learning_map_inv"].pop(19), "learning_map.81.*19.*0..18"),
        (lambda c: c["learning_map_inv"].pop(7), "without a gap.*learning_map_inv"),
        (lambda c: c.update(learning_map_inv={0: 0}), "without a gap.*learning_map_inv"),
        (lambda c: c["learning_map_inv"].update({255: 81}), "learning_map_inv.255.*0..254"),
        (lambda c: c["learning_map_inv"].update({1: 11}), "contradict.*learning_map_inv.1.*id 11"),
        (lambda c: c["learning_map_inv"].update({1: 12}), "not mapped.*learning_map_inv.1.*12"),
        (lambda c: c["content"].update({10: 1.5}), "content.10.*1.5"),
        (lambda c: c["content"].update({10: float("nan")}), "content.10.*nan"),
        (lambda c: c["content"].update({10: True}), "content.10.*True"),
        (lambda c: c["content"].update({10: 10**400}), "content.10"),
        (lambda c: c["content"].update({12: 0.5}), "content.12"),
        (lambda c: c["labels"].update({10: "two\nlines"}), "labels.10.*printable"),
        (lambda c: c["color_map"].update({10: [1, 2]}), r"color_map.10.*\[1, 2\].*blue"),
        (lambda c: c["color_map"].update({10: [1, 2, 256]}), "color_map.10.*256"),
        (lambda c: c["learning_ignore"].update({0: False}), "class 0 is what is ignored.*learning_ignore.0"),
        (lambda c: c.update(learning_ignore=dict.fromkeys(range(20), True)), "every class is ignored"),
        (lambda c: c["learning_ignore"].update({20: True}), "learning_ignore.20.*0..19"),
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


def test_classes_in_another_order_are_refused_where_the_common_ones_are_needed() -> None:
    def swap_car_and_road(config: dict) -> None:
        swap = {1: 9, 9: 1}
        config["learning_map"] = {raw: swap.get(c, c) for raw, c in config["learning_map"].items()}
        config["learning_map_inv"].update({1: 40, 9: 10})

    swapped = edited(swap_car_and_road)
    assert swapped.names[1] == "road" and swapped.names[9] == "car" and not swapped.is_common
    said = r"(?s)otherwise.*domains.real.*class 1 is 'road', not 'car' in mine.yaml.*ignored, then car.*next:"
    with pytest.raises(UserError, match=said):
        swapped.require_common("domains.real.taxonomy")


def test_other_numbers_of_classes_are_refused_where_the_common_ones_are_needed() -> None:
    with pytest.raises(UserError, match=r"(?s)another number of classes.*where:  semantic-kitti-moving.*26 classes"):
        load_taxonomy("semantic-kitti-moving").require_common()
    ignoring = edited(lambda c: c["learning_ignore"].update({3: True}))
    assert ignoring.ignore == (0, 3) and ignoring.names == CLASS_NAMES and not ignoring.is_common
    with pytest.raises(UserError, match=r"(?s)ignores other classes.*classes \[0, 3\] ignored"):
        ignoring.require_common()
    for name in ("semantic-kitti", "synlidar", "synlidar-cosmix"):
        load_taxonomy(name).require_common()


COARSE = """
labels: {0: unlabeled, 10: vehicle, 11: vehicle, 40: ground, 99: ground}
learning_map: {0: 0, 10: 1, 11: 1, 40: 2, 99: 0}
learning_map_inv: {0: 0, 1: 10, 2: 40, 3: 0, 4: 99}
learning_ignore: {0: true, 3: true}
color_map: {10: [1, 2, 3]}
"""


def test_configs_with_few_classes_and_unused_ignored_ones_are_read() -> None:
    """As in SemanticKITTI's own coarse config: a class that no id leads to, ignored and written as 0."""
    taxonomy = parse_taxonomy(COARSE, name="coarse", where="coarse.yaml")
    assert taxonomy.num_classes == 5 and taxonomy.ignore == (0, 3) and not taxonomy.is_common
    assert taxonomy.names == ("ignored", "vehicle", "ground", "unlabeled", "ground (4)")
    assert taxonomy.to_raw(np.arange(5)).tolist() == [0, 10, 40, 0, 99]
    assert taxonomy.colors[1].tolist() == [3, 2, 1] and len({tuple(c) for c in taxonomy.colors}) == 5
    assert pickle.loads(pickle.dumps(taxonomy)).ignore == (0, 3)
    with pytest.raises(ValueError, match=r"0\.\.4"):
        taxonomy.to_raw(np.array([5]))


def test_up_to_255_classes() -> None:
    def config(count: int) -> str:
        numbers = {c: c for c in range(count)}
        return yaml.safe_dump({"labels": numbers, "learning_map": numbers, "learning_map_inv": numbers})

    taxonomy = parse_taxonomy(config(255), name="many", where="many")
    assert taxonomy.num_classes == 255 and len(set(taxonomy.names)) == 255
    assert taxonomy.to_common(np.array([254])).tolist() == [254]
    with pytest.raises(UserError, match=r"(?s)learning_map_inv.255.*0..254"):
        parse_taxonomy(config(256), name="many", where="many")


def bridge(pairs: dict[int, int], back: dict[int, int], names: dict[int, str], **more: object) -> str:
    return yaml.safe_dump({"labels": names, "learning_map": pairs, "learning_map_inv": back, **more})


def moving_to_common() -> str:
    """A bridge from the 25 classes of semantic-kitti-moving to the 19."""
    pairs = {c: c for c in range(20)} | {20: 1, 21: 7, 22: 6, 23: 8, 24: 5, 25: 4}
    names = dict(enumerate(CLASS_NAMES + MOVING_NAMES))
    return bridge(pairs, {c: c for c in range(20)}, names)


def test_a_bridge_from_moving_classes_gives_the_single_scan_map(tmp_path: Path) -> None:
    (tmp_path / "still.yaml").write_text(moving_to_common())
    chain = load_taxonomy(f"semantic-kitti-moving+{tmp_path / 'still.yaml'}")
    single = load_taxonomy("semantic-kitti")
    assert (chain.lookup == single.lookup).all() and chain == single and chain.is_common
    assert chain.name == f"semantic-kitti-moving+{tmp_path / 'still.yaml'}" and chain.split == single.split
    np.testing.assert_array_equal(chain.class_content(), single.class_content())


TO_THREE = bridge(
    {0: 0} | {c: 1 if c < 9 else 2 if c < 13 else 3 for c in range(1, 20)},
    {0: 0, 1: 1, 2: 9, 3: 15},
    {c: {1: "thing", 9: "ground", 15: "rest"}.get(c, name) for c, name in enumerate(CLASS_NAMES)},
    color_map={9: [0, 0, 255]},
)


@pytest.mark.parametrize("name", [name for name in built_in_taxonomies() if name != "semantic-kitti-moving"])
def test_a_third_datasets_classes_are_reached_by_a_bridge(name: str, tmp_path: Path) -> None:
    (tmp_path / "three.yaml").write_text(TO_THREE)
    first, chain = load_taxonomy(name), load_taxonomy(f"{name}+{tmp_path / 'three.yaml'}")
    assert chain.names == ("ignored", "thing", "ground", "rest") and chain.colors[2].tolist() == [255, 0, 0]
    step = [0] + [1] * 8 + [2] * 4 + [3] * 7
    assert chain.lookup.tolist() == [255 if c == 255 else step[c] for c in first.lookup.tolist()]
    assert chain.to_raw(np.arange(4)).tolist() == first.to_raw(np.array([0, 1, 9, 15])).tolist()
    shares = first.class_content()
    assert shares is not None
    np.testing.assert_allclose(chain.class_content(), np.bincount(step, weights=shares))
    assert pickle.loads(pickle.dumps(chain)).names == chain.names


def test_classes_that_only_the_third_dataset_has_keep_their_names(tmp_path: Path) -> None:
    """SemanticPOSS has trashcans and cones; from the 19 classes nothing leads there."""
    pairs = {0: 0, 1: 3, 2: 12, 3: 12, 4: 0, 5: 0, 6: 1, 7: 2, 8: 2, 9: 13, 10: 13, 11: 13, 12: 13, 13: 9, 14: 11,
             15: 5, 16: 4, 17: 5, 18: 7, 19: 6}  # fmt: skip
    back = {0: 0, 1: 6, 2: 7, 3: 1, 4: 16, 5: 15, 6: 19, 7: 18, 8: 20, 9: 13, 10: 21, 11: 14, 12: 2, 13: 9}
    own = ("people", "rider", "car", "trunk", "plants", "traffic-sign", "pole", "trashcan", "building", "cone-stone",
           "fence", "bike", "ground")  # fmt: skip
    names = {back[c]: name for c, name in enumerate(own, start=1)}
    (tmp_path / "to-poss.yaml").write_text(bridge(pairs | {20: 8, 21: 10}, back, names))
    chain = load_taxonomy(f"synlidar+{tmp_path / 'to-poss.yaml'}")
    assert chain.names == ("ignored", *own) and chain.ignore == (0,)
    assert chain.to_raw(np.array([7, 8, 9, 10])).tolist() == [24, 0, 18, 0]
    shares = chain.class_content()
    assert shares is not None and shares[8] == shares[10] == 0 and shares[13] > 0.5
    labels = dict.fromkeys(range(14), "x")
    poss = bridge({c: c for c in labels}, {c: c for c in labels}, dict(enumerate(chain.names)))
    assert parse_taxonomy(poss, name="poss", where="poss").names == chain.names


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_order_in_which_a_chain_is_closed_does_not_matter(data: st.DataObject) -> None:
    def drawn(size: int, letter: str) -> tuple[Taxonomy, int]:
        classes = data.draw(st.integers(2, size))
        onto = data.draw(st.permutations([*range(1, classes), *data.draw(
            st.lists(st.integers(0, classes - 1), min_size=size - classes, max_size=size - classes))]))  # fmt: skip
        pairs = dict(enumerate([0, *onto]))
        back = {c: data.draw(st.sampled_from([raw for raw in pairs if pairs[raw] == c])) for c in range(classes)}
        names = {raw: f"{letter}{raw}" for raw in pairs}
        return parse_taxonomy(bridge(pairs, back, names), name=f"of {size}", where=f"of {size}"), classes

    first, size = drawn(data.draw(st.integers(4, 12)), "a")
    second, size = drawn(size, "b")
    third, _ = drawn(size, "c")
    left, right = compose(compose(first, second), third), compose(first, compose(second, third))
    assert left == right and left.names == right.names == third.names
    for raw in first.learning_map:
        assert left.lookup[raw] == third.lookup[second.lookup[first.lookup[raw]]]
    every = np.arange(left.num_classes)
    assert left.to_common(left.to_raw(every)).tolist() == every.tolist()


def test_a_bridge_that_does_not_fit_is_refused_by_its_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(moving_to_common().replace("  25: 4\n", "").replace("  25: moving-truck\n", ""))
    with pytest.raises(UserError, match=r"(?s)does not map all.*bridge.yaml, key learning_map\n.*25 \(moving-truck\)"):
        load_taxonomy(f"semantic-kitti-moving+{path}")
    path.write_text(bridge({0: 0, 30: 1} | {c: 1 for c in range(1, 20)}, {0: 0, 1: 30}, {0: "a", 30: "b"}))
    with pytest.raises(UserError, match=r"(?s)cannot be written.*learning_map_inv.1\n.*30, which is no class"):
        load_taxonomy(f"synlidar+{path}")
    path.write_text(bridge({0: 0, 1: 1, 2: 2, 3: 2}, {0: 0, 1: 1, 2: 3}, {0: "a", 1: "b"}))
    first = bridge({0: 0, 5: 1, 6: 2}, {0: 0, 1: 5, 2: 6, 3: 0}, {0: "none", 5: "car", 6: "road"})
    (tmp_path / "first.yaml").write_text(first)
    with pytest.raises(UserError, match=r"(?s)cannot be written.*learning_map_inv.2\n.*3, read as 0.*next:"):
        load_taxonomy(f"{tmp_path / 'first.yaml'}+{path}")


@pytest.mark.parametrize("first", built_in_taxonomies())
@pytest.mark.parametrize("second", built_in_taxonomies())
def test_datasets_of_their_own_numbers_are_no_bridges(first: str, second: str) -> None:
    """Each maps raw ids of its scans, and not the classes of another: taken for these, a bicycle would be a truck."""
    said = rf"(?s)the classes of '{first}' otherwise.*{second}, key labels\n.* is \d+ here and \d+ there.*stands alone"
    with pytest.raises(UserError, match=said):
        load_taxonomy(f"{first}+{second}")


def test_a_bridge_names_the_classes_it_takes_or_those_it_gives(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    kinds = {1: "Bicycle", 2: "traffic_sign", 3: "car"}
    first = parse_taxonomy(bridge({0: 0, 7: 1, 8: 2, 9: 3}, {0: 0, 1: 7, 2: 8, 3: 9},
                                  {7: "bicycle", 8: "traffic-sign", 9: "car"}), name="f", where="f")  # fmt: skip

    def chain(pairs: dict[int, int], back: dict[int, int], names: dict[int, str]) -> Taxonomy:
        path.write_text(bridge({0: 0} | pairs, {0: 0} | back, {0: "none"} | names))
        return compose(first, load_taxonomy(path))

    assert chain({1: 1, 2: 2, 3: 3}, {1: 1, 2: 2, 3: 3}, kinds).names == ("ignored", *kinds.values())
    assert chain({1: 2, 2: 1, 3: 1}, {1: 2, 2: 1}, {1: "two wheels", 2: "rest"}).names[1:] == ("rest", "two wheels")
    merged = chain({1: 1, 2: 2, 3: 1}, {1: 1, 2: 2}, {1: "car", 2: "sign"})  # class 1 of those that come out is "car"
    assert merged.names == ("ignored", "car", "sign")
    said = r"(?s)of 'f' otherwise.*bridge.yaml, key labels\n.*found: +'Car' is 1 here and 3 there\n.*next:"
    with pytest.raises(UserError, match=said):
        chain({1: 1, 2: 2, 3: 3}, {1: 1, 2: 2, 3: 3}, {1: "Car", 2: "traffic sign", 3: "Cycle"})
    with pytest.raises(UserError, match="'bicycle' is 2 here and 1 there; 'traffic_sign' is 1 here and 2 there"):
        chain({1: 1, 2: 2, 3: 3}, {1: 1, 2: 2, 3: 3}, {1: "traffic_sign", 2: "bicycle"})


def test_names_of_what_is_ignored_say_nothing_about_a_bridge() -> None:
    """A class that nothing leads to has the name of the ignored id that is written for it."""
    few = parse_taxonomy(bridge({0: 0, 7: 1, 8: 2}, {0: 0, 1: 7, 2: 8, 3: 0}, {0: "none"}), name="f", where="f")
    to_two = bridge({0: 0, 1: 1, 2: 0, 3: 2}, {0: 0, 1: 1, 2: 3}, {0: "none", 1: "car", 2: "none"})
    assert few.names[3] == "none" and compose(few, parse_taxonomy(to_two, name="s", where="s")).num_classes == 3
    used = parse_taxonomy(bridge({7: 1, 9: 2, 0: 0}, {0: 0, 1: 7, 2: 9}, {9: "none"}), name="u", where="u")
    two = bridge({0: 0, 1: 1, 2: 2}, {0: 0, 1: 1, 2: 2}, {0: "none", 1: "car"})
    assert compose(used, parse_taxonomy(two, name="s", where="s")).num_classes == 3


def test_a_class_of_a_chain_that_nothing_leads_to_is_written_as_ignored() -> None:
    """Never as an id that is read back as another class, whatever the second file says."""
    first = bridge({0: 0, 1: 1, 2: 1}, {0: 0, 1: 1, 2: 2}, {0: "none", 1: "car", 2: "bus"})
    with pytest.raises(UserError, match=r"(?s)written as another.*learning_map_inv.2\n.*id 2, which is read.*class 1"):
        parse_taxonomy(first, name="first", where="first.yaml")
    one = parse_taxonomy(bridge({0: 0, 1: 1, 2: 1, 3: 2}, {0: 0, 1: 1, 2: 3}, {0: "a"}), name="one", where="one")
    two = parse_taxonomy(bridge({0: 0, 1: 1, 2: 1, 3: 2}, {0: 0, 1: 1, 2: 3}, {0: "a"}), name="two", where="two")
    chain = compose(one, two)  # nothing of the first is 3, so nothing is class 2
    assert chain.to_raw(np.arange(3)).tolist() == [0, 1, 0]
    stray = parse_taxonomy(bridge({0: 0, 1: 1, 2: 2, 3: 3}, {0: 0, 1: 1, 2: 2, 3: 3}, {0: "a"}), name="s", where="s")
    few = parse_taxonomy(bridge({0: 0, 1: 1, 5: 1, 9: 2}, {0: 0, 1: 5, 2: 9, 3: 0}, {0: "a"}), name="few", where="few")
    assert compose(few, stray).to_raw(np.arange(4)).tolist() == [0, 5, 9, 0]


def test_a_chain_writes_an_id_that_its_end_ignores() -> None:
    """Where the second file counts what is class 0 of the first."""
    first = parse_taxonomy(bridge({0: 0, 7: 1, 8: 2}, {0: 0, 1: 7, 2: 8}, {0: "a"}), name="f", where="f.yaml")
    second = bridge({0: 1, 1: 0, 2: 2, 3: 3}, {0: 1, 1: 0, 2: 2, 3: 3}, {0: "a"})
    chain = compose(first, parse_taxonomy(second, name="s", where="s.yaml"))
    assert chain.to_raw(np.arange(4)).tolist() == [7, 0, 8, 7]
    second = bridge({0: 1, 1: 1, 2: 2, 3: 0}, {0: 3, 1: 0, 2: 2}, {0: "a"})
    with pytest.raises(UserError, match=r"(?s)nothing of 'f' is ignored.*s, key learning_map\n.*leads to 0.*next:"):
        compose(first, parse_taxonomy(second, name="s", where="s.yaml"))


def test_a_dataset_without_an_ignored_id_needs_one() -> None:
    said = r"(?s)written as another.*mine.yaml, key learning_map_inv.0\n.*id 10.*class 1.*next:.*`learning_map` with 0"
    with pytest.raises(UserError, match=said):
        parse_taxonomy(bridge({10: 1, 40: 2}, {0: 10, 1: 10, 2: 40}, {10: "car"}), name="m", where="mine.yaml")
    taxonomy = parse_taxonomy(
        bridge({10: 1, 40: 2, 255: 0}, {0: 255, 1: 10, 2: 40}, {10: "car"}), name="m", where="mine.yaml"
    )
    assert taxonomy.to_raw(np.arange(3)).tolist() == [255, 10, 40]


def test_a_file_whose_name_has_a_plus_is_one_file(tmp_path: Path) -> None:
    still, three = tmp_path / "a+b.yaml", tmp_path / "three+.yaml"
    still.write_text(moving_to_common())
    three.write_text(TO_THREE)
    assert load_taxonomy(still).num_classes == 20
    assert load_taxonomy(f"semantic-kitti-moving+{still}+{three}").num_classes == 4
    said = r"(?s)no such taxonomy.*where:  semantic-kitti\+synlider.*'synlider'.*'synlidar'"
    with pytest.raises(UserError, match=said):
        load_taxonomy("semantic-kitti+synlider")
    for text in ("+", "", "synlidar+", "+synlidar", "~nobody-at-all/x.yaml", "x\0y", str(tmp_path)):
        with pytest.raises(UserError, match="no such taxonomy"):
            load_taxonomy(text)


def test_a_key_that_stands_twice_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(yaml.safe_dump(base(), sort_keys=False) + "learning_map: {0: 0}\n")
    line = len(path.read_text().splitlines())
    with pytest.raises(UserError, match=rf"(?s)twice.yaml, line {line}\n.*'learning_map' stands here twice"):
        load_taxonomy(path)


@pytest.mark.parametrize("key", ["0x1", "1.0", "yes", "01", "0b1", "+1", "1_", "true"])
def test_one_key_in_two_spellings_is_refused(key: str, tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(f"labels: {{0: none, 1: car}}\nlearning_map: {{0: 0, 1: 1, {key}: 2}}\n")
    with pytest.raises(UserError, match=r"(?s)twice.yaml, line 2\n.*the keys '1' and '.*' are the same"):
        load_taxonomy(path)


def test_keys_that_only_look_alike_are_two() -> None:
    assert parse_document("{1: a, '1': b, yes1: c, 2: {1: d}}", "x") == {1: "a", "1": "b", "yes1": "c", 2: {1: "d"}}
    text = bridge({0: 0, 1: 1, 8: 1}, {0: 0, 1: 1}, {0: "a"}).replace("8: 1", "8: 1\n  08: 1")
    with pytest.raises(UserError, match=r"(?s)stands here twice.*mine.yaml, key learning_map.08\n"):
        parse_taxonomy(text, name="m", where="mine.yaml")


@pytest.mark.parametrize("number", ["010", "0_10", "-010", "0017", "0" * 9 + "7" * 500])
@pytest.mark.parametrize("place", ["labels: {%s: a}", "labels: {1: b}\nsplit: {valid: [08, %s]}"])
def test_numbers_that_yaml_reads_as_octal_are_refused(number: str, place: str) -> None:
    read = str(int(number, 8))[:9]
    said = rf"(?s)mine.yaml, line \d\n.*'{number[:9]}.*reads as octal: {read}.*next:"
    with pytest.raises(UserError, match=said) as caught:
        parse_document(place % number, "mine.yaml")
    assert len(str(caught.value)) < 500


def test_leading_zeros_that_change_nothing_are_read() -> None:
    assert parse_document("[00, 01, 07, -07, 08, 09, '010', 0x10, 0.010]", "x") == [
        0, 1, 7, -7, "08", "09", "010", 16, 0.01]  # fmt: skip


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match=r"(?s)too large.*large.yaml.*1,099,511,627,776 bytes"):
        load_taxonomy(path)


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
        UserError, match=r"(?s)'semantic-kity'.*semantic-kitti, .*synlidar.*did you mean 'semantic-kitti'"
    ):
        load_taxonomy("semantic-kity")

"""What a world is made from: validation, digest, splits."""

from __future__ import annotations

import dataclasses

import pytest

from lidartune.errors import UserError
from lidartune.streetworld import spec as spec_module
from lidartune.streetworld.spec import WorldSpec


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 1.5),
        ("geometry_gap", 1.1),
        ("sensor_gap", -0.1),
        ("sensor_gap", float("nan")),
        ("geometry_gap", "1"),
        ("beams", 2),
        ("beams", True),
        ("columns", 10),
        ("scans_per_sequence", 0),
        ("real_test", 0),
    ],
)
def test_a_bad_value_is_named(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name) as error:
        WorldSpec(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(error.value)
    assert "wanted:" in str(error.value)


def test_every_field_changes_the_digest() -> None:
    other = {f.name: 5 for f in dataclasses.fields(WorldSpec)} | {"geometry_gap": 0.5, "sensor_gap": 0.5, "columns": 64}
    digests = {dataclasses.replace(WorldSpec(), **{name: value}).digest for name, value in other.items()}
    assert len(digests | {WorldSpec().digest}) == len(other) + 1


def test_digest_knows_the_version_and_not_how_a_number_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WorldSpec(geometry_gap=1).digest == WorldSpec(geometry_gap=1.0).digest
    before = WorldSpec().digest
    monkeypatch.setattr(spec_module, "WORLD_VERSION", spec_module.WORLD_VERSION + 1)
    assert WorldSpec().digest != before


def test_splits_share_no_sequence_and_count_upward() -> None:
    splits = WorldSpec(synthetic_train=3, synthetic_validation=1, synthetic_test=2).splits["synthetic"]
    assert splits == {"train": [0, 1, 2], "validation": [3], "test": [4, 5]}


def test_default_size() -> None:
    spec = WorldSpec()
    scans = {
        domain: {split: len(numbers) * spec.scans_per_sequence for split, numbers in splits.items()}
        for domain, splits in spec.splits.items()
    }
    assert scans["synthetic"] == {"train": 96, "validation": 8, "test": 24}
    assert scans["real"] == {"train": 48, "validation": 8, "test": 24}

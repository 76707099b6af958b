"""A study's YAML with accidents: it is read, or refused by file and with what to do."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from lidartune.config import StudyConfig, load_config
from tests.accidents import attempt, mutated_yaml

STUDIES, STUDY = 1000, Path(__file__).parents[1] / "study" / "smoke.yaml"


def test_studies(tmp_path: Path) -> None:
    rng, path, right = random.Random(5), tmp_path / "mine.yaml", 0
    whole = STUDY.read_bytes()
    for _ in range(STUDIES):
        data = mutated_yaml(whole, rng)
        path.write_bytes(data)
        study = attempt(partial(load_config, path), path, data=data)
        assert study is None or isinstance(study, StudyConfig)
        right += study is not None
    assert right > STUDIES / 50

"""What a point of a search changes in the study's recipes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lidartune.runs.spec import Domain


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Recipe fields of a cell that are not the study's, as JSON texts, so that a cell can be a key.

    `finetuning` holds in every run of the cell that starts from a milestone and in every run on real scans: a
    fine-tuning and its references then differ in nothing else. `pretraining` holds in the synthetic runs from nothing.
    Fields inside a field are named with a dot: `start.normalization`.
    """

    name: str
    finetuning: str = "{}"
    pretraining: str = "{}"

    @classmethod
    def of(cls, name: str, finetuning: Mapping[str, Any], pretraining: Mapping[str, Any]) -> Variant | None:
        """None where nothing is changed: the cell is then one of a grid."""
        if not finetuning and not pretraining:
            return None
        return cls(
            name=name,
            finetuning=json.dumps(dict(finetuning), sort_keys=True),
            pretraining=json.dumps(dict(pretraining), sort_keys=True),
        )

    def changes(self, domain: Domain, *, second_stage: bool) -> dict[str, Any]:
        """The fields to lay over the recipe of a run."""
        changed: dict[str, Any] = json.loads(self.finetuning if second_stage or domain == "real" else self.pretraining)
        return changed

    def as_dict(self) -> dict[str, Any]:
        """As plan.json holds it."""
        return {
            "name": self.name,
            "finetuning": json.loads(self.finetuning),
            "pretraining": json.loads(self.pretraining),
        }

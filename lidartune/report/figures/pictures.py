"""Pictures of one real test scan, as the runs have kept them: range, prediction, truth and error."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lidartune.report.committed import committed_file
from lidartune.report.figures.telling import best_and_worst, key_of, words
from lidartune.report.results import CellResult, StudyResults

STAGES = {"start": "before fine-tuning", "finetuned": "after fine-tuning", "scratch": "from scratch"}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture: `name` is its file's, `setting` and `stage` say which network drew it."""

    name: str
    what: str
    setting: str
    stage: str
    png: bytes


def pictures(results: StudyResults, frames: dict[str, pd.DataFrame]) -> list[Picture]:
    """Of the settings with the largest and the smallest gain: the first seed that has pictures, at each stage."""
    found = []
    for what, setting in best_and_worst(frames["gap"]):
        for cell in (cell for cell in results.cells if cell.key == key_of(setting)):
            own = {stage: png for stage in STAGES if (png := _picture(results, cell, stage)) is not None}
            if own:
                short = what.removeprefix("the ").replace(" ", "-")
                said = f"{words(setting)}, seed {cell.seed}"
                found += [
                    Picture(name=f"scan-{short}-{role}", what=what, setting=said, stage=STAGES[role], png=png)
                    for role, png in own.items()
                ]
                break
    return found


def _picture(results: StudyResults, cell: CellResult, role: str) -> bytes | None:
    place = cell.roles.get(role)
    if place is None or place.score is None:
        return None
    return committed_file(results.runs_root / place.run, place.epoch, "test", "picture-real.png")[0]

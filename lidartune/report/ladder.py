"""The ladder's table: what each rung brings on the real test split before a real label is used, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lidartune.report.columns import interval_fields
from lidartune.report.groups import mean_score, plain_reason
from lidartune.report.results import CellResult, StudyResults
from lidartune.report.texts import TextTable, closed, percent, with_half_width
from lidartune.transfer import gap
from lidartune.transfer.roles import LADDER_ROLE

if TYPE_CHECKING:
    from lidartune.training.adapt.ladder import Rung

TOP, TOP_LONGER = "real_to_real", "real_to_real_longer"
"""Where the ladder leans: trained on all labelled real scans for as many updates as the pretraining took; and for as
many more as the rungs that train on take."""
_TOPS = {
    TOP: ("full_equal", "Trained on all labelled real scans for as many updates as the pretraining."),
    TOP_LONGER: ("full_longer", "The same for as many updates as pretraining and a rung that trains on together."),
}
_CONTROL = "synthetic_synthetic"
_HEADS = ("backbone", "width", "pre\nepochs")
_FIGURES = ("mIoU", "mIoU\nover none", "domain gap\nclosed", "accu-\nracy", "accuracy\nover none")


@dataclass(frozen=True, kw_only=True)
class RungResult:
    """One rung for the networks of one setting, over their seeds; figures on the real test split.

    Attributes:
        miou, accuracy: means over seeds; accuracy is the share of labelled points with the right class.
        over_none, accuracy_over_none: differences to rung `none`, paired by seed.
        over_control: of a rung that trains on: the difference to the same updates without real scans; else n/a.
        closed: (this - none) / (top - none), with Fieller's interval: TOP, or TOP_LONGER for a rung that trains on, so
            that both have as many updates.
        status: `done`, `left out`, or what the first seed that is not there is: failed, blocked, missing.
    """

    backbone: str
    width: int
    pretrain_epochs: int
    rung: str
    sentence: str
    oracle: bool
    seeds: int
    status: str
    reason: str
    miou: gap.Interval
    accuracy: gap.Interval
    over_none: gap.Interval
    accuracy_over_none: gap.Interval
    over_control: gap.Interval
    closed: gap.Interval

    @property
    def key(self) -> tuple[str, int, int]:
        return self.backbone, self.width, self.pretrain_epochs


def rung_results(results: StudyResults) -> list[RungResult]:
    """All rungs of all settings, in the ladder's order, then TOP, and TOP_LONGER where a rung trains on; nothing where
    the study has no ladder."""
    if "rungs" not in results.cache:
        results.cache["rungs"] = _rung_results(results)
    rungs: list[RungResult] = results.cache["rungs"]
    return rungs


def _rung_results(results: StudyResults) -> list[RungResult]:
    settings: dict[tuple[str, int, int], dict[int, CellResult]] = {}
    for cell in results.cells if results.rungs else ():
        if isinstance(cell.pretrain_epochs, int) and cell.pretrain_epochs:
            seeds = settings.setdefault((cell.backbone, cell.width, cell.pretrain_epochs), {})
            seeds.setdefault(cell.seed, cell)  # freezing and labelled scans come after the ladder: all cells have it
    tops = (TOP, TOP_LONGER) if any(_trains_on(rung) for rung in results.rungs) else (TOP,)
    return [
        _rung_result(results, key, rung, [cells[seed] for seed in sorted(cells)])
        for key, cells in settings.items()
        for rung in (*results.rungs, *tops)
    ]


def _known(rung: str) -> Rung | None:
    """The rung of that name; None where this version has none."""
    from lidartune.training.adapt.ladder import LADDER  # brings what trains: not for studies without a ladder

    found: Rung | None = LADDER.get(rung)  # type: ignore[call-overload]
    return found


def _trains_on(rung: str) -> bool:
    known = _known(rung)
    return known is not None and known.joint is not None


def _reads_real_labels(rung: str) -> bool:
    from lidartune.transfer.ladder import reads_real_labels

    known = _known(rung)
    return rung in _TOPS or (known is not None and reads_real_labels(known))


def _rung_result(
    results: StudyResults, key: tuple[str, int, int], rung: str, cells: Sequence[CellResult]
) -> RungResult:
    known = _known(rung)
    trains_on = _trains_on(rung)
    role, sentence = _TOPS.get(rung, (LADDER_ROLE + rung, known.sentence if known else ""))
    top_role, _ = _TOPS[TOP_LONGER if trains_on else TOP]
    score, accuracy, none, accuracy_none, control, top = (
        np.array([figure(results, cell, name) for cell in cells])
        for figure, name in (
            (_miou, role), (_accuracy, role), (_miou, f"{LADDER_ROLE}none"), (_accuracy, f"{LADDER_ROLE}none"),
            (_miou, _CONTROL), (_miou, top_role),
        )
    )  # fmt: skip
    absent = np.full(len(cells), np.nan)
    status, reason = _status(results, key[0], rung, role, cells)
    return RungResult(
        backbone=key[0],
        width=key[1],
        pretrain_epochs=key[2],
        rung=rung,
        sentence=sentence,
        oracle=_reads_real_labels(rung),
        seeds=len(cells),
        status=status,
        reason=reason,
        miou=gap.t_interval(score),
        accuracy=gap.t_interval(accuracy),
        over_none=gap.paired_difference(score, none if rung != "none" else absent),
        accuracy_over_none=gap.paired_difference(accuracy, accuracy_none if rung != "none" else absent),
        over_control=gap.paired_difference(score, control if trains_on else absent),
        closed=gap.gap_closed(score if rung != "none" and rung not in _TOPS else absent, none, top),
    )


def _miou(results: StudyResults, cell: CellResult, role: str) -> float:
    return mean_score(results, cell, role, "real")


def _accuracy(results: StudyResults, cell: CellResult, role: str) -> float:
    """The share of the labelled points whose class is right; "ignored" on one is an error."""
    matrix = cell.matrix(role, "real")
    if matrix is None or not matrix[1:].sum():
        return float("nan")
    return float(np.diagonal(matrix)[1:].sum() / matrix[1:].sum())


def _status(
    results: StudyResults, backbone: str, rung: str, role: str, cells: Sequence[CellResult]
) -> tuple[str, str]:
    if (backbone, rung) in results.rungs_excluded:
        return "left out", results.rungs_excluded[backbone, rung]
    said: dict[str, list[str]] = {}
    statuses = []
    for cell in cells:
        found = cell.roles.get(role)
        if found is not None and found.score is not None:
            continue
        failure = results.failures.get(found.run, {}) if found is not None else {}
        statuses.append(str(failure.get("kind", "missing")))
        problem = failure.get("message") or (found.problem if found is not None else "not in the plan")
        said.setdefault(f"{statuses[-1]}: {plain_reason(str(problem))}", []).append(str(cell.seed))
    reason = "; ".join(f"seed {', '.join(seeds)} {text}" for text, seeds in said.items())
    return (statuses[0] if statuses else "done"), reason


# -- what people and programs read ------------------------------------------------------------------------------------


def ladder_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting x rung, TOP and TOP_LONGER last: figures as mean, low, high (95 % interval) and seeds."""
    rows = []
    for row in rung_results(results):
        fields: dict[str, Any] = {
            "backbone": row.backbone, "width": row.width, "pretrain_epochs": row.pretrain_epochs, "rung": row.rung,
            "sentence": row.sentence, "reads_real_labels": "yes" if row.oracle else "no", "seeds_planned": row.seeds,
            "status": row.status, "reason": row.reason,
        }  # fmt: skip
        for name, interval in (
            ("miou", row.miou),
            ("miou_over_none", row.over_none),
            ("domain_gap_closed", row.closed),
            ("accuracy", row.accuracy),
            ("accuracy_over_none", row.accuracy_over_none),
            ("miou_over_control", row.over_control),
        ):
            fields |= interval_fields(name, interval)
        rows.append(fields)
    return pd.DataFrame(rows)


def ladder_text(results: StudyResults, *, sentences: bool) -> list[TextTable]:
    """The table for people, with what each rung does where `sentences`; no table where the study has no ladder."""
    rows = rung_results(results)
    if not rows:
        return []
    keys = [tuple(map(str, row.key)) for row in rows]
    varying = [i for i in range(len(_HEADS)) if len({key[i] for key in keys}) > 1]
    control = any(not np.isnan(row.over_control.mean) for row in rows)
    heads = [*(_HEADS[i] for i in varying), "rung", *(["what is done"] if sentences else []), "seeds"]
    texts = []
    for row, key in zip(rows, keys, strict=True):
        seeds = f"{int(row.miou.seeds)}/{row.seeds}" + ("" if row.status == "done" else f" {row.status}")
        name = row.rung + (" (labels)" if row.oracle else "")
        figures = [percent(row.miou.mean), with_half_width(row.over_none), closed(row.closed)]
        figures += [percent(row.accuracy.mean), with_half_width(row.accuracy_over_none)]
        figures += [with_half_width(row.over_control)] if control else []
        texts.append([*(key[i] for i in varying), name, *([row.sentence] if sentences else []), seeds, *figures])
    table = TextTable(
        title="The ladder: from synthetic to real before a real label is used",
        heads=[*heads, *_FIGURES, *(["mIoU\nover\ncontrol"] if control else [])],
        rows=texts,
        left=len(heads),
        notes=_notes(rows, control),
    )
    return [table]


def _notes(rows: Sequence[RungResult], control: bool) -> list[str]:
    notes = [
        f"Scored on the real test split; over none: difference to rung none, paired by seed. Domain gap closed: that "
        f"over the same difference of {TOP}, n/a where the interval of the latter is not wholly above 0. (labels): "
        "reads labels of real scans, an upper bound."
    ]
    if control:
        notes.append(
            "Rungs that train on have more updates than none. Their domain gap closed is of the way to "
            f"{TOP_LONGER}, with as many. Over control: less the same updates on synthetic scans alone (synthetic "
            "then synthetic)."
        )
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.status != "done":
            where = row.rung if row.status != "left out" else f"{row.rung} of {row.backbone}"
            text = row.reason if row.status != "left out" else f"left out, {row.reason}"
            said.setdefault(text, [])
            said[text] += [where] if where not in said[text] else []
    return notes + [f"{', '.join(names)}: {reason}." for reason, names in said.items()]

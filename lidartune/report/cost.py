"""What a setting costs: updates, and hours and energy where the timing records have them.

Kept apart from all other tables: times differ from machine to machine and from day to day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lidartune.report.columns import key_fields
from lidartune.report.committed import committed_json
from lidartune.report.groups import group_cells
from lidartune.report.plain_text import plain_name
from lidartune.report.results import CHECKPOINT, CellResult, StudyResults
from lidartune.report.texts import NA, TextTable, count, key_columns

# Stage -> the role whose run it is.
STAGES = {
    "pretraining": "pretrained", "finetuning": "finetuned", "scratch": "scratch", "scratch_longer": "scratch_longer",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the epochs of a run took; `energy_kwh` is nan where nothing measured it."""

    hours: float
    energy_kwh: float
    devices: frozenset[str]


def read_spent(results: StudyResults, run: str, last_epoch: int) -> Spent | None:
    """Training and scoring of epochs 0..last_epoch of a run; None where any of them has no whole record."""
    epochs = []
    for epoch in range(last_epoch + 1):
        if (run, epoch) not in results.timings:
            results.timings[run, epoch] = _read_epoch(results, run, epoch)
        epochs.append(results.timings[run, epoch])
    there = [epoch for epoch in epochs if epoch is not None]
    if len(there) < len(epochs):
        return None
    return Spent(
        hours=sum(each.hours for each in there),
        energy_kwh=float(np.sum([each.energy_kwh for each in there])),
        devices=frozenset().union(*(each.devices for each in there)),
    )


def _read_epoch(results: StudyResults, run: str, epoch: int) -> Spent | None:
    data, _ = committed_json(results.runs_root / run, epoch, "timing", "timing.json")
    try:
        seconds = [float((data or {})["seconds"][part]) for part in ("train", "score")]
        joules = float((data or {}).get("energy_joules") or np.nan)
    except (KeyError, TypeError, ValueError):
        return None
    device = plain_name((data or {}).get("device", ""))
    return Spent(hours=sum(seconds) / 3600, energy_kwh=joules / 3.6e6, devices=frozenset([device] if device else []))


def cost_table(results: StudyResults) -> pd.DataFrame:
    """One row a setting: the updates of its stages, and mean hours over `timed_seeds` seeds, n/a without records.

    Hours are of training and scoring, on whatever `devices` the runs were made. `energy_kwh_*` are columns only where a
    record has it.
    """
    rows = []
    for group in group_cells(results):
        epochs = group.key[2]
        before = epochs * results.updates_per_epoch if isinstance(epochs, int) else np.nan
        after = results.finetune_epochs * results.updates_per_epoch
        row: dict[str, Any] = key_fields(group) | {
            "updates_pretraining": before, "updates_finetuning": after, "updates_total": before + after,
        }  # fmt: skip
        spent = {stage: [_spent(results, cell, role) for cell in group.cells] for stage, role in STAGES.items()}
        for stage, seeds in spent.items():
            row[f"hours_{stage}"] = _mean([each.hours for each in seeds if each is not None])
        for stage, seeds in spent.items():
            row[f"energy_kwh_{stage}"] = _mean([each.energy_kwh for each in seeds if each is not None])
        ends = spent["scratch" if epochs == 0 else "finetuning"]
        row["timed_seeds"] = sum(each is not None for each in ends)
        devices = {device for seeds in spent.values() for each in seeds if each for device in each.devices}
        rows.append(row | {"devices": ", ".join(sorted(devices))})
    frame = pd.DataFrame(rows)
    measured = [c for c in frame.columns if not c.startswith("energy_kwh") or frame[c].notna().any()]
    return frame[measured]


def _spent(results: StudyResults, cell: CellResult, role: str) -> Spent | None:
    place = cell.roles.get(role)
    if role == "pretrained" and cell.pretrain_epochs == CHECKPOINT:
        return None  # its run here is its scoring; nobody knows what its training took
    return None if place is None or place.score is None else read_spent(results, place.run, place.epoch)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def cost_text(results: StudyResults, frame: pd.DataFrame) -> TextTable:
    """For people."""
    records = frame.to_dict("records")
    heads, keys, constant = key_columns(records)
    figures = [name for name in frame.columns if name.startswith(("updates_", "hours_", "energy_kwh_"))]
    rows = [
        [*key, *(_figure(name, row[name]) for name in figures), str(row["timed_seeds"])]
        for row, key in zip(records, keys, strict=True)
    ]
    devices = sorted({row["devices"] for row in records if row["devices"]})
    hours = _all_hours(results)
    notes = [
        *constant,
        "Hours a seed, of training and scoring together, on the machines that happened to run it"
        + (f" ({'; '.join(devices)})" if devices else "")
        + "; scratch longer: for as many updates as pretraining and fine-tuning together. n/a: not every epoch timed.",
        *([f"{hours}."] if hours else []),
    ]
    heads = [*heads, *(_HEADS.get(name, name.replace("_", "\n")) for name in figures), "seeds\ntimed"]
    return TextTable(title="Cost", heads=heads, rows=rows, left=len(keys[0]) if keys else 1, notes=notes)


_HEADS = {
    "updates_pretraining": "updates,\npretraining", "updates_finetuning": "updates,\nfine-tuning",
    "updates_total": "updates,\ntotal", "hours_pretraining": "hours,\npretraining",
    "hours_finetuning": "hours,\nfine-tuning", "hours_scratch": "hours,\nscratch",
    "hours_scratch_longer": "hours,\nscratch\nlonger",
}  # fmt: skip


def _figure(name: str, value: float) -> str:
    if np.isnan(value):
        return NA
    return f"{value:,.0f}" if name.startswith("updates") else f"{value:.3g}"


def _all_hours(results: StudyResults) -> str:
    """What all runs that the tables are made of took together, each once."""
    ends: dict[str, int] = {}
    for cell in results.cells:
        for role in cell.roles.values():
            if role.score is not None:
                ends[role.run] = max(ends.get(role.run, 0), role.epoch)
    spent = [each for run, epoch in ends.items() if (each := read_spent(results, run, epoch)) is not None]
    if not spent:
        return ""
    energy = sum(each.energy_kwh for each in spent)
    measured = "" if np.isnan(energy) else f" and {energy:.3g} kWh"
    hours = sum(each.hours for each in spent)
    return f"{count(len(spent), 'run')} with records took {hours:.3g} hours{measured} together"

"""What a search says when it is over: its points, what mattered among them, and the judged cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from lidartune.report.columns import interval_fields
from lidartune.report.csv_files import write_csv
from lidartune.report.groups import Group, group_cells, mean_score
from lidartune.report.points import VALUE
from lidartune.report.results import StudyResults, load_study
from lidartune.transfer import gap
from lidartune.tuning.optuna_file import FILE, importances
from lidartune.tuning.points import Point, Points
from lidartune.tuning.searched import WORDS
from lidartune.tuning.space import Stage
from lidartune.tuning.study import Study, write_json

SHOWN_IMPORTANCES = 6
OWN_RECIPE = "own recipe"  # the study's, beside those that were drawn


def end_search(study: Study, points: Points, report: Path, console: Console) -> None:
    """Writes importances.csv and judged.csv beside the report, and prints what they and the points say."""
    found = importances(study, points)
    rows = [
        {"points": WORDS[stage], "drawn": name, "importance": share}
        for stage, shares in found.items()
        for name, share in shares.items()
    ]
    write_csv(pd.DataFrame(rows, columns=["points", "drawn", "importance"]), report / "importances.csv")
    console.print(*_ended(study, points, found), sep="\n", highlight=False, markup=False, soft_wrap=True)
    if study.config.search.judged:
        table = judged_table(study, points, load_study(study.folder, study.results / "runs"))
        write_csv(table, report / "judged.csv")
        console.print(*_judged_lines(study, table), sep="\n", highlight=False, markup=False, soft_wrap=True)
    line = f"search       optuna-dashboard {study.folder / FILE}  (pip install optuna-dashboard)"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def write_points(study: Study, points: Points) -> None:
    """Writes points.json for the report: of each point how it ended, its score, and everything that was drawn."""
    rows = []
    for point in points.all:
        value, curve = points.value(point), points.curve(point)
        row: dict[str, Any] = {"point": point.name, "points": WORDS[point.drawn.stage]}
        row |= {"status": _status(points, point), "epochs": max(curve, default=0)}
        rows.append(row | {VALUE: value} | point.drawn.values)
    write_json(study.folder / "points.json", {"points": rows})


def judged_table(study: Study, points: Points, results: StudyResults) -> pd.DataFrame:
    """One row a judged recipe: the validation score it was chosen by, its own test mIoU on the fresh seeds, and how
    far the best of it is from the study's own recipe and from the best from scratch, paired over seeds."""
    values = {point.name: points.value(point) for point in points.all}
    groups = group_cells(results)
    own = {id(group): _own_scores(results, group) for group in groups}
    plain = next((own[id(group)] for group in groups if _recipe(group) == OWN_RECIPE), None)
    from_scratch = [group for group in groups if group.key[2] == 0 and _recipe(group) != OWN_RECIPE]
    scratch = own[id(from_scratch[0])] if from_scratch else None
    rows = []
    for group in groups:
        row: dict[str, Any] = {"recipe": _recipe(group), "setting": group.label}
        row["validation_miou"] = values.get(_recipe(group)) or np.nan
        mine = own[id(group)]
        row |= interval_fields("test_miou", gap.t_interval(mine))
        for name, other in (("over_own_recipe", plain), ("over_best_scratch", scratch)):
            against = np.full(len(mine), np.nan) if other is None or other is mine else other
            row |= interval_fields(name, gap.paired_difference(mine, against))
        rows.append(row)
    return pd.DataFrame(rows)


def _recipe(group: Group) -> str:
    name = re.search(r" \((point-\d+)\)$", str(group.key[0]))
    return name[1] if name else OWN_RECIPE


def _own_scores(results: StudyResults, group: Group) -> np.ndarray:
    """(seeds,) test mIoU on real scans of what the cells are about."""
    role = "finetuned" if group.key[2] else "scratch"
    return np.array([mean_score(results, cell, role, "real") for cell in group.cells])


def _status(points: Points, point: Point) -> str:
    if point.stopped is not None:
        return "stopped"
    if not points.is_over(point):
        return "open"
    return "done" if points.value(point) is not None else "failed"


def _ended(study: Study, points: Points, found: dict[Stage, dict[str, float]]) -> list[str]:
    lines = [""]
    for stage in points.spaces:
        states = [_status(points, point) for point in points.of(stage)]
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "stopped", "failed", "open"))
        best = points.best(stage, 1)
        line = f"{WORDS[stage]}: {len(states)} points, {counts}"
        if best:
            line += f"; best {best[0].name} at {100 * (points.value(best[0]) or 0):.1f} % validation mIoU: "
            line += ", ".join(f"{name} {_short(value)}" for name, value in best[0].drawn.values.items())
        lines.append(line)
        shares = sorted(found.get(stage, {}).items(), key=lambda item: -item[1])[:SHOWN_IMPORTANCES]
        if shares:
            lines.append("  importance: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares))
    return lines


def _judged_lines(study: Study, table: pd.DataFrame) -> list[str]:
    if table.empty:
        return ["no point has a score, so that nothing is judged"]
    lines = [f"judged on {len(study.config.search.judged.seeds if study.config.search.judged else ())} fresh seeds "
             "(test mIoU, 95 % intervals over seeds):"]  # fmt: skip
    for row in table.to_dict("records"):
        line = f"  {row['recipe']:<{len(OWN_RECIPE)}} {_figure(row, 'test_miou')}"
        for name, words in (("over_own_recipe", "over own recipe"), ("over_best_scratch", "over best from scratch")):
            line += f"; {words} {_figure(row, name)}" if not np.isnan(row[name]) else ""
        lines.append(f"{line}  [{row['setting']}]")
    return lines


def _figure(row: dict[Any, Any], name: str) -> str:
    value, low, high = (100 * row[key] for key in (name, f"{name}_low", f"{name}_high"))
    sign = "+" if name != "test_miou" else ""
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

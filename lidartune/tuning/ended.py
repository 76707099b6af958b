"""What a search leaves for the report, and what it says of its points when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lidartune.report.search_record import LAST, POINTS_FILE, VALUE
from lidartune.tuning.optuna_file import FILE, importances
from lidartune.tuning.points import Judged, Point, Points
from lidartune.tuning.searched import WORDS
from lidartune.tuning.study import Study, write_json
from lidartune.tuning.winner import FILE as WINNER
from lidartune.tuning.winner import write_winner

SHOWN_IMPORTANCES = 6


def write_points(study: Study, points: Points, judged: Sequence[Judged]) -> None:
    """Writes points.json for the report: of each point how it ended, its score, and everything that was drawn; what
    mattered among the points of a kind; and which recipes are judged, at which cell."""
    rows = []
    for point in points.all:
        value, curve = points.value(point), points.curve(point)
        row: dict[str, Any] = {"point": point.name, "kind": WORDS[point.drawn.stage]}
        row |= {"status": _status(points, point), "epochs": max(curve, default=0)}
        row |= {LAST: curve[max(curve)] if curve else None, VALUE: value}
        rows.append(row | point.drawn.values)
    shares = {WORDS[stage]: by_name for stage, by_name in importances(study, points).items()}
    told = [{"recipe": j.recipe, "kind": WORDS[j.stage], "cell": j.cell.as_dict()} for j in judged]
    write_json(study.folder / POINTS_FILE, {"points": rows, "importances": shares, "judged": told})


def search_lines(study: Study, points: Points) -> list[str]:
    """Of each kind of points how they ended, the best one and what mattered; the best of all, which is written as a
    study of its own; and how to look at all of them."""
    lines, found = [""], importances(study, points)
    for stage in points.spaces:
        states = [_status(points, point) for point in points.of(stage)]
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "stopped", "failed", "open"))
        first = points.best(stage, 1)
        line = f"{WORDS[stage]}: {len(states)} points, {counts}"
        if first:
            line += f"; best {first[0].name} at {100 * (points.value(first[0]) or 0):.1f} % validation mIoU: "
            line += ", ".join(f"{name} {_short(value)}" for name, value in first[0].drawn.values.items())
        lines.append(line)
        shares = sorted(found.get(stage, {}).items(), key=lambda item: -item[1])[:SHOWN_IMPORTANCES]
        if shares:
            lines.append("  importance: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares))
    if study.config.search.judged is not None and not any(points.best(stage, 1) for stage in points.spaces):
        lines.append("no point has a score, so that nothing is judged")
    winners = [point for stage in points.spaces for point in points.best(stage, 1)]
    (study.folder / WINNER).unlink(missing_ok=True)
    if winners and not study.config.checkpoints:  # a grid without a cell from its checkpoint is refused
        best = max(winners, key=lambda point: points.value(point) or 0.0)
        write_winner(study, best)
        lines.append(f"best         {best.name} as a study: run_transfer_grid.py --config {study.folder / WINNER}")
    return [*lines, f"search       optuna-dashboard {study.folder / FILE}  (pip install optuna-dashboard)"]


def _status(points: Points, point: Point) -> str:
    if point.stopped is not None:
        return "stopped"
    if not points.is_over(point):
        return "open"
    return "done" if points.value(point) is not None else "failed"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""A survey as JSON. The same folder gives the same bytes: no times, no hosts, no number of processes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lidartune.survey import bins
from lidartune.survey.differences import differences, only_in_one
from lidartune.survey.findings import KINDS
from lidartune.survey.sensor import mean_range_m, mean_remission
from lidartune.survey.survey import SequenceSurvey, Survey, by_split, points_of_a_ring, together
from lidartune.survey.tally import Tally
from lidartune.survey.texts import compared_points
from lidartune.survey.width_advice import verdicts
from lidartune.survey.width_counts import WidthFigures

FORMAT = 1
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def as_json(
    surveys: Sequence[Survey],
    names: Sequence[str],
    widths: Mapping[str, Sequence[WidthFigures]] | None = None,
    widths_lines: Sequence[str] = (),
) -> str:
    """The whole document; `widths` holds the figures of `--widths` for each name, `widths_lines` what they say."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "faulty": any(survey.faulty for survey in surveys),
        "datasets": [_dataset(survey, name) for survey, name in zip(surveys, names, strict=True)],
    }
    if len(surveys) == 2:
        found, unknown = differences(surveys[0], surveys[1], (names[0], names[1]))
        document["differences"] = [dataclasses.asdict(difference) for difference in found]
        document["not_compared"] = unknown
        document["classes_in_one_only"] = dict(zip(names, only_in_one(*surveys), strict=True))
    if widths is not None:
        document["widths"] = {
            name: [f.as_dict() | {"verdict": word} for f, word in zip(rows, verdicts(rows), strict=True)]
            for name, rows in widths.items()
        }
        document["widths_advice"] = list(widths_lines)
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _dataset(survey: Survey, name: str) -> dict[str, Any]:
    tally, taxonomy, compared = survey.tally, survey.taxonomy, compared_points(survey)

    def shares_of(points: int, class_: int | None) -> dict[str, float | None]:
        """Of the points of classes that are not ignored, and of all labelled ones."""
        counts = class_ is not None and class_ not in taxonomy.ignore
        return {
            "share": _share(points, compared) if counts else None,
            "share_of_all": _share(points, tally.labelled_points),
        }

    return {
        "name": name,
        "root": str(survey.root),
        "taxonomy": {"name": taxonomy.name, "digest": taxonomy.digest},
        "faulty": survey.faulty,
        "files": _files(survey.sequences),
        "read": _read(tally),
        "splits": {
            split: _files(sequences) | {"absent": _absent(survey, split)}
            for split, sequences in by_split(survey).items()
        },
        "sequences": [_sequence(sequence) for sequence in survey.sequences],
        "sensor": {
            **dataclasses.asdict(survey.sensor),
            "points_of_a_ring": dataclasses.asdict(points_of_a_ring(survey)),
            "canvas_edges_deg": survey.sensor.canvas_edges_deg(),
            "canvas_width": survey.sensor.canvas_width(),
        },
        "classes": [
            {"name": name, "points": int(survey.class_points[c]), **shares_of(int(survey.class_points[c]), c)}
            for c, name in enumerate(taxonomy.names)
        ],
        "raw_ids": [
            {
                "id": raw,
                "label": taxonomy.labels.get(raw),
                "class": taxonomy.names[taxonomy.learning_map[raw]] if raw in taxonomy.learning_map else None,
                "points": points,
                **shares_of(points, taxonomy.learning_map.get(raw)),
            }
            for raw, points in sorted(tally.raw_ids.items())
        ],
        "range_m": {"mean": _rounded(mean_range_m(tally)), **_histogram(tally.ranges, bins.range_centres_m(), 2)},
        "elevation_deg": _histogram(tally.elevations, bins.elevation_centres_deg(), 10),
        "remission": {"mean": _rounded(mean_remission(tally)), **_remission(tally)},
        "findings": [
            {
                "kind": finding.kind,
                "wrong": finding.wrong,
                "what": KINDS[finding.kind].what,
                "do": finding.next,
                "detail": finding.detail,
                "count": finding.count,
                "points": finding.points,
                "first": finding.first,
            }
            for finding in survey.findings
        ],
    }


def _absent(survey: Survey, split: str) -> list[int]:
    """Sequences of a split of the taxonomy that are not here."""
    here = {int(sequence.files.name) for sequence in survey.sequences}
    return sorted(set(survey.taxonomy.split.get(split, ())) - here)


def _files(sequences: Sequence[SequenceSurvey]) -> dict[str, Any]:
    return {
        "sequences": [sequence.files.name for sequence in sequences],
        "scans": sum(sequence.files.files for sequence in sequences),
        "with_labels": sum(sequence.files.labels for sequence in sequences),
        "bytes": sum(sequence.files.bytes for sequence in sequences),
        "points_read": together(sequence.tally for sequence in sequences).points,
    }


def _read(tally: Tally) -> dict[str, int]:
    names = ("scans", "empty_scans", "labelled_scans", "points", "labelled_points", "usable_points", "nan_points",
             "infinite_points", "origin_points", "far_points", "odd_remissions")  # fmt: skip
    return {name: getattr(tally, name) for name in names}


def _sequence(sequence: SequenceSurvey) -> dict[str, Any]:
    files, tally = sequence.files, sequence.tally
    return {
        "name": files.name,
        "splits": list(files.splits),
        "scans": files.files,
        "with_labels": files.labels,
        "bytes": files.bytes,
        "read": _read(tally),
        "median_range_m": _quantile(tally.ranges, bins.range_centres_m()),
        "median_remission": _quantile(tally.remissions, bins.remission_centres()),
    }


def _histogram(counts: np.ndarray, centres: np.ndarray, factor: int) -> dict[str, Any]:
    """Quantiles, and counts in bins `factor` times as wide from the first to the last that is not empty."""
    wide = bins.coarser(counts, factor)
    step = float(centres[1] - centres[0]) * factor
    low = float(centres[0]) - step / factor / 2
    there = np.flatnonzero(wide)
    first, last = (int(there[0]), int(there[-1])) if len(there) else (0, -1)
    return {
        "quantiles": _quantiles(counts, centres),
        "from": round(low + first * step, 6),
        "step": round(step, 6),
        "counts": wide[first : last + 1].tolist(),
    }


def _remission(tally: Tally) -> dict[str, Any]:
    """Counts as [value, points]; the value stands for the bin around it."""
    centres = bins.remission_centres()
    counts = [[_rounded(float(centres[i])), int(tally.remissions[i])] for i in np.flatnonzero(tally.remissions)]
    return {"quantiles": _quantiles(tally.remissions, centres), "counts": counts}


def _quantiles(counts: np.ndarray, centres: np.ndarray) -> dict[str, float | None] | None:
    found = bins.quantiles(counts, centres, QUANTILES)
    return {f"{q:g}": _rounded(value) for q, value in zip(QUANTILES, found, strict=True)} if found else None


def _quantile(counts: np.ndarray, centres: np.ndarray) -> float | None:
    found = bins.quantiles(counts, centres, (0.5,))
    return _rounded(found[0]) if found else None


def _share(points: int, total: int) -> float | None:
    return points / total if total else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 6)

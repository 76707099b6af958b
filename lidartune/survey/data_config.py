"""A dataset's data config: SemanticKITTI's keys, filled with what was measured, for other programs to read as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lidartune import __version__
from lidartune.canvas import Sensor
from lidartune.errors import UserError
from lidartune.scans import Dataset, Taxonomy
from lidartune.scans.splits import spelled
from lidartune.survey.stats import StatsSettings
from lidartune.survey.stats_sums import Sums

FIRST_LINE = "# Written by `lidartune stats`"
PARTS = ("train", "valid", "test")
Split = dict[str, tuple[int, ...]]


def written_split(dataset: Dataset, given: Mapping[str, tuple[int, ...] | None]) -> Split:
    """{"train", "valid", "test"} -> sequences: those given, else the taxonomy's as far as the folder has them.

    All are empty where nothing is given and the taxonomy has no split, or none of its sequences.

    Raises:
        UserError: a given sequence that is not there, or one in two parts.
    """
    if all(sequences is None for sequences in given.values()):
        return {p: tuple(s for s in dataset.taxonomy.split.get(p, ()) if s in dataset.sequences) for p in PARTS}
    split: Split = {}
    for part in PARTS:
        split[part] = present(dataset, given.get(part) or ())
        for other in split:
            both = set(split[part]) & set(split[other])
            if other != part and both:
                raise UserError(
                    "a sequence in two parts of the split",
                    where=f"{other} and {part}",
                    found=spelled(sorted(both)),
                    do="give each sequence to one part",
                )
    return split


def present(dataset: Dataset, sequences: Iterable[int]) -> tuple[int, ...]:
    """The sequences in rising order, each once; UserError where one is not in the folder."""
    wanted = tuple(sorted(set(sequences)))
    missing = [number for number in wanted if number not in dataset.sequences]
    if missing:
        raise UserError(
            "there is no such sequence",
            where=dataset.root,
            found=f"sequences {spelled(dataset.sequences)}",
            wanted=f"sequences {spelled(wanted)}",
            do="name sequences that are there, or download these",
        )
    return wanted


def config_text(taxonomy: Taxonomy, settings: StatsSettings, sums: Sums, split: Split) -> str:
    """The YAML. It depends on its arguments alone: no time, no folder, no machine.

    Raises:
        UserError: no valid pixel.
    """
    ids = sorted(taxonomy.learning_map)
    means, stds = (values.tolist() for values in sums.moments.mean_and_std())
    counts = {raw: sums.counts.get(raw, 0) for raw in ids}
    labels = {raw: taxonomy.labels.get(raw) or taxonomy.names[taxonomy.learning_map[raw]] for raw in ids}
    classes = range(taxonomy.num_classes)
    sampled = "" if settings.scans is None else f"{settings.scans:,} scans spread over "
    sections: list[tuple[str, dict[str, Any]]] = [
        ("lidar-bonnetal takes its parser's folder from this name; it has only this one.", {"name": "kitti"}),
        ("", {"labels": labels}),
        ("blue, green, red", {"color_map": _colors(taxonomy, ids)}),
        (
            "Each raw id's share of all points that were counted, the ignored ones included.",
            {"content": {raw: count / sums.points for raw, count in counts.items()}},
        ),
        ("", {"learning_map": {raw: taxonomy.learning_map[raw] for raw in ids}}),
        ("", {"learning_map_inv": {c: taxonomy.learning_map_inv[c] for c in classes}}),
        ("", {"learning_ignore": {c: c in taxonomy.ignore for c in classes}}),
        (
            "Sequences in this folder. lidar-bonnetal needs at least one in train and one in valid.",
            {"split": {part: list(split[part]) for part in PARTS}},
        ),
        (
            "For lidar-bonnetal's arch_cfg, under `dataset`. Means and deviations are those of the valid pixels:\n"
            "# range, x, y, z in metres, remission.",
            {"sensor": _sensor(settings.sensor, means, stds)},
        ),
        ("Points of each raw id, exactly.", {"counts": counts}),
        ("largest_scan: max_points in lidar-bonnetal's arch_cfg must not be less.", _totals(settings, sums)),
    ]
    head = (
        f"{FIRST_LINE} {__version__} from {sampled}sequences {spelled(settings.sequences)}.\n"
        "# A data config for lidar-bonnetal and semantic-kitti-api, and a taxonomy for lidartune (give its path).\n"
    )
    return head + "".join((f"# {comment}\n" if comment else "") + _dumped(part) for comment, part in sections)


def _sensor(sensor: Sensor, means: list[float], stds: list[float]) -> dict[str, Any]:
    return {
        "name": "measured",
        "type": "spherical",
        "fov_up": sensor.fov_up_deg,
        "fov_down": sensor.fov_down_deg,
        "img_prop": {"width": sensor.width, "height": sensor.height},
        "img_means": means,
        "img_stds": stds,
    }


def _totals(settings: StatsSettings, sums: Sums) -> dict[str, Any]:
    totals: dict[str, Any] = {
        "scans": sums.scans,
        "points": sums.points,
        "valid_pixels": sums.moments.count,
        "largest_scan": sums.largest,
        "sequences": list(settings.sequences),
    }
    if sums.faults:
        totals["skipped_scans"] = [f"{fault.scan}: {fault.reason}" for fault in sums.faults]
    return totals


def _colors(taxonomy: Taxonomy, ids: Iterable[int]) -> dict[int, list[int]]:
    """Blue, green, red of every id: the taxonomy's colour of the id, else of its class."""
    own = taxonomy.color_map
    rgb = {raw: own.get(raw) or taxonomy.colors[taxonomy.learning_map[raw]].tolist() for raw in ids}
    return {raw: [blue, green, red] for raw, (red, green, blue) in rgb.items()}


def _dumped(part: dict[str, Any]) -> str:
    flat = not {"color_map", "split", "sequences"}.isdisjoint(part)
    return yaml.safe_dump(part, sort_keys=False, default_flow_style=None if flat else False, allow_unicode=True)


def refuse_other_files(path: Path) -> None:
    """UserError where the path is a folder, or a file that `lidartune stats` has not written."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = file.readline().startswith(FIRST_LINE)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        ours = False
    if not ours:
        raise UserError(
            "this would replace something that `lidartune stats` has not written",
            where=path,
            do="name another file, or move this one away",
        )

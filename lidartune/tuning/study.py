"""A study opened for work: its plan, what of it is in the store, and its record on disk."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from lidartune.config import StudyConfig, as_dict
from lidartune.report.search_record import POINTS_FILE
from lidartune.runs.files import is_uri
from lidartune.runs.spec import RunSpec
from lidartune.runs.store import QUESTIONS_AT_ONCE, Store, missing_epochs
from lidartune.transfer.data import StudyData, labelled_record, with_counts
from lidartune.transfer.ladder import ladder_lines
from lidartune.transfer.plan import Excluded, Plan, grid_cells
from lidartune.tuning.hungriest import hungriest
from lidartune.tuning.manifest import manifest
from lidartune.tuning.pace import Pace
from lidartune.tuning.schedule import Schedule
from lidartune.whole_file import write_whole


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study opened for work: what is to be done, with what, and where it goes.

    `config` holds numbers of labelled scans where `stated`, the study as it was given, may hold shares. Runs go to the
    `store`; `results` is its folder here, or what mirrors it here (lidartune.tuning.place). `whole` is the plan of a
    grid, of a search that of all cells it may draw, with the study's own recipe; `hungriest` are its runs with the
    recipes that take most of all that may be drawn for them.
    """

    config: StudyConfig
    stated: StudyConfig
    data: StudyData | None
    plan: Plan
    whole: Plan
    hungriest: dict[str, RunSpec]
    excluded: list[Excluded]
    results: Path
    store: Store
    schedule: Schedule
    pace: Pace

    @property
    def folder(self) -> Path:
        return self.results / self.config.name

    @property
    def specs(self) -> list[RunSpec]:
        """All kinds of runs that the study may come to."""
        return _kinds(self.config, self.whole, self.hungriest)

    @property
    def uri(self) -> str:
        """The study's folder, as it is named to people."""
        return f"{self.store.results}/{self.config.name}"


def open_study(config: StudyConfig, results: Path, data: StudyData | None, store: Store | None = None) -> Study:
    """Plans the runs, a grid's cells at once, a search's as they are drawn; `data` None plans from the YAML alone.

    Args:
        store: where the runs go; by default into `results`.
    """
    stated, config = config, with_counts(config, data) if data else config
    plan = Plan(config, data)
    excluded: list[Excluded] = []
    if config.search.sampler == "grid":
        cells, excluded = grid_cells(config.grid, config.checkpoints)
        for cell in cells:
            plan.add(cell)
    store = store or Store(results)
    whole = plan if config.search.sampler == "grid" else _whole_plan(config, data)
    hungry = {run: hungriest(config, work.spec) for run, work in whole.works.items()}
    pace = Pace(store, _kinds(config, whole, hungry), config.resources)
    there = _asked_at_once(store, plan) if is_uri(store.results) else {}

    def in_store(run: str, epoch: int) -> bool:
        work = plan.works.get(run)
        untested = work.epochs - work.tested if work else ()
        return not missing_epochs(store, run, [epoch], untested=untested)

    return Study(
        config=config,
        stated=stated,
        data=data,
        plan=plan,
        whole=whole,
        hungriest=hungry,
        excluded=excluded,
        results=results,
        store=store,
        schedule=Schedule(plan, in_store, pace.epoch_cost, there),
        pace=pace,
    )


def _kinds(config: StudyConfig, whole: Plan, hungry: dict[str, RunSpec]) -> list[RunSpec]:
    """All kinds of runs: the study's own recipe is one of them in a grid, and where a search judges it at its end."""
    own = [work.spec for work in whole.works.values()]
    return own if config.search.sampler == "grid" else [*hungry.values(), *(own if config.search.judged else ())]


def _whole_plan(config: StudyConfig, data: StudyData | None) -> Plan:
    plan = Plan(config, data)
    for cell in grid_cells(config.grid, config.checkpoints)[0]:
        plan.add(cell)
    return plan


def _asked_at_once(store: Store, plan: Plan) -> dict[tuple[str, int], bool]:
    """Which of the plan's (run, epoch) are in the store; far away each question takes a while, many at once do not."""
    begun = set(store.runs())
    wanted = [(run, epoch) for run, work in plan.works.items() for epoch in work.epochs]

    def is_there(key: tuple[str, int]) -> bool:
        run, epoch = key
        return run in begun and not missing_epochs(store, run, [epoch])

    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(is_there, wanted), strict=True))


def describe(study: Study) -> list[str]:
    """What the study is and what is left of it, in a few lines."""
    if study.config.search.sampler != "grid":
        from lidartune.tuning.searched import describe_search  # which reads its points, and they are a study's

        return describe_search(study)
    plan, config = study.plan, study.config
    epochs = sum(max(work.epochs) for work in plan.works.values())
    left = study.schedule.epochs_left()
    pretraining, alone = plan.pretraining_epochs()
    reasons: dict[str, int] = {}
    for entry in study.excluded:
        reasons[entry.reason] = reasons.get(entry.reason, 0) + 1
    return [
        f"study {config.name}: {len(plan.roles)} cells from {len(plan.works)} runs, "
        f"{epochs} epochs of {plan.updates_per_epoch} updates = {epochs * plan.updates_per_epoch:,} updates; "
        f"{epochs - left} epochs are in the store, {left} are left",
        f"  pretraining: {pretraining} epochs, shared; {alone} if each cell pretrained by itself",
        *(f"  {count} combinations left out: {reason}" for reason, count in reasons.items()),
        *ladder_lines(plan.rungs, plan.rungs_excluded, plan.ladder_runs()),
        *notes(study),
    ]


def notes(study: Study) -> list[str]:
    """What a person should know of the study's data and networks before it starts."""
    of_data = study.data.notes if study.data else ()
    return [f"  {note}" for note in (*study.config.notes, *_network_notes(study), *of_data)]


def replaced(study: Study) -> list[str]:
    """A note where a study of this name had cells that are not in this one: its report will be written over."""
    path = study.folder / "plan.json"
    if not path.exists() or study.config.search.sampler != "grid":
        return []
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["cells"]
        now = json.loads(json.dumps(study.plan.as_dict([])))["cells"]
        if all(cell in now for cell in before):
            return []
    except (OSError, ValueError, TypeError, KeyError, RecursionError):  # damaged: it is written anew
        return []
    return [f"  this replaces the report of other cells in {study.folder}; --set name=... would keep both"]


def record(study: Study, command: list[str], nodes: list[dict[str, Any]] | None = None) -> None:
    """Writes what the study is and how far it got: study.yaml, plan.json, labelled_scans.json, failures.json,
    manifest.json.

    Args:
        nodes: the machines of the Ray that is up; None keeps those that are recorded.
    """
    folder = study.folder
    assert study.data is not None
    write_whole(folder / "study.yaml", yaml.safe_dump(plain(as_dict(study.stated)), sort_keys=False))
    save_plan(study)
    if study.config.search.sampler == "grid":
        for name in (POINTS_FILE, "best.yaml"):  # of a search that had this name before
            (folder / name).unlink(missing_ok=True)
    write_json(folder / "labelled_scans.json", labelled_record(study.stated, study.data))
    write_json(folder / "failures.json", {run: asdict(f) for run, f in sorted(study.schedule.failures.items())})
    values = manifest(study.config, study.data, command, _recorded_nodes(folder) if nodes is None else nodes)
    values["notes"] += _network_notes(study) + _mixed_environments(study)
    write_json(folder / "manifest.json", values)


def _recorded_nodes(folder: Path) -> list[dict[str, Any]]:
    try:
        recorded = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("nodes", [])
    except (OSError, ValueError, AttributeError):
        return []
    return [node for node in recorded if isinstance(node, dict)] if isinstance(recorded, list) else []


def save_plan(study: Study) -> None:
    """Writes plan.json, from which the report and TensorBoard know the study's runs."""
    write_json(study.folder / "plan.json", study.plan.as_dict(study.excluded))


def bring_checkpoints(study: Study) -> None:
    """Copies the imported networks that the study starts from into its store, once a canvas width."""
    for backbone, checkpoint in study.plan.checkpoints.items():
        for width in study.config.grid.width if backbone in study.config.grid.backbone else ():
            checkpoint.bring(study.store, study.plan.adopted(backbone, width))


def _network_notes(study: Study) -> list[str]:
    """What checkpoints are, whether real labels have a part in zero-shot figures, what a search compares."""
    search, epochs = study.config.search, study.config.grid.pretrain_epochs
    both = 0 in epochs and any(epochs)
    counted = any(
        work.spec.domain == "synthetic" and work.spec.start is None and work.spec.recipe.reads_labels_of("real")
        for work in study.plan.works.values()
    )
    searched = (
        "A search chose among recipes by validation scores. In these tables each recipe stands against training from "
        "scratch with the same recipe, which was not tuned for that"
        + ("; the table judged holds the best beside the best from scratch." if search.judged and both else ".")
    )
    told = (
        "Pretraining counts its class weights on the labels of real training scans (class_weights_counted_on: real): "
        "zero-shot figures are not free of real labels."
    )
    return [
        *(checkpoint.note for checkpoint in study.plan.checkpoints.values()),
        *([told] if counted else []),
        *([searched] if search.judged or search.space.finetuning or search.space.pretraining else []),
    ]


def _mixed_environments(study: Study) -> list[str]:
    """A note where runs of the study took place on unlike machines: their last bits may then differ."""
    found: dict[str, int] = {}
    near = Store(study.results)
    for run in study.plan.works:
        rows = [near.read_json(run, epoch, "timing", "timing.json") for epoch in near.epochs(run, "timing")]
        for text in {"{device}, {cpu_capability}, torch {torch}, {threads} threads".format(**row) for row in rows}:
            found[text] = found.get(text, 0) + 1
    if len(found) < 2:
        return []
    kinds = "; ".join(f"{count} runs on {text}" for text, count in sorted(found.items()))
    return [f"Runs of this study took place in different environments, so that last bits may differ: {kinds}"]


def plain(values: Any) -> Any:
    """Tuples as lists, so that YAML stays plain."""
    if isinstance(values, dict):
        return {key: plain(value) for key, value in values.items()}
    return [plain(value) for value in values] if isinstance(values, list | tuple) else values


def write_json(path: Path, values: Any) -> None:
    """Replaces the file as a whole."""
    write_whole(path, json.dumps(values, indent=1) + "\n")


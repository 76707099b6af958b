"""What a study left on disk, as plain arrays: reads the study's and the store's JSON only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidartune.errors import UserError
from lidartune.report.plain_text import LONGEST_NOTE, plain_name, visible, visible_texts
from lidartune.report.scores import DOMAINS, Score, read_score
from lidartune.runs.names import is_run_name
from lidartune.transfer.roles import LADDER_ROLE

CHECKPOINT = "checkpoint"  # in place of pretraining epochs: an imported network, trained for nobody knows how long
Key = tuple[str, int, int | str, str, int | str]
"""Backbone, width, pretraining epochs (or CHECKPOINT), freeze policy, labelled scans (or `all`)."""

# In this order the first role that is not there says why a cell is not done.
ROLES = (
    "pretrained", "start", "finetuned", "scratch_start", "scratch", "full", "scratch_longer", "full_equal",
    "full_longer", "pretrained_longer", "synthetic_synthetic", "real_real", "real_synthetic",
)  # fmt: skip
WITH_BLOCKS = ("finetuned", "scratch")  # roles whose uncertainty over test scans is in the gap table


@dataclass(frozen=True, kw_only=True)
class RoleResult:
    """One role of a cell: which run and epoch it is, and its score or why there is none."""

    run: str
    epoch: int
    score: Score | None
    problem: str = ""  # what is wrong where score is None


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """One cell of the study; `status` is done, failed, blocked or missing, `reason` says why it is not done."""

    backbone: str
    width: int
    pretrain_epochs: int | str
    freeze: str
    labelled_scans: int | str
    seed: int
    status: str
    reason: str
    roles: dict[str, RoleResult]
    recipe: str = ""  # the name of one that a search has drawn, and what it has drawn
    drawn: str = ""

    @property
    def key(self) -> Key:
        """What this cell shares with the cells of other seeds."""
        return self.backbone, self.width, self.pretrain_epochs, self.freeze, self.labelled_scans

    def matrix(self, role: str, domain: str, level: str = "points") -> NDArray[np.int64] | None:
        """The test confusion matrix of a role, None where it is not there."""
        found = self.roles.get(role)
        if found is None or found.score is None:
            return None
        return found.score.matrices.get(domain, {}).get(level)


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """A study as read from disk.

    `class_sets[domain]` (C,) marks the classes in the ground truth of that test split. `tested_part[domain]` is there
    where only a spread of a test split is scored: (scans scored, scans that the split holds). `real_scans` is how many
    labelled real scans `all` are, None where the study does not say. `rungs` are those of the ladder that the study
    climbs, and `rungs_excluded` says of (backbone, rung) why it is left out. All texts are plain_text's.
    """

    name: str
    folder: Path
    runs_root: Path
    classes: tuple[str, ...]
    updates_per_epoch: int
    finetune_epochs: int
    cells: tuple[CellResult, ...]
    excluded: tuple[dict[str, Any], ...]
    failures: dict[str, dict[str, Any]]
    notes: tuple[str, ...]
    class_sets: dict[str, NDArray[np.bool_]]
    tested_part: dict[str, tuple[int, int]]
    real_scans: int | None = None
    rungs: tuple[str, ...] = ()
    rungs_excluded: dict[tuple[str, str], str] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict, compare=False)  # cache of curves.learning_curve
    timings: dict[tuple[str, int], Any] = field(default_factory=dict, compare=False)  # cache of cost.read_spent
    cache: dict[Any, Any] = field(default_factory=dict, compare=False)  # of groups.py: each figure is worked out once


def cell_order(key: Key) -> tuple[Any, ...]:
    """Sort key of a cell's key: numbers as numbers, `checkpoint` and `all` labelled scans after every number."""
    backbone, width, pretrain_epochs, freeze, labelled = key
    return backbone, width, *_last(pretrain_epochs, CHECKPOINT), freeze, *_last(labelled, "all")


def _last(value: int | str, word: str) -> tuple[bool, int]:
    return (True, 0) if value == word else (False, int(value))


def load_study(study_folder: Path, runs_root: Path | None = None) -> StudyResults:
    """Reads a study's folder and the test scores of every run and epoch that its plan names, each once.

    Args:
        study_folder: holds plan.json, and failures.json and manifest.json where the study has got that far.
        runs_root: folder of the runs; by default `runs` beside the study's folder.

    Raises:
        UserError: plan.json is missing, cannot be read, is not JSON, has another schema, or is damaged.
    """
    study_folder = Path(study_folder)
    runs = Path(runs_root) if runs_root is not None else study_folder.parent / "runs"
    return study_results(read_plan(study_folder), study_folder, runs)


def study_results(plan: dict[str, Any], study_folder: Path, runs: Path) -> StudyResults:
    """As `load_study`, of a plan that has been read; of fewer cells where it names fewer.

    Raises:
        UserError: the plan is damaged.
    """
    try:
        return _study(study_folder, runs, plan)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            "the study's plan is damaged",
            where=study_folder / "plan.json",
            found=f"{type(error).__name__}: {error}",
            wanted="the plan as the study wrote it",
            do="run the study again: it goes on from the runs that are there",
        ) from error


def _study(study_folder: Path, runs: Path, plan: dict[str, Any]) -> StudyResults:
    failures = {run: f for run, f in optional_json(study_folder / "failures.json").items() if isinstance(f, dict)}
    manifest = optional_json(study_folder / "manifest.json")
    classes = tuple(plain_name(c) for c in plan["classes"])
    scored = _read_scores(plan, runs, len(classes))
    cells = [_cell(entry, scored, failures) for entry in plan["cells"]]
    sets, differ = _class_sets([score for score, _ in scored.values() if score is not None], len(classes))
    notes = [plain_name(note, LONGEST_NOTE) for told in (plan, manifest) for note in _list(told.get("notes"))]
    notes += [f"Runs were scored on different {d} test splits: do not compare them." for d in differ]
    return StudyResults(
        name=plain_name(plan.get("study", study_folder.name)),
        folder=study_folder,
        runs_root=runs,
        classes=classes,
        updates_per_epoch=int(plan["updates_per_epoch"]),
        finetune_epochs=int(plan["finetune_epochs"]),
        cells=tuple(sorted(cells, key=lambda c: (cell_order(c.key), c.seed))),
        excluded=tuple(
            visible_texts([dict(e) | {"cell": dict(e.get("cell") or {})} for e in _list(plan.get("excluded"))])
        ),
        failures=visible_texts(failures),
        notes=tuple(notes),
        class_sets=sets,
        tested_part=_tested_part(manifest),
        real_scans=_scans(manifest, "real").get("train"),
        rungs=tuple(plain_name(rung) for rung in plan.get("ladder", [])),
        rungs_excluded={
            (plain_name(e["backbone"]), plain_name(e["rung"])): plain_name(e["reason"])
            for e in plan.get("ladder_excluded", [])
        },
    )


def _read_scores(plan: dict[str, Any], runs: Path, num_classes: int) -> dict[tuple[str, int], tuple[Score | None, str]]:
    """(run, epoch) -> its score, or None and why not, for all that the plan names."""
    places: dict[tuple[str, int], bool] = {}
    for cell in plan["cells"]:
        for name, role in cell["roles"].items():
            place = str(role["run"]), int(role["epoch"])
            places[place] = places.get(place, False) or name in WITH_BLOCKS
    return {
        (run, epoch): read_score(runs / run, epoch, num_classes, with_blocks=with_blocks)
        if is_run_name(run)
        else (None, _NO_NAME)
        for (run, epoch), with_blocks in sorted(places.items())
    }


_NO_NAME = "the plan names a run that is no name of a folder"


def planned_cells(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells of plan.json, and those that a search went through before it."""
    return [*plan["cells"], *plan.get("searched", [])]


def cell_key(entry: dict[str, Any]) -> Key:
    """The key of a cell of plan.json; a recipe that a search has drawn stands with the backbone: `cenet (point-3)`."""
    variant = entry.get("variant")
    return (
        plain_name(entry["backbone"]) + (f" ({plain_name(variant['name'])})" if variant else ""),
        int(entry["width"]),
        CHECKPOINT if entry["pretrain_epochs"] == CHECKPOINT else int(entry["pretrain_epochs"]),
        plain_name(entry["freeze"]),
        "all" if entry["labelled_scans"] == "all" else int(entry["labelled_scans"]),
    )


def _cell(
    entry: dict[str, Any],
    scored: dict[tuple[str, int], tuple[Score | None, str]],
    failures: dict[str, dict[str, Any]],
) -> CellResult:
    roles = {}
    for role in sorted(entry["roles"], key=lambda r: (ROLES.index(r) if r in ROLES else len(ROLES), r)):
        run, epoch = str(entry["roles"][role]["run"]), int(entry["roles"][role]["epoch"])
        score, problem = scored[run, epoch]
        roles[role] = RoleResult(run=visible(run), epoch=epoch, score=score, problem=problem)
    status, reason = _status(roles, failures)
    backbone, width, pretrain_epochs, freeze, labelled_scans = cell_key(entry)
    variant = dict(entry.get("variant") or {})
    pretraining = {f"pretraining.{name}": value for name, value in dict(variant.get("pretraining") or {}).items()}
    fields = (dict(variant.get("finetuning") or {}) | pretraining).items()
    return CellResult(
        backbone=backbone,
        width=width,
        pretrain_epochs=pretrain_epochs,
        freeze=freeze,
        labelled_scans=labelled_scans,
        seed=int(entry["seed"]),
        status=status,
        reason=visible(reason),
        roles=roles,
        recipe=plain_name(variant.get("name", "")),
        drawn=", ".join(plain_name(f"{key} {value}") for key, value in fields),
    )


def _status(roles: dict[str, RoleResult], failures: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """A cell is what its own end is (fine-tuning, or scratch where nothing is pretrained), then what the others are.

    Rungs of the ladder stand in a table of their own, which says what of them is not there.
    """
    end = "finetuned" if "finetuned" in roles else "scratch"
    absent = {name: role for name, role in roles.items() if role.score is None and not name.startswith(LADDER_ROLE)}
    failed = {name: failures[role.run] for name, role in absent.items() if role.run in failures}
    if not absent:
        return "done", ""
    if end in failed:
        status = "blocked" if failed[end].get("kind") == "blocked" else "failed"
        return status, f"{end}: {failed[end].get('message', '')}"
    if failed and end not in absent:
        name = min(failed, key=lambda n: failed[n].get("kind") == "blocked")  # what failed itself says more
        return "failed", f"{name}: {failed[name].get('message', '')}"
    name = end if end in absent else next(iter(absent))
    return "missing", f"{name}: {absent[name].problem}"


def _tested_part(manifest: dict[str, Any]) -> dict[str, tuple[int, int]]:
    found = {}
    for domain in DOMAINS:
        scans = _scans(manifest, domain)
        if "test" in scans and "test_available" in scans and scans["test"] != scans["test_available"]:
            found[domain] = scans["test"], scans["test_available"]
    return found


def _scans(manifest: dict[str, Any], domain: str) -> dict[str, int]:
    """How many scans of a domain the manifest counts, by split; {} where it does not say."""
    found: Any = manifest
    for name in ("domains", domain, "scans"):
        found = found.get(name) if isinstance(found, dict) else None
    return {k: v for k, v in found.items() if type(v) is int and v > 0} if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def read_plan(study_folder: Path) -> dict[str, Any]:
    """A study's plan.json. Raises UserError where it is missing, cannot be read or has another schema."""
    path = study_folder / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        inside = sorted(p.parent.name for p in study_folder.glob("*/plan.json"))
        do = f"name a study inside it: {', '.join(inside)}" if inside else "run the study first, or name its folder"
        raise UserError("this is not the folder of a study", where=study_folder, wanted="a plan.json", do=do) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            "the study's plan cannot be read", where=path, found=error, wanted="JSON", do="run the study again"
        ) from None
    if not isinstance(plan, dict) or plan.get("schema") != 1:
        found = plan.get("schema") if isinstance(plan, dict) else type(plan).__name__
        raise UserError(
            "the study's plan has a schema that this version does not know",
            where=path,
            found=found,
            wanted="schema 1",
            do="use the version of lidartune that ran the study, or run it again",
        )
    return plan


def optional_json(path: Path) -> dict[str, Any]:
    """A JSON object, or {} where the file is not there or not whole: the report then goes on with what it has."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _class_sets(scores: list[Score], num_classes: int) -> tuple[dict[str, NDArray[np.bool_]], list[str]]:
    """The classes in each test split's ground truth, and the domains whose runs disagree about that ground truth."""
    sets, differ = {}, []
    for domain in DOMAINS:
        totals = [m["points"].sum(1) for m in (s.matrices.get(domain, {}) for s in scores) if "points" in m]
        sets[domain] = np.zeros(num_classes, dtype=bool)
        for total in totals:
            sets[domain] |= total > 0
        sets[domain][0] = False
        if totals and any(not np.array_equal(total, totals[0]) for total in totals):
            differ.append(domain)
    return sets, differ

"""What a study left on disk, as plain arrays: reads the study's and the store's JSON only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidartune.errors import UserError
from lidartune.transfer import gap

DOMAINS = ("synthetic", "real")
LEVELS = ("points", "pixels", "no_vote", "ceiling")
# In this order the first role that is not there gives a cell its status.
ROLES = (
    "pretrained", "start", "finetuned", "scratch_start", "scratch", "full", "scratch_longer", "full_equal",
    "full_longer", "pretrained_longer", "synthetic_synthetic", "real_real", "real_synthetic",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Score:
    """The test scores of one (run, epoch): `matrices[domain][level]` is (C, C), rows = truth, columns = predicted."""

    epoch: int
    updates: int
    matrices: dict[str, dict[str, NDArray[np.int64]]]
    block_names: dict[str, tuple[str, ...]]  # domain -> names of its blocks of consecutive scans
    blocks: dict[str, gap.Floats]  # domain -> (B, 3, C-1), see gap.block_counts


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
    pretrain_epochs: int
    freeze: str
    labelled_scans: int | str
    seed: int
    status: str
    reason: str
    roles: dict[str, RoleResult]

    @property
    def key(self) -> tuple[str, int, int, str, int | str]:
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
    """A study as read from disk; `class_sets[domain]` (C,) marks the classes in the ground truth of that test split."""

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
    curves: dict[str, Any] = field(default_factory=dict, compare=False)  # cache of curves.learning_curve


def cell_order(key: tuple[str, int, int, str, int | str]) -> tuple[Any, ...]:
    """Sort key of a cell's key: numbers as numbers, `all` labelled scans after every number."""
    backbone, width, pretrain_epochs, freeze, labelled = key
    return backbone, width, pretrain_epochs, freeze, labelled == "all", labelled if labelled != "all" else 0


def load_study(study_folder: Path, runs_root: Path | None = None) -> StudyResults:
    """Reads a study's folder and the test scores of every run and epoch that its plan names, each once.

    Args:
        study_folder: holds plan.json, and failures.json and manifest.json where the study has got that far.
        runs_root: folder of the runs; by default `runs` beside the study's folder.

    Raises:
        UserError: plan.json is missing, is not JSON, or has another schema.
    """
    study_folder = Path(study_folder)
    runs = Path(runs_root) if runs_root is not None else study_folder.parent / "runs"
    plan = _read_plan(study_folder)
    failures = _optional_json(study_folder / "failures.json")
    manifest = _optional_json(study_folder / "manifest.json")
    classes = tuple(str(c) for c in plan["classes"])
    seen: dict[tuple[str, int], tuple[Score | None, str]] = {}
    cells = []
    for cell in plan["cells"]:
        roles = {}
        for role in sorted(cell["roles"], key=lambda r: (ROLES.index(r) if r in ROLES else len(ROLES), r)):
            run, epoch = str(cell["roles"][role]["run"]), int(cell["roles"][role]["epoch"])
            if (run, epoch) not in seen:
                seen[run, epoch] = read_score(runs / run, epoch, len(classes))
            score, problem = seen[run, epoch]
            roles[role] = RoleResult(run=run, epoch=epoch, score=score, problem=problem)
        status, reason = _status(roles, failures)
        cells.append(
            CellResult(
                backbone=str(cell["backbone"]),
                width=int(cell["width"]),
                pretrain_epochs=int(cell["pretrain_epochs"]),
                freeze=str(cell["freeze"]),
                labelled_scans="all" if cell["labelled_scans"] == "all" else int(cell["labelled_scans"]),
                seed=int(cell["seed"]),
                status=status,
                reason=reason,
                roles=roles,
            )
        )
    cells.sort(key=lambda c: (cell_order(c.key), c.seed))
    sets, differ = _class_sets([s for s, _ in seen.values() if s is not None], len(classes))
    notes = [str(n) for n in manifest.get("notes", [])]
    notes += [f"Runs were scored on different {d} test splits: do not compare them." for d in differ]
    return StudyResults(
        name=str(plan.get("study", study_folder.name)),
        folder=study_folder,
        runs_root=runs,
        classes=classes,
        updates_per_epoch=int(plan["updates_per_epoch"]),
        finetune_epochs=int(plan["finetune_epochs"]),
        cells=tuple(cells),
        excluded=tuple(plan.get("excluded", [])),
        failures=failures,
        notes=tuple(notes),
        class_sets=sets,
    )


def _read_plan(study_folder: Path) -> dict[str, Any]:
    path = study_folder / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        inside = sorted(p.parent.name for p in study_folder.glob("*/plan.json"))
        do = f"name a study inside it: {', '.join(inside)}" if inside else "run the study first, or name its folder"
        raise UserError("this is not the folder of a study", where=study_folder, wanted="a plan.json", do=do) from None
    except ValueError as error:
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


def _optional_json(path: Path) -> dict[str, Any]:
    """A JSON object, or {} where the file is not there or not whole: the report then goes on with what it has."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def committed_file(run_folder: Path, epoch: int, kind: str, name: str) -> tuple[bytes | None, str]:
    """The bytes of a committed file, or None and why not.

    A commit that is missing or not whole JSON counts as not there; a file unlike its listed size or hash as damaged.
    """
    folder = run_folder / f"epoch-{epoch:06d}" / kind
    try:
        entry = json.loads((folder / "commit.json").read_bytes())["files"][name]
        path, size, digest = str(entry["path"]), int(entry["bytes"]), str(entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"{kind} of epoch {epoch} not there yet"
    if Path(path).name != path:
        return None, f"{kind} of epoch {epoch} is damaged: its commit names a file elsewhere"
    try:
        data = (folder / path).read_bytes()
    except OSError:
        return None, f"{kind} of epoch {epoch} is damaged: {path} is missing"
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        return None, f"{kind} of epoch {epoch} is damaged: {path} is unlike its commit"
    return data, ""


def committed_json(run_folder: Path, epoch: int, kind: str, name: str) -> tuple[dict[str, Any] | None, str]:
    """As `committed_file`, parsed."""
    data, problem = committed_file(run_folder, epoch, kind, name)
    if data is None:
        return None, problem
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    return (value, "") if isinstance(value, dict) else (None, f"{kind} of epoch {epoch} is damaged: {name} is not JSON")


def read_score(run_folder: Path, epoch: int, num_classes: int) -> tuple[Score | None, str]:
    """The test scores of one epoch of a run, or None and why not."""
    data, problem = committed_json(run_folder, epoch, "test", "scores.json")
    if data is None:
        return None, problem
    try:
        matrices, names, blocks = {}, {}, {}
        for domain in (d for d in DOMAINS if d in data):
            matrices[domain] = {
                level: as_matrix(data[domain][level], num_classes) for level in LEVELS if level in data[domain]
            }
            parts = data[domain].get("blocks") or []
            names[domain] = tuple(f"{b['sequence']}/{b['first']}-{b['last']}" for b in parts)
            if parts:
                blocks[domain] = gap.block_counts(np.stack([as_matrix(b["points"], num_classes) for b in parts]))
        score = Score(
            epoch=int(data["epoch"]), updates=int(data["updates"]), matrices=matrices, block_names=names, blocks=blocks
        )
    except (KeyError, TypeError, ValueError) as error:
        return None, f"test of epoch {epoch} is damaged: {error}"
    return score, ""


def as_matrix(rows: Any, num_classes: int) -> NDArray[np.int64]:
    """(C, C) counts from JSON rows; ValueError where they are something else."""
    matrix = np.array(rows, dtype=np.int64)
    if matrix.shape != (num_classes, num_classes):
        raise ValueError(f"a confusion matrix of shape {matrix.shape} for {num_classes} classes")
    return matrix


def _status(roles: dict[str, RoleResult], failures: dict[str, dict[str, Any]]) -> tuple[str, str]:
    for name, role in roles.items():
        if role.score is not None:
            continue
        failure = failures.get(role.run)
        if failure is None:
            return "missing", f"{name}: {role.problem}"
        status = "blocked" if failure.get("kind") == "blocked" else "failed"
        return status, f"{name}: {failure.get('message', '')}"
    return "done", ""


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

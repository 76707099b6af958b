"""Cells that differ in the seed only, and their scores as arrays over seeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lidartune.report.results import CHECKPOINT, CellResult, Key, StudyResults
from lidartune.report.scores import DOMAINS, LEVELS, Score
from lidartune.transfer import gap
from lidartune.transfer.blocks import block_bootstrap

_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:\\|\\\\|~?/)(?:[^\s/\\:;,'\"()]+[/\\])+")
_HOST = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")
KEY = ("backbone", "width", "pretrain_epochs", "freeze", "labelled_scans")


def plain_reason(text: str) -> str:
    """A reason as the files hold it: its first line, folders and addresses left out, at most 200 characters."""
    line = next((line.strip() for line in str(text).splitlines() if line.strip()), "")
    return _HOST.sub("<address>", _PATH.sub("", line))[:200]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One row of the gap table: a setting, and its cells sorted by seed."""

    key: Key
    cells: tuple[CellResult, ...]

    @property
    def from_checkpoint(self) -> bool:
        """It starts from an imported network: the same one for all seeds, of unknown length."""
        return self.key[2] == CHECKPOINT

    @property
    def done(self) -> int:
        """How many seeds have every role."""
        return sum(cell.status == "done" for cell in self.cells)

    @property
    def status(self) -> str:
        """`done`, or the status of the first seed that is not."""
        return next((cell.status for cell in self.cells if cell.status != "done"), "done")

    @property
    def reason(self) -> str:
        """Why seeds are not done: `seed 1: finetuned: ...`, one entry a distinct reason."""
        seeds: dict[str, list[str]] = {}
        for cell in self.cells:
            if cell.status != "done":
                seeds.setdefault(f"{cell.status}: {plain_reason(cell.reason)}", []).append(str(cell.seed))
        return "; ".join(f"seed {', '.join(s)} {reason}" for reason, s in seeds.items())

    @property
    def label(self) -> str:
        """The setting in words."""
        backbone, width, epochs, freeze, labelled = self.key
        scans = "all real scans" if labelled == "all" else f"{labelled} real scans"
        return f"{backbone}, width {width}, {pretraining_words(epochs)}, freeze {freeze}, {scans}"


def pretraining_words(epochs: int | str) -> str:
    """What a setting begins with, in words."""
    return "from the checkpoint" if epochs == CHECKPOINT else f"pretraining epochs {epochs}"


def group_cells(results: StudyResults) -> list[Group]:
    """The study's cells by setting, in the order of load_study: by key, then by seed."""
    if "groups" not in results.cache:
        found: dict[Key, list[CellResult]] = {}
        for cell in results.cells:
            found.setdefault(cell.key, []).append(cell)
        results.cache["groups"] = [Group(key=key, cells=tuple(cells)) for key, cells in found.items()]
    groups: list[Group] = results.cache["groups"]
    return groups


def shared_classes(results: StudyResults) -> np.ndarray:
    """(C,) the classes that both test splits' ground truth holds."""
    return np.logical_and.reduce([results.class_sets[domain] for domain in DOMAINS])


def mean_score(
    results: StudyResults, cell: CellResult, role: str, domain: str, level: str = "points", *, shared: bool = False
) -> float:
    """mIoU of a role on a test split, over the split's class set or the classes both splits share; nan = not there."""
    place = cell.roles.get(role)
    if place is None or place.score is None:
        return float("nan")
    score: float = _scored(results)[0].get((place.run, place.epoch, domain, level, shared), float("nan"))
    return score


def _scored(results: StudyResults) -> tuple[dict[Any, float], dict[Any, gap.Floats]]:
    """All that was scored, worked out in one go: (run, epoch, domain, level, shared) -> mIoU, and
    (run, epoch, domain) -> (C,) IoU on points."""
    if "scored" not in results.cache:
        scores = {(r.run, r.epoch): r.score for cell in results.cells for r in cell.roles.values() if r.score}
        means: dict[Any, float] = {}
        ious: dict[Any, gap.Floats] = {}
        for domain in DOMAINS:
            for level in LEVELS:
                found = [p for p, s in scores.items() if level in s.matrices.get(domain, {})]
                if not found:
                    continue
                iou = gap.iou(np.stack([scores[place].matrices[domain][level] for place in found]))
                for shared, classes in ((False, results.class_sets[domain]), (True, shared_classes(results))):
                    mean = gap.nan_mean(np.where(classes, iou, np.nan), axis=-1)
                    means |= {(*p, domain, level, shared): float(m) for p, m in zip(found, mean, strict=True)}
                if level == "points":
                    ious |= {(*place, domain): row for place, row in zip(found, iou, strict=True)}
        results.cache["scored"] = means, ious
    scored: tuple[dict[Any, float], dict[Any, gap.Floats]] = results.cache["scored"]
    return scored


def _scores_of(group: Group) -> dict[str, tuple[str, str]]:
    """gap.SCORES, without the control where something is frozen: its training never freezes, so it is none there."""
    return {name: place for name, place in gap.SCORES.items() if name != "real_real" or group.key[3] == "none"}


def mean_scores(results: StudyResults, group: Group, *, shared: bool = False) -> dict[str, gap.Floats]:
    """The names of gap.SCORES, as far as the setting has them -> (seeds,) mIoU."""
    return {
        name: np.array([mean_score(results, c, role, domain, shared=shared) for c in group.cells])
        for name, (role, domain) in _scores_of(group).items()
    }


def measures(results: StudyResults, group: Group, *, shared: bool = False) -> dict[str, gap.Interval]:
    """All of gap.measure of a setting's mIoU, over its seeds."""
    key = "measures", shared
    if key not in results.cache:
        results.cache[key] = _all_measures(results, lambda each: mean_scores(results, each, shared=shared))
    found: dict[str, gap.Interval] = results.cache[key][group.key]
    return found


def class_measures(results: StudyResults, group: Group) -> dict[str, gap.Interval]:
    """All of gap.measure of a setting's IoU of each class (C,), over its seeds."""
    if "classes" not in results.cache:
        results.cache["classes"] = _all_measures(results, lambda each: class_scores(results, each))
    found: dict[str, gap.Interval] = results.cache["classes"][group.key]
    return found


def _all_measures(
    results: StudyResults, scores_of: Callable[[Group], dict[str, gap.Floats]]
) -> dict[Key, dict[str, gap.Interval]]:
    """gap.measure of every setting, all in one go: settings with fewer seeds have nan in place of the others."""
    found = {}
    everything = group_cells(results)
    for checkpoint in (False, True):
        groups = [group for group in everything if group.from_checkpoint == checkpoint]
        if not groups:
            continue
        scores = [scores_of(group) for group in groups]
        seeds = max(len(group.cells) for group in groups)
        shape = (seeds, len(groups), *next(iter(scores[0].values())).shape[1:])
        stacked = {name: np.full(shape, np.nan) for name in gap.SCORES}
        for index, each in enumerate(scores):
            for name, values in each.items():
                stacked[name][: len(values), index] = values
        measured = gap.measure(stacked, one_network=one_network(groups[0]))
        for index, group in enumerate(groups):
            found[group.key] = {name: interval.at(index) for name, interval in measured.items()}
    return found


def one_network(group: Group) -> tuple[str, ...]:
    """The scores that one network has for all seeds: they say nothing about how seeds differ."""
    return ("synthetic_to_synthetic", "synthetic_to_real", "start") if group.from_checkpoint else ()


def class_scores(results: StudyResults, group: Group) -> dict[str, gap.Floats]:
    """The names of gap.SCORES, as far as the setting has them -> (seeds, C) IoU."""
    absent = np.full(len(results.classes), np.nan)
    return {
        name: np.stack([_class_score(results, c, role, domain, absent) for c in group.cells])
        for name, (role, domain) in _scores_of(group).items()
    }


def _class_score(results: StudyResults, cell: CellResult, role: str, domain: str, absent: gap.Floats) -> gap.Floats:
    place = cell.roles.get(role)
    if place is None or place.score is None:
        return absent
    return _scored(results)[1].get((place.run, place.epoch, domain), absent)


def block_interval(group: Group, role: str, minus: str | None = None) -> tuple[float, float, int]:
    """Block-bootstrap interval over the real test scans of a role or of its difference from another; mean of seeds.

    Returns:
        low, high, and the number of blocks that are drawn from; 0 where the seeds have none in common.
    """
    picked: list[list[np.ndarray]] = []
    names: set[tuple[str, ...]] = set()
    for cell in group.cells:
        scores = [s for s in (_score_of(cell, role), _score_of(cell, minus)) if s is not None]
        if len(scores) < (1 if minus is None else 2) or any(s.blocks is None for s in scores):
            continue
        names |= {s.block_names for s in scores}
        picked.append([s.blocks for s in scores if s.blocks is not None])
    if not picked or len(names) != 1:
        return float("nan"), float("nan"), 0
    counts = [np.stack(column) for column in zip(*picked, strict=True)]
    low, high = block_bootstrap(counts[0], counts[1] if minus is not None else None)
    return low, high, counts[0].shape[1]


def _score_of(cell: CellResult, role: str | None) -> Score | None:
    found = cell.roles.get(role) if role is not None else None
    return found.score if found is not None else None

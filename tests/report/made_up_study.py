"""Made-up studies on disk: the plan and the store's JSON as a driver leaves them, with scores that are set by hand.

Wrong points are predicted as "ignored", so that a class's IoU is its share of right points, exactly.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ["ignored"] + [f"class-{i}" for i in range(1, 20)]
POINTS = 1000  # labelled points of each class in a test split
UPDATES = 32  # updates an epoch

# role -> (kind of run, start kind, scored at: "P", "F", "P+F" or 0)
ROLES: dict[str, tuple[str, str]] = {
    "pretrained": ("synthetic", "P"),
    "start": ("finetune", "0"),
    "finetuned": ("finetune", "F"),
    "pretrained_longer": ("synthetic", "P+F"),
    "scratch": ("real", "F"),
    "scratch_start": ("real", "0"),
    "scratch_longer": ("real", "P+F"),
    "full_equal": ("full", "P"),
    "full_longer": ("full", "P+F"),
    "synthetic_synthetic": ("syn-syn", "F"),
    "real_real": ("real-real", "F"),
    "real_synthetic": ("real-syn", "F"),
}
FROM_CHECKPOINT = {
    "pretrained": ("imported", "0"), "start": ("finetune", "0"), "finetuned": ("finetune", "F"),
    "scratch_start": ("real", "0"), "scratch": ("real", "F"),
}  # fmt: skip
Accuracy = Callable[[dict[str, Any], str, str], Any]  # (cell, role, domain) -> share right, scalar or (19,)


def matrix(share: Any, classes: Iterable[int] = range(1, 20), points: int = POINTS, size: int = 20) -> np.ndarray:
    """A confusion matrix whose IoU of each class in `classes` is `share` (scalar or (size - 1,))."""
    result = np.zeros((size, size), dtype=np.int64)
    shares = np.broadcast_to(np.asarray(share, dtype=float), (size - 1,))
    for c in classes:
        right = int(round(points * float(np.clip(shares[c - 1], 0, 1))))
        result[c, c], result[c, 0] = right, points - right
    result[0, 1:4] = 77  # ignored truth: must never count
    return result


def commit(run: Path, epoch: int, kind: str, files: dict[str, bytes]) -> None:
    """A committed epoch: the files under names of this attempt, then commit.json."""
    folder = run / f"epoch-{epoch:06d}" / kind
    folder.mkdir(parents=True, exist_ok=True)
    listed = {}
    for name, data in files.items():
        stem, dot, ending = name.partition(".")
        path = f"{stem}-1f2e{dot}{ending}"
        (folder / path).write_bytes(data)
        listed[name] = {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "commit.json").write_text(json.dumps({"files": listed}))


def scores(epoch: int, matrices: dict[str, np.ndarray], blocks: int = 4) -> bytes:
    """scores.json with the same figures on all levels but for the pixels and no-vote ones, which are a bit lower."""
    data: dict[str, Any] = {"epoch": epoch, "updates": epoch * UPDATES}
    for domain, points in matrices.items():
        parts = [points // blocks] * (blocks - 1)
        parts.append(points - sum(parts))
        data[domain] = {
            "points": points.tolist(),
            "pixels": (points // 2).tolist(),
            "no_vote": points.tolist(),
            "ceiling": matrix(0.95, np.flatnonzero(points[1:].sum(1)) + 1, size=len(points)).tolist(),
            "blocks": [
                {"sequence": "08", "first": f"{i * 4:06d}", "last": f"{i * 4 + 3:06d}", "points": part.tolist()}
                for i, part in enumerate(parts)
            ],
        }
    return json.dumps(data).encode()


def probabilities(matrices: dict[str, np.ndarray]) -> bytes:
    """probabilities.json: a right point has probability 0.8 of its class, all others 0.1."""
    data = {}
    for domain, points in matrices.items():
        right, wrong = np.zeros((2, len(points) - 1, 51), dtype=np.int64)
        hits, true = np.diag(points)[1:], points[1:].sum(1)
        right[:, 40], right[:, 5] = hits, true - hits
        wrong[:, 5] = true.sum() - true
        data[domain] = {"right": right.tolist(), "wrong": wrong.tolist()}
    return json.dumps(data).encode()


def metrics(epoch: int, matrices: dict[str, np.ndarray]) -> bytes:
    """metrics.json of one epoch."""
    data: dict[str, Any] = {"epoch": epoch, "updates": epoch * UPDATES}
    if epoch:
        data["train"] = {"loss": 2.0 / epoch, "learning_rate": 0.01}
    data["validation"] = {d: {"points": m.tolist(), "pixels": (m // 2).tolist()} for d, m in matrices.items()}
    return json.dumps(data).encode()


def picture(width: int = 64) -> bytes:
    """A small PNG of three bands."""
    pixels = np.zeros((30, width, 3), dtype=np.uint8)
    pixels[:10], pixels[10:20, :, 1], pixels[20:, :, 2] = 90, 200, 200
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def default_accuracy(cell: dict[str, Any], role: str, domain: str) -> Any:
    """Plausible shares: pretraining helps, more so at few labelled scans; every seed a bit different."""
    base = {
        ("pretrained", "synthetic"): 0.60, ("pretrained", "real"): 0.22, ("start", "real"): 0.22,
        ("start", "synthetic"): 0.60, ("finetuned", "real"): 0.46, ("finetuned", "synthetic"): 0.41,
        ("scratch_start", "real"): 0.01, ("scratch_start", "synthetic"): 0.01,
        ("scratch", "real"): 0.38, ("scratch", "synthetic"): 0.17, ("scratch_longer", "real"): 0.45,
        ("scratch_longer", "synthetic"): 0.18, ("full", "real"): 0.50, ("full", "synthetic"): 0.20,
        ("full_equal", "real"): 0.48, ("full_equal", "synthetic"): 0.2, ("full_longer", "real"): 0.55,
        ("full_longer", "synthetic"): 0.21, ("pretrained_longer", "synthetic"): 0.66,
        ("pretrained_longer", "real"): 0.23, ("synthetic_synthetic", "synthetic"): 0.65,
        ("synthetic_synthetic", "real"): 0.23, ("real_real", "real"): 0.44, ("real_real", "synthetic"): 0.17,
        ("real_synthetic", "synthetic"): 0.61, ("real_synthetic", "real"): 0.24,
    }[role, domain]  # fmt: skip
    # The same (run, epoch) must give the same score whatever role it is asked as.
    same_as = "pretrained" if role == "start" else role
    noise = np.random.default_rng([len(same_as), cell["seed"], cell["width"], len(domain), ord(same_as[0])])
    return base + 0.012 * noise.standard_normal() + 0.05 * noise.standard_normal(19) + (cell["width"] - 512) / 20000


def make_study(
    root: Path,
    *,
    accuracy: Accuracy = default_accuracy,
    backbones: Iterable[str] = ("squeezesegv2",),
    widths: Iterable[int] = (512,),
    pretrain_epochs: Iterable[int | str] = (3,),
    freezes: Iterable[str] = ("none",),
    labelled: Iterable[int | str] = (8,),
    seeds: Iterable[int] = (0, 1, 2),
    finetune_epochs: int = 4,
    real_classes: Iterable[int] = range(1, 20),
    names: list[str] | None = None,
    curves: bool = True,
    name: str = "demo",
    blocks: int = 4,
    pictures: bool = True,
    only_roles: Collection[str] = (),
) -> Path:
    """Writes a whole study with its runs under `root`; returns the study's folder.

    With fewer `names` than NAMES there are as many classes fewer, and `accuracy` is to return scalars.
    """
    runs, cells = root / "runs", []
    size = len(names or NAMES)
    present = {"synthetic": list(range(1, size)), "real": [c for c in real_classes if c < size]}
    written: set[tuple[str, int]] = set()
    grid = [
        (b, w, p, f, n, s)
        for b in backbones for w in widths for p in pretrain_epochs
        for f in (freezes if p else ["none"]) for n in labelled for s in seeds
    ]  # fmt: skip
    for b, w, p, f, n, s in grid:
        cell: dict[str, Any] = {
            "backbone": b, "width": w, "pretrain_epochs": p, "freeze": f, "labelled_scans": n, "seed": s
        }  # fmt: skip
        before = p if isinstance(p, int) else 0
        stage = {"P": before, "F": finetune_epochs, "P+F": before + finetune_epochs, "0": 0}
        places = ROLES if before else {"scratch": ("real", "F"), "full": ("full", "F")}
        places = FROM_CHECKPOINT if p == "checkpoint" else places
        run_names = {
            "synthetic": f"{b}-{w}-synthetic-s{s}", "real": f"{b}-{w}-real-n{n}-s{s}",
            "full": f"{b}-{w}-real-nall-s{s}", "imported": f"{b}-{w}-imported",
            "finetune": f"{b}-{w}-p{p}-{f}-real-n{n}-s{s}", "syn-syn": f"{b}-{w}-p{p}-then-synthetic-s{s}",
            "real-real": f"{b}-{w}-real-n{n}-p{p}-then-real-s{s}",
            "real-syn": f"{b}-{w}-real-n{n}-p{p}-then-synthetic-s{s}",
        }  # fmt: skip
        places = {role: place for role, place in places.items() if not only_roles or role in only_roles}
        cell["roles"] = {}
        for role, (kind, when) in places.items():
            run_name = f"{run_names[kind]}-{hashlib.sha256(run_names[kind].encode()).hexdigest()[:8]}"
            epoch = stage[when]
            cell["roles"][role] = {"run": run_name, "epoch": epoch}
            if (run_name, epoch) in written:
                continue
            written.add((run_name, epoch))
            matrices = {d: matrix(accuracy(cell, role, d), present[d], size=size) for d in ("synthetic", "real")}
            files = {"scores.json": scores(epoch, matrices, blocks), "probabilities.json": probabilities(matrices)}
            files |= {f"picture-{d}.png": picture() for d in present if pictures}
            commit(runs / run_name, epoch, "test", files)
        if curves:
            _write_curves(runs, cell, accuracy, present, size)
        cells.append(cell)
    study = root / name
    study.mkdir(parents=True, exist_ok=True)
    plan = {
        "schema": 1, "study": name, "classes": names or NAMES, "updates_per_epoch": UPDATES,
        "finetune_epochs": finetune_epochs, "cells": cells, "excluded": [],
    }  # fmt: skip
    (study / "plan.json").write_text(json.dumps(plan))
    (study / "manifest.json").write_text(json.dumps({"notes": [], "smoke": False}))
    return study


def _write_curves(
    runs: Path, cell: dict[str, Any], accuracy: Accuracy, present: dict[str, list[int]], size: int
) -> None:
    """metrics of every epoch: each run rises from where it starts to its last score."""
    p = cell["pretrain_epochs"]
    ends = {"synthetic": ("scratch_start", "pretrained_longer"), "real": ("scratch_start", "scratch_longer")}
    pairs = (ends["synthetic"], ends["real"], ("start", "finetuned")) if p else ()
    if p == "checkpoint":
        pairs = (("pretrained", "pretrained"), ("scratch_start", "scratch"), ("start", "finetuned"))
    for first, last in pairs:
        place = cell["roles"][last]
        run, epochs = runs / place["run"], place["epoch"]
        for epoch in range(epochs + 1):
            if (run / f"epoch-{epoch:06d}" / "metrics" / "commit.json").exists():
                continue
            t = 1 - np.exp(-3 * epoch / max(epochs, 1))
            rows = {
                d: matrix((1 - t) * accuracy(cell, first, d) + t * accuracy(cell, last, d), present[d], size=size)
                for d in ("synthetic", "real")
            }
            commit(run, epoch, "metrics", {"metrics.json": metrics(epoch, rows)})


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Changes a JSON file in place."""
    value = json.loads(path.read_text()) if path.exists() else {}
    change(value)
    path.write_text(json.dumps(value))

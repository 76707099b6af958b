"""A small study, kept as files, and the tables that it must give, byte for byte.

    python -m tests.report.golden    # writes golden/results.json and the tables anew; read the diff before it is kept

`golden/results.json` holds the plan, the manifest and the failures, and by run what the store keeps of each epoch: test
scores, metrics, times.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lidartune.report import load_study
from lidartune.report.csv_files import csv_text
from lidartune.report.tables import all_tables

from .made_up_study import commit, edit, make_study

FOLDER = Path(__file__).parent / "golden"
NAMES = ["ignored", "road", "=pole"]
BASE = {
    "pretrained": 0.25, "start": 0.25, "pretrained_longer": 0.24, "finetuned": 0.46, "scratch_start": 0.02,
    "scratch": 0.38, "scratch_longer": 0.44, "full": 0.52, "full_equal": 0.50, "full_longer": 0.58,
    "synthetic_synthetic": 0.24, "real_real": 0.45, "real_synthetic": 0.27,
}  # fmt: skip
BY_SCANS = ("finetuned", "scratch", "scratch_longer", "real_real")


def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
    """On real scans: what a role is worth, more with width and scans, and what its seed does to everything."""
    scans = 0.04 * np.log2(cell["labelled_scans"] / 8) * (role in BY_SCANS)
    own = np.random.default_rng([cell["seed"], cell["width"], cell["labelled_scans"], len(role), ord(role[0])])
    home = 0.35 * (domain == "synthetic") * (role in ("pretrained", "pretrained_longer", "synthetic_synthetic"))
    frozen = -0.02 * (cell["freeze"] != "none") * (role == "finetuned")
    noise = 0.015 * ((cell["seed"] % 3) - 1) + 0.008 * own.standard_normal()
    return round(float(BASE[role] + scans + home + frozen + cell["width"] / 50_000 + noise), 3)


def make(root: Path) -> Path:
    """The study as files: one cell failed, another is not there yet, one run has no times."""
    study = make_study(
        root, accuracy=accuracy, names=NAMES, widths=(512, 1024), pretrain_epochs=(0, 3), freezes=("none", "encoder"),
        labelled=(8, 32), seeds=(0, 1, 2), finetune_epochs=1, blocks=5, pictures=False, name="golden",
    )  # fmt: skip
    scans = {"train": 64, "validation": 4, "test": 20, "test_available": 40}
    edit(study / "manifest.json", lambda m: m.update(notes=["=made up"], domains={"real": {"scans": scans}}))
    cells = json.loads((study / "plan.json").read_text())["cells"]
    last = [c for c in cells if c["width"] == 1024 and c["pretrain_epochs"] == 3 and c["seed"] == 2]
    failed, missing = last[0]["roles"]["finetuned"]["run"], last[-1]["roles"]["finetuned"]["run"]
    for run in (failed, missing):
        (root / "runs" / run / "epoch-000001" / "test" / "commit.json").unlink()
    failure = {"kind": "failed", "message": '=loss became "nan"\nat /home/x/y.py', "log": None}
    edit(study / "failures.json", lambda f: f.update({failed: failure}))
    for run in sorted((root / "runs").iterdir()):
        for epoch in run.glob("epoch-*"):
            record = {"seconds": {"train": 30.0, "score": 6.0}, "device": "made up"}
            if run.name != missing and (epoch / "metrics").is_dir():
                commit(run, int(epoch.name[6:]), "timing", {"timing.json": json.dumps(record).encode()})
    return study


def pack(root: Path) -> None:
    """Keeps the study's files, and of each run what is committed."""
    study = {p.name: json.loads(p.read_text("utf-8")) for p in sorted((root / "golden").glob("*.json"))}
    runs: dict[str, Any] = {}
    for listed in sorted((root / "runs").rglob("commit.json")):
        run, epoch, kind = listed.parent.relative_to(root / "runs").parts
        for name, entry in json.loads(listed.read_text("utf-8"))["files"].items():
            value = json.loads((listed.parent / entry["path"]).read_text("utf-8"))
            for level in ("blocks", "pixels", "no_vote"):  # of the synthetic test split no table reads them
                value.get("synthetic", {}).pop(level, None)
            runs.setdefault(run, {}).setdefault(f"{epoch}/{kind}/{name}", value)
    lines = [f"{json.dumps(run)}: {json.dumps(kept, separators=(',', ':'))}" for run, kept in runs.items()]
    text = '{"study":\n' + json.dumps(study) + ',\n"runs": {\n' + ",\n".join(lines) + "\n}}\n"
    (FOLDER / "results.json").write_text(text, "utf-8")


def unpack(root: Path) -> Path:
    """Writes the kept files as a study and its store have them; returns the study's folder."""
    kept = json.loads((FOLDER / "results.json").read_text("utf-8"))
    (root / "golden").mkdir()
    for name, value in kept["study"].items():
        (root / "golden" / name).write_text(json.dumps(value), "utf-8")
    for run, files in kept["runs"].items():
        for place, value in files.items():
            epoch, kind, name = place.split("/")
            commit(root / "runs" / run, int(epoch.removeprefix("epoch-")), kind, {name: json.dumps(value).encode()})
    return root / "golden"


def tables(study: Path) -> dict[str, str]:
    """Name of a file -> what it must hold."""
    return {f"{name}.csv": csv_text(frame) for name, frame in all_tables(load_study(study)).items()}


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with tempfile.TemporaryDirectory() as made:
        make(Path(made))
        pack(Path(made))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tables(unpack(Path(folder))).items():
            (FOLDER / name).write_text(text, "utf-8", newline="\n")

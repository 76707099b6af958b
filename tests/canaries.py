"""Files that make another file when somebody unpickles them, named as Ray and torch name theirs."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, cage: Path):
        self.cage = cage

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.cage,)  # type: ignore[return-value]


def canary(cage: Path, name: str) -> bytes:
    """A pickle that leaves `cage/name` behind when it is loaded."""
    cage.mkdir(exist_ok=True)
    return pickle.dumps(Canary(cage / name), protocol=2)


def plant(results: Path, name: str, cage: Path) -> list[Path]:
    """Puts canaries all over the results folder of the study of this name, and of its runs."""
    study = results / name
    runs = sorted(path.parent for path in (results / "runs").glob("*/spec.json"))
    planted = []

    def put(path: Path, content: bytes | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(canary(cage, f"{len(planted)}-{path.name}") if content is None else content)
        planted.append(path)

    for folder in (results, study, study / "run_trial_0a1b2c3d_00000_0", study / "report", study / "tensorboard"):
        for name in ("tuner.pkl", "trainable.pkl", "params.pkl", "callback_state.pkl", "searcher-state-1.pkl"):
            put(folder / name)
        for name in (".tmp_generator", "basic-variant-state-1.json", "optuna.pkl", "search_gen_state-1.json"):
            put(folder / name)
        hidden = canary(cage, f"{len(planted)}-experiment_state").hex()
        state = {"trial_data": [{"_type": "CLOUDPICKLE_FALLBACK", "value": hidden}]}
        put(folder / "experiment_state-2026-11-22_10-00-00.json", json.dumps(state).encode())
        for name in (".metadata.pkl", "dict_checkpoint.pkl", "model.pt", "data.pkl"):
            put(folder / "checkpoint_000000" / name)
    for folder in [study / "tensorboard" / "hostile", *(study / "tensorboard").glob("*-seed0*")][:3]:
        put(folder / "events.out.tfevents.1700000000.elsewhere")
    for run in runs:
        for name in ("params.pkl", "result.pkl"):
            put(run / name)
        for epoch in run.glob("epoch-*"):
            for place in (epoch, epoch / "state", epoch / "metrics"):
                for name in ("weights.pt", "state.pkl", "optimizer.pth", "array.npy"):
                    put(place / name)
    return planted


def replace_weights(run: Path, cage: Path) -> Path:
    """Makes a canary the committed weights of a run's last kept state, with the hash in its commit."""
    commit = sorted(run.glob("epoch-*/state/commit.json"))[-1]
    values = json.loads(commit.read_text())
    content = canary(cage, "weights.safetensors")
    entry = values["files"]["weights.safetensors"]
    (commit.parent / entry["path"]).write_bytes(content)
    entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    commit.write_text(json.dumps(values))
    return commit.parent / entry["path"]

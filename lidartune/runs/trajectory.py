"""Carrying out a run: from its start or its last kept epoch, through training and scoring, into the store."""

from __future__ import annotations

import json
import platform
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lidartune.errors import UserError
from lidartune.pictures.scan import draw_prediction
from lidartune.runs.spec import DOMAINS, Domain, RunSpec
from lidartune.runs.store import Store
from lidartune.scans import ScanFile
from lidartune.scoring.evaluate import score_briefly, score_fully
from lidartune.scoring.predict import predict_image
from lidartune.training.loader import PreparedScan, ScanReader
from lidartune.training.loop import fresh_state, imported_state, state_from_milestone, train_epoch
from lidartune.training.state import Normalization, TrainingState, pack, unpack

STATE_FILES = ("weights.safetensors", "optimizer.safetensors", "state.json")


@dataclass(frozen=True, kw_only=True)
class RunData:
    """The scans that a run works with, by domain where both are scored."""

    train: Sequence[ScanFile]
    validation: Mapping[Domain, Sequence[ScanFile]]
    test: Mapping[Domain, Sequence[ScanFile]]
    readers: Mapping[Domain, ScanReader]


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch that has just been committed; `kept` says that its weights and test scores are there to stay."""

    epoch: int
    kept: bool
    scans_per_second: float
    validation: dict[str, Any]


def missing_epochs(store: Store, run: str, wanted: Sequence[int]) -> list[int]:
    """The wanted epochs that are not all in the store: their test scores and, but for epoch 0, their weights."""
    return [
        epoch
        for epoch in sorted(wanted)
        if not store.has(run, epoch, "test") or (epoch > 0 and not store.has(run, epoch, "state"))
    ]


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """A run together with what it needs to be carried out here."""

    spec: RunSpec
    data: RunData
    store: Store
    device: torch.device

    def carry_out(self, wanted: Sequence[int], announce: Callable[[EpochDone], None]) -> None:
        """Trains until every wanted epoch has its weights and its test scores in the store.

        Goes on from the last epoch whose state was kept; a committed epoch is scored no second time. Every epoch is
        scored on the validation scans of both domains, epoch 0 before the first update.

        Raises:
            TrainingDiverged: when the loss is no number any more; all epochs before stay.
        """
        run = self.spec.folder
        self.store.write_spec(run, self.spec.as_dict())
        if self.spec.imported is not None:
            return self._score_imported(wanted, announce)
        state: TrainingState | None = None
        for epoch in sorted(set(wanted) - set(missing_epochs(self.store, run, wanted))):
            announce(EpochDone(epoch=epoch, kept=True, scans_per_second=0.0, validation={}))
        while missing := missing_epochs(self.store, run, wanted):
            target = missing[0]
            if state is not None and state.epoch > target:
                state = None
            kept = [epoch for epoch in self.store.epochs(run, "state") if epoch <= target]
            if kept and (state is None or state.epoch < kept[-1]):
                state = self.load(kept[-1])
            if state is None:
                began = time.perf_counter()
                state = self._begin()
                announce(self._commit(state, None, began, wanted))
            if state.epoch == target and not self.store.has(run, target, "test"):
                self._commit_test(state)
                announce(EpochDone(epoch=target, kept=True, scans_per_second=0.0, validation={}))
            while state.epoch < target:
                began = time.perf_counter()
                reader = self.data.readers[self.spec.domain]
                figures = train_epoch(self.spec, state, self.data.train, reader, self.device)
                announce(self._commit(state, figures, began, wanted))

    def load(self, epoch: int) -> TrainingState:
        """The run as it was after this epoch."""
        run = self.spec.folder
        files = {name: self.store.read(run, epoch, "state", name) for name in STATE_FILES}
        return unpack(files, self.spec, self.device, f"{run}, epoch {epoch}")

    def _begin(self) -> TrainingState:
        spec, reader = self.spec, self.data.readers[self.spec.domain]
        if spec.start is None:
            return fresh_state(spec, self.data.train, reader, self.device)
        weights, normalization = self._milestone(spec.start.run, spec.start.epoch)
        return state_from_milestone(spec, weights, normalization, self.data.train, reader, self.device)

    def _milestone(self, run: str, epoch: int) -> tuple[bytes, Normalization]:
        """The weights that a run starts from, and the normalisation that belongs to them."""
        if not self.store.has(run, epoch, "state"):
            raise UserError(
                "the milestone that this run starts from is not in the store",
                where=f"{self.store.results}/runs/{run}, epoch {epoch}",
                do="run the same study command again: it trains what is missing",
            )
        facts = self.store.read_json(run, epoch, "state", "state.json")
        normalization = Normalization(means=tuple(facts["means"]), stds=tuple(facts["stds"]))
        return self.store.read(run, epoch, "state", "weights.safetensors"), normalization

    def _score_imported(self, wanted: Sequence[int], announce: Callable[[EpochDone], None]) -> None:
        """Scores a network that was trained elsewhere, as it is."""
        run = self.spec.folder
        if any(epoch > 0 for epoch in wanted):
            raise UserError(
                "an imported network is scored here, but never trained: nobody knows where its training stood",
                where=run,
                found=f"epoch {max(wanted)} wanted",
                wanted="epoch 0",
                do="train a run that starts from it: grid.pretrain_epochs: [checkpoint]",
            )
        if missing_epochs(self.store, run, wanted):
            began = time.perf_counter()
            weights, normalization = self._milestone(run, 0)
            announce(self._commit(imported_state(self.spec, weights, normalization, self.device), None, began, wanted))
        else:
            announce(EpochDone(epoch=0, kept=True, scans_per_second=0.0, validation={}))

    # -- committing -------------------------------------------------------------------------------------------------

    def _commit(
        self, state: TrainingState, figures: dict[str, float] | None, began: float, wanted: Sequence[int]
    ) -> EpochDone:
        """Commits what the epoch gave: metrics, test scores where wanted, and last the state to go on from."""
        run, epoch, recipe = self.spec.folder, state.epoch, self.spec.recipe
        trained = time.perf_counter()
        validation = self._commit_metrics(state, figures)
        if epoch in wanted:
            self._commit_test(state)
        if epoch > 0:  # epoch 0 is made again at no cost
            self.store.commit(run, epoch, "state", pack(state))
            if not self.store.has(run, epoch - 1, "test"):
                self.store.discard(run, epoch - 1, "state")
        seconds = {"train": trained - began, "score": time.perf_counter() - trained}
        scans = recipe.updates_per_epoch * recipe.batch_size if figures else 0
        timing = {"seconds": seconds, "scans": scans, **environment(self.device)}
        self.store.commit(run, epoch, "timing", {"timing.json": _json(timing)})
        rate = scans / seconds["train"] if scans else 0.0
        return EpochDone(epoch=epoch, kept=epoch in wanted, scans_per_second=rate, validation=validation)

    def _commit_metrics(self, state: TrainingState, figures: dict[str, float] | None) -> dict[str, Any]:
        run, epoch = self.spec.folder, state.epoch
        if self.store.has(run, epoch, "metrics"):
            return self.store.read_json(run, epoch, "metrics", "metrics.json")["validation"]
        classify = self._classifier(state)
        validation: dict[str, Any] = {
            domain: score_briefly(classify, self._stream(domain, self.data.validation[domain])) for domain in DOMAINS
        }
        row = {"epoch": epoch, "updates": epoch * self.spec.recipe.updates_per_epoch, "validation": validation}
        row |= {"train": figures} if figures else {}
        self.store.commit(run, epoch, "metrics", {"metrics.json": _json(row)})
        return validation

    def _commit_test(self, state: TrainingState) -> None:
        run, epoch = self.spec.folder, state.epoch
        if self.store.has(run, epoch, "test"):
            return
        classify = self._classifier(state)
        scores: dict[str, Any] = {"epoch": epoch, "updates": epoch * self.spec.recipe.updates_per_epoch}
        pictures = {}
        for domain in DOMAINS:
            scans = self.data.test[domain]
            scores[domain] = score_fully(classify, scans, self._stream(domain, scans), block=self.spec.block)
            fixed = self.data.readers[domain].read(scans[len(scans) // 2], self.spec.canvas)
            pictures[f"picture-{domain}.png"] = draw_prediction(fixed.canvas, classify(fixed), fixed.truth_image)
        self.store.commit(run, epoch, "test", {"scores.json": _json(scores), **pictures})

    def _classifier(self, state: TrainingState) -> Callable[[PreparedScan], np.ndarray]:
        state.model.eval()
        return lambda scan: predict_image(self.spec, state, scan, self.device)

    def _stream(self, domain: Domain, scans: Sequence[ScanFile]) -> Iterator[PreparedScan]:
        return self.data.readers[domain].stream(scans, self.spec.canvas)


def environment(device: torch.device) -> dict[str, Any]:
    """What the result's last bits may depend on, and what it took."""
    return {
        "host": platform.node(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _json(values: Any) -> bytes:
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()

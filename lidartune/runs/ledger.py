"""What a run leaves in the store after each epoch: its scores, its state to go on from, and what it took."""

from __future__ import annotations

import itertools
import json
import platform
import resource
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lidartune.pictures.scan import draw_prediction
from lidartune.runs.spec import DOMAINS, Domain, RunSpec
from lidartune.runs.stopwatch import Stopwatch
from lidartune.runs.store import Store
from lidartune.scans import NUM_CLASSES, ScanFile
from lidartune.scoring.evaluate import Classify, score_briefly, score_fully
from lidartune.scoring.images import probable_images
from lidartune.scoring.predict import predict_image
from lidartune.scoring.probabilities import SCANS_A_COUNT, ProbabilityCounts
from lidartune.training.loader import PreparedScan, ScanReader
from lidartune.training.scored import scored_state
from lidartune.training.state import SCORED, TrainingState, pack, packed_tensors


@dataclass(frozen=True, kw_only=True)
class RunData:
    """The scans that a run works with, by domain where both are scored.

    `other` are the training scans of the domain that the run is not on, where its spec says that it sees them. Where
    it sees them without labels they name no label files, so that none can be read.
    """

    train: Sequence[ScanFile]
    validation: Mapping[Domain, Sequence[ScanFile]]
    test: Mapping[Domain, Sequence[ScanFile]]
    readers: Mapping[Domain, ScanReader]
    other: Sequence[ScanFile] = ()


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a person should read once: `told`, of `about`; runs that are alike tell the same about different things."""

    told: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.about}: {self.told}" if self.about else self.told


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch that has just been committed; `kept` says that its weights and test scores are there to stay.

    `notes` come with epoch 0.
    """

    epoch: int
    kept: bool
    scans_per_second: float
    validation: dict[str, Any]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Scores a run's epochs and commits what they gave."""

    spec: RunSpec
    data: RunData
    store: Store
    device: torch.device

    def commit(
        self,
        state: TrainingState,
        figures: dict[str, float] | None,
        watch: Stopwatch,
        wanted: Sequence[int],
        untested: Collection[int] = (),
        updates: int = 0,
    ) -> EpochDone:
        """Commits what the epoch gave: metrics, the state to go on from, and test scores where wanted.

        The state comes before the scores: whoever sees these finds the weights, and a run that was killed while it took
        leave of what the state stands in for is not done yet, so that it is carried out again.

        Args:
            wanted: the epochs that the run is carried out for.
            untested: those of them that are kept without their test scores.
            watch: started with the epoch, or with the rest of it that was done now.
            updates: how many of the epoch's were done since then.
        """
        run, epoch, recipe = self.spec.folder, state.epoch, self.spec.recipe
        trained = time.perf_counter()
        scored = self._scored(state)
        row = self._commit_metrics(scored, state, figures)
        self._commit_state(scored, state)
        if epoch in wanted:
            self._keep(scored, epoch, tested=epoch not in untested)
        seconds = {"train": trained - watch.began, "score": time.perf_counter() - trained}
        scans = updates * recipe.batch_size
        rate = scans / seconds["train"] if scans else 0.0
        timing = {"seconds": seconds, "scans": scans, "scans_per_second": rate, **environment(self.device)}
        timing |= watch.energy()
        if updates:
            an_epoch = seconds["train"] * recipe.updates_per_epoch / updates + seconds["score"]
            timing["seconds_left"] = an_epoch * (max([epoch, *wanted]) - epoch)
        self.store.commit(run, epoch, "timing", {"timing.json": _json(timing)})
        return EpochDone(
            epoch=epoch,
            kept=epoch in wanted,
            scans_per_second=rate,
            validation=row["validation"],
            notes=_notes(state) if epoch == 0 else (),
        )

    def commit_again(self, state: TrainingState, *, tested: bool) -> None:
        """Commits what is not there, or not any more, of an epoch that was trained and is wanted."""
        scored = self._scored(state)
        self._commit_state(scored, state)
        self._keep(scored, state.epoch, tested=tested)

    def _commit_state(self, scored: TrainingState, state: TrainingState) -> None:
        """Commits the state to go on from, and takes away what it stands in for."""
        run, epoch = self.spec.folder, state.epoch
        if epoch == 0 and self.spec.adaptation is None:  # it is made again at no cost
            return
        files = pack(state)
        if self.spec.recipe.precise_batchnorm is not None:
            files[SCORED] = packed_tensors(scored.model.state_dict())
        self.store.commit(run, epoch, "state", files)
        if epoch > 0:
            self.store.discard_inside(run, epoch)
            if not self.store.stays(run, epoch - 1):
                self.store.discard(run, epoch - 1, "state")

    def _commit_metrics(
        self, scored: TrainingState, state: TrainingState, figures: dict[str, float] | None
    ) -> dict[str, Any]:
        """The epoch's row, at some epochs with pictures; at epoch 0 `load.json`, what came over from a milestone."""
        run, epoch = self.spec.folder, state.epoch
        if self.store.has(run, epoch, "metrics"):
            row: dict[str, Any] = self.store.read_json(run, epoch, "metrics", "metrics.json")
            return row
        classify = self._classifier(scored)
        validation: dict[str, Any] = {}
        files: dict[str, bytes] = {}
        for domain in DOMAINS:
            scans = self.data.validation[domain]
            noted, fixed = _noting(classify, len(scans) // 2)
            validation[domain] = score_briefly(noted, self._stream(domain, scans))
            if has_pictures(epoch):
                files[_picture_file(domain)] = _picture(fixed)
        row = {"epoch": epoch, "updates": epoch * self.spec.recipe.updates_per_epoch, "validation": validation}
        row |= {"train": figures} if figures else {}
        if epoch == 0:
            notes = [str(note) for note in _notes(state)]
            row |= {"notes": notes} if notes else {}
            files |= {"load.json": _json(state.load.as_dict())} if state.load else {}
            row |= {"adaptation": state.adaptation} if state.adaptation is not None else {}
        self.store.commit(run, epoch, "metrics", files | {"metrics.json": _json(row)})
        return row

    def _keep(self, scored: TrainingState, epoch: int, *, tested: bool) -> None:
        """Marks an epoch as one that stays: by its test scores, or by nothing but that mark."""
        run = self.spec.folder
        if not tested:
            return self.store.commit(run, epoch, "kept", {})
        if self.store.has(run, epoch, "test"):
            return
        classify = self._classifier(scored)
        scores: dict[str, Any] = {"epoch": epoch, "updates": epoch * self.spec.recipe.updates_per_epoch}
        pictures, probabilities = {}, {}
        for domain in DOMAINS:
            scans = self.data.test[domain]
            counts = ProbabilityCounts(NUM_CLASSES)
            noted, fixed = _noting(self._counting(classify, scored, counts), len(scans) // 2)
            scores[domain] = score_fully(noted, scans, self._stream(domain, scans), block=self.spec.block)
            probabilities[domain] = counts.as_dict()
            pictures[_picture_file(domain)] = _picture(fixed)
        files = {"scores.json": _json(scores), "probabilities.json": _json(probabilities), **pictures}
        self.store.commit(run, epoch, "test", files)

    def _counting(self, classify: Classify, state: TrainingState, counts: ProbabilityCounts) -> Classify:
        """`classify`, which of one scan in SCANS_A_COUNT also adds to `counts` how probable each class was."""
        due = itertools.cycle(n == 0 for n in range(SCANS_A_COUNT))

        def counting(scan: PreparedScan) -> np.ndarray:
            if not next(due):
                return classify(scan)
            images, levels = probable_images(state.model, state.normalization, [scan.canvas], self.device)
            counts.add(levels[0], scan.canvas, scan.truth)
            return images[0]

        return counting

    def _scored(self, state: TrainingState) -> TrainingState:
        """The state whose network is scored: itself, its average, or one with statistics measured anew."""
        reader = self.data.readers[self.spec.domain]
        return scored_state(self.spec, state, self.data.train, reader, self.device)

    def _classifier(self, state: TrainingState) -> Classify:
        state.model.eval()
        return lambda scan: predict_image(state, scan, self.device)

    def _stream(self, domain: Domain, scans: Sequence[ScanFile]) -> Iterator[PreparedScan]:
        return self.data.readers[domain].stream(scans, self.spec.canvas)


def _notes(state: TrainingState) -> tuple[Note, ...]:
    load = (Note(about=state.load.origin(), told=state.load.told()),) if state.load else ()
    return load + tuple(Note(told=note) for note in state.notes)


def has_pictures(epoch: int) -> bool:
    """Whether an epoch is kept with pictures of its validation scans: 0, 4, 16, 64, ..."""
    return epoch == 0 or (epoch > 1 and epoch.bit_count() == 1 and epoch.bit_length() % 2 == 1)  # powers of 4


def _noting(classify: Classify, number: int) -> tuple[Classify, list[tuple[PreparedScan, np.ndarray]]]:
    """`classify`, and a list to which the scan that is classified as this one (0 the first) goes with its classes: the
    one in the middle, always the same, which then is in a picture without being predicted once more."""
    count, fixed = itertools.count(), list[tuple[PreparedScan, np.ndarray]]()

    def noted(scan: PreparedScan) -> np.ndarray:
        classes = classify(scan)
        if next(count) == number:
            fixed.append((scan, classes))
        return classes

    return noted, fixed


def _picture(fixed: Sequence[tuple[PreparedScan, np.ndarray]]) -> bytes:
    [(scan, classes)] = fixed
    return draw_prediction(scan.canvas, classes, scan.truth_image)


def _picture_file(domain: Domain) -> str:
    return f"picture-{domain}.png"


def environment(device: torch.device) -> dict[str, Any]:
    """What the result's last bits may depend on, and what it took."""
    return {
        "host": platform.node(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **({"gpu_peak_memory_mib": torch.cuda.max_memory_allocated(device) >> 20} if device.type == "cuda" else {}),
    }


def _json(values: Any) -> bytes:
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()

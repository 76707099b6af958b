"""How long an epoch takes: as stored runs of the same kind took, else in proportion to its pixels and its network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean, median
from typing import TypeVar

from lidartune.backbones.cost import cost_per_pixel
from lidartune.config import Resources
from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.runs.store import QUESTIONS_AT_ONCE, Store

T = TypeVar("T")
RUNS_OF_A_KIND, EPOCHS_OF_A_RUN, RUNS_LOOKED_AT = 6, 4, 500
"""How much of the store is read, so that a plan is printed at once however much is there."""


@dataclass(frozen=True)
class Kind:
    """Runs whose epochs take equally long but for their number of updates."""

    backbone: str
    channels: float
    height: int
    width: int
    batch_size: int
    second: str
    """What else a run does in an epoch: joint training on two domains, adaptation; "" for plain training."""

    def __str__(self) -> str:
        return f"{self.backbone} at {self.height} x {self.width} in batches of {self.batch_size}"


@dataclass(frozen=True)
class Timing:
    """What an epoch of a stored run took, in seconds; `tested` where test scans were scored in it."""

    epoch: int
    tested: bool
    scans: int
    train: float
    score: float


def kind_of(spec: RunSpec) -> Kind:
    second = spec.joint.word if spec.joint else spec.adaptation.word if spec.adaptation else ""
    second = "imported" if spec.imported else second
    canvas = spec.canvas
    return Kind(spec.backbone, spec.channels, canvas.height, canvas.width, spec.recipe.batch_size, second)


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """What runs of a kind took: before their first update, per update, to score an epoch, and its test scans."""

    begin: float
    update: float
    score: float
    test: float

    def epoch(self, spec: RunSpec) -> float:
        """An epoch without test scans."""
        return self.update * spec.recipe.updates_per_epoch + self.score


class Pace:
    """How long the epochs of a study's runs take here.

    Reads timings of stored runs that took place on the same sort of device and with as many threads as the study's
    trials will have; what ran beside them then is not known.

    Attributes:
        runs_read: how many stored runs it rests on.
    """

    def __init__(self, store: Store, specs: Iterable[RunSpec], resources: Resources):
        self._store, self._resources = store, resources
        self.runs_read = 0
        self._asked: set[Kind] = set()
        examples = {kind_of(spec): spec for spec in specs}
        self._known = self._read(set(examples))
        ratios = [known.epoch(examples[kind]) / _cost(examples[kind]) for kind, known in self._known.items()]
        self._scale = median(ratios) if ratios else 1.0

    def seconds(self, spec: RunSpec) -> Seconds | None:
        """What stored runs of this kind took; None where there is none."""
        kind = kind_of(spec)
        if kind not in self._asked:
            self._known |= self._read({kind})
        return self._known.get(kind)

    def epoch_cost(self, spec: RunSpec) -> float:
        """An epoch's seconds, or a guess in proportion to what is known, or in no unit where nothing is."""
        known = self.seconds(spec)
        return known.epoch(spec) if known else self._scale * _cost(spec)

    def _read(self, wanted: set[Kind]) -> dict[Kind, Seconds]:
        self._asked |= wanted
        beginnings = tuple(f"{kind.backbone}-{kind.width}-" for kind in wanted)
        names = [run for run in self._store.runs() if run.startswith(beginnings)] if wanted else []
        found: dict[Kind, list[list[Timing]]] = {kind: [] for kind in wanted}
        some = _some(names, RUNS_LOOKED_AT)
        with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
            kinds = [spec and kind_of(spec) for spec in pool.map(self._spec, some)]
            left = {kind: [run for run, its in zip(some, kinds, strict=True) if its == kind] for kind in wanted}
            while asked := [(k, run) for k, runs in left.items() for run in runs[: RUNS_OF_A_KIND - len(found[k])]]:
                for (kind, run), timings in zip(asked, pool.map(self._timings, [run for _, run in asked]), strict=True):
                    left[kind].remove(run)
                    found[kind] += [timings] if timings else []
        self.runs_read += sum(map(len, found.values()))
        timed = {kind: [timing for timings in runs for timing in timings] for kind, runs in found.items()}
        return {kind: taken for kind, timings in timed.items() if (taken := _seconds(timings, kind))}

    def _spec(self, run: str) -> RunSpec | None:
        try:
            return RunSpec.from_dict(self._store.read_spec(run))
        except (UserError, KeyError, TypeError, ValueError):  # damaged: of no use here
            return None

    def _timings(self, run: str) -> list[Timing]:
        """Timings of some epochs, the first and the last among them."""
        store, resources, rows = self._store, self._resources, []
        for epoch in _some(store.begun_epochs(run), EPOCHS_OF_A_RUN):
            try:
                row = store.read_json(run, epoch, "timing", "timing.json")
                seconds, alike = row["seconds"], row["threads"] == resources.cpus_per_trial
                timing = Timing(
                    epoch, store.has(run, epoch, "test"), row["scans"], float(seconds["train"]), float(seconds["score"])
                )
            except (UserError, KeyError, TypeError, ValueError):
                continue
            if alike and ("gpu_peak_memory_mib" in row) == bool(resources.gpus_per_trial):
                rows.append(timing)
        return rows


def _seconds(timings: list[Timing], kind: Kind) -> Seconds | None:
    trained = [timing for timing in timings if timing.scans]
    if not timings or not (trained or kind.second):
        return None
    scans = sum(timing.scans for timing in trained)
    plain = [timing.score for timing in timings if not timing.tested]
    tested = [timing.score for timing in timings if timing.tested]
    begun = [timing.train for timing in timings if timing.epoch == 0]
    score = fmean(plain or tested)
    return Seconds(
        begin=fmean(begun) if begun else 0.0,
        update=kind.batch_size * sum(timing.train for timing in trained) / scans if scans else 0.0,
        score=score,
        test=max(0.0, fmean(tested) - score) if tested and plain else 0.0,
    )


def _some(items: Sequence[T], count: int) -> list[T]:
    """At most so many of the items: the first, the last, and others evenly between them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _cost(spec: RunSpec) -> float:
    scans = spec.recipe.batch_size * spec.recipe.updates_per_epoch
    return cost_per_pixel(spec.backbone, spec.channels) * spec.canvas.height * spec.canvas.width * scans

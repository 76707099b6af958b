"""Where the time of a training epoch goes, and what its watched numbers cost.

    python benchmarks/training.py [--settings demo published modern] [--epochs 4] [--rounds 11]

One trial as studies run them: one torch thread, one thread that reads ahead; give it two cores. Shares are counted in
processor time of the trial's own thread, so that other work on the machine matters little; "waiting" is the part of the
wall clock in which it waited for scans. What the reading thread does meanwhile is given beside it, as a share of the
trial's. The watched numbers' cost is measured twice: as their own share, and as the ratio of epochs with and without
them, from the same state and taken in turn, beside the ratio of two that are alike, which shows what noise does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from lidartune.config import load_config
from lidartune.report.tensorboard import StudyWriter
from lidartune.runs import ledger as ledger_module
from lidartune.runs.ledger import Ledger, RunData
from lidartune.runs.spec import DOMAINS
from lidartune.runs.store import Store
from lidartune.training import loop, update
from lidartune.training.begin import fresh_state
from lidartune.training.loader import ScanReader
from lidartune.training.loop import train_epoch
from lidartune.training.state import EpochSoFar, TrainingState, pack, unpack
from lidartune.transfer.data import open_study_data
from lidartune.transfer.plan import Cell, Plan

CPU = torch.device("cpu")
DEMO = Path(__file__).parents[1] / "study" / "demo.yaml"
SMALL_WORLD = (
    "world={beams: 64, columns: 1024, scans_per_sequence: 6, synthetic_train: 4, synthetic_validation: 2, "
    "synthetic_test: 1, real_train: 2, real_validation: 2, real_test: 1}"
)
FULL_SIZE = (SMALL_WORLD, "canvas.height=64", "channels=1.0", "channels_by_backbone={}", "grid.labelled_scans=[all]")
SETTINGS: dict[str, tuple[str, ...]] = {
    "demo": (),
    "published": (*FULL_SIZE, "recipe={preset: bonnetal, updates_per_epoch: 8, batch_size: 2}"),
    "modern": (*FULL_SIZE, "recipe={preset: modern, updates_per_epoch: 8, batch_size: 2}"),
}
SETS = {
    "demo": "study/demo.yaml: squeezesegv2 at channels 0.25, 32 x 512, 16 updates of 2 scans an epoch",
    "published": "squeezesegv2, 64 x 512, recipe bonnetal, 8 updates of 2 scans an epoch",
    "modern": "squeezesegv2, 64 x 512, recipe modern, 8 updates of 2 scans an epoch, nothing kept in memory",
}


class Sections:
    """A stopwatch of parts that exclude each other: a part within a part is counted as the inner one alone."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.wall: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._last = (0.0, 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if self._open and self._open[-1] in OPAQUE:
            yield
            return
        self._turn()
        self._open.append(name)
        yield
        self._turn()
        self._open.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*args, **options)

        return run

    def _turn(self) -> None:
        now = time.thread_time(), time.perf_counter()
        if self._open:
            self.cpu[self._open[-1]] += now[0] - self._last[0]
            self.wall[self._open[-1]] += now[1] - self._last[1]
        self._last = now


OPAQUE = {"scoring two validation splits", "pictures of two scans", "committing"}


class Trial:
    """A pretraining of one cell, after its first epoch."""

    def __init__(self, name: str, root: Path):
        config = load_config(DEMO, settings=SETTINGS[name])
        data = open_study_data(config)
        plan = Plan(config, data)
        scans = config.grid.labelled_scans[0]
        cell = Cell(
            backbone="squeezesegv2", width=512, pretrain_epochs=3, freeze="none", labelled_scans=scans, seed=0
        )
        plan.add(cell)
        memory = 0 if name == "modern" else 2**30
        train = data.domains["synthetic"]
        self.spec = plan.works[plan.roles[cell]["pretrained"].run].spec
        self.data = RunData(
            train=train.train,
            validation={d: data.domains[d].validation for d in DOMAINS},
            test={d: data.domains[d].test for d in DOMAINS},
            readers={d: ScanReader(data.domains[d].dataset, memory_bytes=memory, threads=1) for d in DOMAINS},
        )
        self.store = Store(root)
        state = fresh_state(self.spec, train.train, self.data.readers["synthetic"], CPU)
        self.ledger = Ledger(spec=self.spec, data=self.data, store=self.store, device=CPU)
        self.ledger.commit(state, self.train(state), time.perf_counter(), ())
        self._kept = pack(state)

    def after_first_epoch(self) -> TrainingState:
        return unpack(self._kept, self.spec, CPU, "benchmark")

    def train(self, state: TrainingState) -> dict[str, float]:
        return train_epoch(self.spec, state, self.data.train, self.data.readers["synthetic"], CPU)


def instrumented(stack: ExitStack, sections: Sections, model: torch.nn.Module) -> None:
    """Puts the stopwatch around the parts of an epoch."""
    stream = ScanReader.training_stream

    def watched_stream(self: ScanReader, *args: Any) -> Iterator[Any]:
        scans = stream(self, *args)
        while True:
            with sections.part("waiting for scans"):
                scan = next(scans, None)
            if scan is None:
                return
            yield scan

    places: list[tuple[Any, str, str]] = [
        (update, "to_batch", "scans to tensors"),
        (type(model), "forward", "forward"),
        (update, "loss_terms", "loss"),
        (torch.Tensor, "backward", "backward"),
        (torch.optim.AdamW, "step", "optimiser"),
        (torch.optim.SGD, "step", "optimiser"),
        (torch.nn.utils, "clip_grad_norm_", "clipping"),
        (loop, "follow", "moving average"),
        (update, "gradient_norm", "watched numbers"),
        (update.Movement, "__init__", "watched numbers"),
        (update.Movement, "ratios", "watched numbers"),
        (EpochSoFar, "read", "watched numbers"),
        (loop, "summary", "watched numbers"),
        (loop, "learning_rates", "watched numbers"),
        (loop, "measured_updates", "watched numbers"),
        (ledger_module, "_picture", "pictures of two scans"),
        (ledger_module, "score_briefly", "scoring two validation splits"),
        (ledger_module, "scored_state", "scoring two validation splits"),
        (ledger_module, "pack", "committing"),
        (Store, "commit", "committing"),
        (Store, "discard", "committing"),
        (Store, "discard_inside", "committing"),
    ]
    stack.enter_context(patch.object(ScanReader, "training_stream", watched_stream))
    for owner, name, part in places:
        plain = getattr(owner, name)
        stack.enter_context(patch.object(owner, name, sections.timed(part, plain)))


def profile(name: str, trial: Trial, epochs: int) -> list[str]:
    """A Markdown table of the shares of so many epochs, each with pictures, which a run has at few."""
    state, sections = trial.after_first_epoch(), Sections()
    process, begun = time.process_time(), time.perf_counter()
    with ExitStack() as stack:
        instrumented(stack, sections, state.model)
        stack.enter_context(patch.object(ledger_module, "has_pictures", lambda epoch: True))
        with sections.part("everything else"):
            for _ in range(epochs):
                start = time.perf_counter()
                figures = trial.train(state)
                trial.ledger.commit(state, figures, start, ())
    wall, process = time.perf_counter() - begun, time.process_time() - process
    pictures = sections.cpu["pictures of two scans"]
    own = sum(sections.cpu.values())
    epoch = own - pictures
    rows = sorted(sections.cpu.items(), key=lambda item: -item[1])
    lines = ["| part of an epoch | share |", "|---|---|"]
    lines += [f"| {part} | {seconds / epoch:.1%} |" for part, seconds in rows if part != "pictures of two scans"]
    waited = sections.wall["waiting for scans"] / wall
    lines += [
        "",
        f"It waited for scans in {waited:.1%} of the wall clock; the reading thread took {(process - own) / epoch:.1%} "
        f"of the trial's processor time. Two pictures, at epochs 0, 4, 16, 64, ...: {pictures / epoch:.1%} of an "
        f"epoch, {pictures_bytes(trial):,} bytes. {1000 * epoch / epochs:.0f} ms an epoch.",
    ]
    return lines


def pictures_bytes(trial: Trial) -> int:
    names = [f"picture-{domain}.png" for domain in DOMAINS]
    return sum(len(trial.store.read(trial.spec.folder, 2, "metrics", name)) for name in names)


def cost(trial: Trial, rounds: int) -> str:
    """Epochs with the watched numbers over one without, all from the same state; beside them the same over itself."""

    def seconds(watched: bool) -> float:
        state = trial.after_first_epoch()
        with ExitStack() as stack:
            if not watched:
                stack.enter_context(patch.object(update, "gradient_norm", lambda optimizer: 0.0))
                stack.enter_context(patch.object(loop, "measured_updates", lambda updates: frozenset()))
                stack.enter_context(patch.object(loop, "learning_rates", lambda *args: {}))
            begun = time.thread_time()
            trial.train(state)
            return time.thread_time() - begun

    kinds = {"with": True, "with again": True, "without": False}
    seconds(True)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        order = list(kinds)
        for kind in order[number % 3 :] + order[: number % 3]:
            times[kind].append(seconds(kinds[kind]))

    def ratio(one: str, other: str) -> str:
        ratios = [a / b for a, b in zip(times[one], times[other], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        return f"{middle:.3f} (quartiles {low:.3f} and {high:.3f})"

    return (
        f"An epoch with the watched numbers over one without, {rounds} rounds: {ratio('with', 'without')} and "
        f"{ratio('with again', 'without')}; over itself: {ratio('with', 'with again')}."
    )


def events_milliseconds(trial: Trial, root: Path) -> float:
    """Processor time to append an epoch to TensorBoard's events, which the study's main process does."""
    folder = root / "study"
    folder.mkdir()
    roles = f'{{"classes": [], "cells": [{{"roles": {{"pretrained": {{"run": "{trial.spec.folder}"}}}}}}]}}'
    (folder / "plan.json").write_text(roles)
    with patch("lidartune.report.tensorboard._epochs", lambda folder: []):
        writer = StudyWriter(folder, root / "runs")
    begun = time.thread_time()
    writer.epoch(trial.spec.folder, 3)
    return 1000 * (time.thread_time() - begun) / 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.settings:
        with tempfile.TemporaryDirectory() as folder:
            trial = Trial(name, Path(folder))
            print(f"\n**{SETS[name]}**\n")
            print("\n".join(profile(name, trial, options.epochs)), flush=True)
            print(f"\nTensorBoard: {events_milliseconds(trial, Path(folder)):.1f} ms an epoch, in the main process.")
            print(cost(trial, options.rounds), flush=True)


if __name__ == "__main__":
    main()

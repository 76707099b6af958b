"""Carrying out a run: from its start or its last kept epoch, through training and scoring, into the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from lidartune.errors import UserError
from lidartune.runs.folder import read_run
from lidartune.runs.ledger import EpochDone, Ledger, RunData
from lidartune.runs.spec import UNLABELLED, RunSpec, other_domain
from lidartune.runs.stopwatch import Stopwatch
from lidartune.runs.store import Store, missing_epochs
from lidartune.training.begin import Scans, adapted_state, fresh_state, imported_state, state_from_milestone
from lidartune.training.checkpoint import pack_inside, unpack_inside
from lidartune.training.handed_on import HandedOn
from lidartune.training.loop import train_epoch
from lidartune.training.state import (
    AVERAGE,
    FACTS,
    OPTIMIZER,
    TEACHER,
    WEIGHTS,
    Normalization,
    TrainingState,
    handed_on_file,
    unpack,
)
from lidartune.training.trouble import memory_named


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """A run together with what it needs to be carried out here.

    `checkpoint_minutes`: a long epoch is kept inside whenever so much time has gone by since it was last; 0 keeps it
    after every update. It changes no result.
    """

    spec: RunSpec
    data: RunData
    store: Store
    device: torch.device
    checkpoint_minutes: float = 5.0

    def carry_out(
        self, wanted: Sequence[int], announce: Callable[[EpochDone], None], *, untested: Collection[int] = ()
    ) -> None:
        """Trains until every wanted epoch has its weights and its test scores in the store, the latter not where
        `untested`.

        Goes on from the last state that was kept, inside an epoch too; a committed epoch is scored no second time.
        Every epoch is scored on the validation scans of both domains, epoch 0 before the first update.

        Raises:
            TrainingDiverged: when the loss is no number any more; all epochs before stay.
            UserError: a milestone that is missing or does not fit; a full memory.
        """
        run = self.spec.folder
        self.store.write_spec(run, self.spec.as_dict())
        with memory_named(self.spec):
            if self.spec.imported is not None:
                return self._score_imported(wanted, announce, untested)
            self._check_adapted(wanted)
            for epoch in sorted(set(wanted) - set(missing_epochs(self.store, run, wanted, untested=untested))):
                announce(EpochDone(epoch=epoch, kept=True, scans_per_second=0.0, validation={}))
            state: TrainingState | None = None
            while missing := missing_epochs(self.store, run, wanted, untested=untested):
                state = self._towards(missing[0], state)
                if state is None:
                    watch = Stopwatch(self.device)
                    state = self._begin()
                    announce(self._ledger.commit(state, None, watch, wanted, untested))
                if state.epoch == missing[0] and missing_epochs(self.store, run, missing[:1], untested=untested):
                    self._ledger.commit_again(state, tested=state.epoch not in untested)
                    announce(EpochDone(epoch=state.epoch, kept=True, scans_per_second=0.0, validation={}))
                while state.epoch < missing[0]:
                    if self.store.has(run, state.epoch + 1, "metrics"):  # of another attempt, which may be further
                        nearer = self._towards(missing[0], state)
                        if nearer is not None and nearer is not state:
                            state = nearer
                            continue
                    self._train(state, wanted, announce, untested)

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(spec=self.spec, data=self.data, store=self.store, device=self.device)

    @property
    def _other(self) -> Scans | None:
        if not self.data.other:
            return None
        return Scans(files=self.data.other, reader=self.data.readers[other_domain(self.spec.domain)])

    def load(self, epoch: int) -> TrainingState:
        """The run as it was after this epoch."""
        run = self.spec.folder
        names = (WEIGHTS, OPTIMIZER, FACTS) + ((AVERAGE,) if self.spec.recipe.ema else ())
        names += (TEACHER,) if self.spec.joint and self.spec.joint.teacher else ()
        files = {name: self.store.read(run, epoch, "state", name) for name in names}
        return unpack(files, self.spec, self.device, f"{run}, epoch {epoch}")

    # -- where to go on ---------------------------------------------------------------------------------------------

    def _towards(self, target: int, state: TrainingState | None) -> TrainingState | None:
        """The run as near before an epoch as there is: as it stands, or out of the store; None: nothing is there."""
        if state is not None and state.epoch > target:
            state = None
        kept = [epoch for epoch in self.store.epochs(self.spec.folder, "state") if epoch <= target]
        last = kept[-1] if kept else 0
        self._take_away_what_is_left_over(kept)
        if state is not None and state.epoch >= last:
            return state
        if last < target and (inside := self._load_inside(last + 1)) is not None:
            return inside
        return self.load(last) if kept else None

    def _take_away_what_is_left_over(self, kept: Sequence[int]) -> None:
        """Where a process was killed right after it had kept a state: what that stands in for."""
        run = self.spec.folder
        for before in kept[:-1]:
            if not self.store.stays(run, before):
                self.store.discard(run, before, "state")
        if kept:
            self.store.discard_inside(run, kept[-1])

    def _load_inside(self, epoch: int) -> TrainingState | None:
        """The run inside this epoch; what is damaged is passed over: the epoch then begins anew, to the same end."""
        run = self.spec.folder
        for updates in reversed(self.store.insides(run, epoch)):
            with suppress(UserError):
                files = self.store.read_inside(run, epoch, updates)
                return unpack_inside(files, self.spec, self.device, f"{run}, epoch {epoch}, update {updates}")
        return None

    def _begin(self) -> TrainingState:
        spec, train, reader = self.spec, self.data.train, self.data.readers[self.spec.domain]
        other = self._other if not spec.other.startswith(UNLABELLED) else None
        if spec.start is None:
            return fresh_state(spec, train, reader, self.device, other)
        milestone = self._milestone(spec.start.run, spec.start.epoch)
        if spec.adaptation is not None:
            assert self._other is not None, "the plan names the scans that it is adapted to"
            return adapted_state(spec, milestone, Scans(files=train, reader=reader), self._other, self.device)
        return state_from_milestone(spec, milestone, train, reader, self.device, other)

    def _milestone(self, run: str, epoch: int) -> HandedOn:
        """What a run that starts there is handed, and the normalisation that belongs to it."""
        if not self.store.has(run, epoch, "state"):
            raise UserError(
                "the milestone that this run starts from is not in the store",
                where=f"{self.store.results}/runs/{run}, epoch {epoch}",
                do="run the same study command again: it trains what is missing",
            )
        spec = read_run(self.store, run)
        facts = self.store.read_json(run, epoch, "state", FACTS)
        imported = spec.imported is not None
        file = handed_on_file(spec.recipe)
        return HandedOn(
            spec=spec,
            epoch=epoch,
            file=file,
            weights=self.store.read(run, epoch, "state", file),
            normalization=Normalization(means=tuple(facts["means"]), stds=tuple(facts["stds"])),
            class_weights=None if imported else np.array(facts["class_weights"], dtype=np.float32),
            optimizer=None if imported else self.store.read(run, epoch, "state", OPTIMIZER),
            updates=None if imported else epoch * spec.recipe.updates_per_epoch + facts.get("behind", 0),
        )

    # -- training ---------------------------------------------------------------------------------------------------

    def _train(
        self,
        state: TrainingState,
        wanted: Sequence[int],
        announce: Callable[[EpochDone], None],
        untested: Collection[int],
    ) -> None:
        """Trains one epoch, or the rest of it, and commits it."""
        watch = Stopwatch(self.device)
        before = state.so_far.updates if state.so_far else 0
        reader = self.data.readers[self.spec.domain]
        figures = train_epoch(self.spec, state, self.data.train, reader, self.device, self._keeper(), self._other)
        updates = self.spec.recipe.updates_per_epoch - before
        announce(self._ledger.commit(state, figures, watch, wanted, untested, updates))

    def _keeper(self) -> Callable[[TrainingState], None]:
        """Keeps the state inside an epoch when it is time."""
        last = time.monotonic()

        def keep(state: TrainingState) -> None:
            nonlocal last
            if time.monotonic() - last < 60 * self.checkpoint_minutes:
                return
            assert state.so_far is not None
            files = pack_inside(state, self.device)
            self.store.commit_inside(self.spec.folder, state.epoch + 1, state.so_far.updates, files)
            last = time.monotonic()

        return keep

    def _check_adapted(self, wanted: Sequence[int]) -> None:
        if self.spec.adaptation is not None and any(epoch > 0 for epoch in wanted):
            raise UserError(
                "an adapted network is scored, but not trained",
                where=self.spec.folder,
                found=f"epoch {max(wanted)} wanted",
                wanted="epoch 0",
                do="train a run that starts from it",
            )

    def _score_imported(
        self, wanted: Sequence[int], announce: Callable[[EpochDone], None], untested: Collection[int]
    ) -> None:
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
        if missing_epochs(self.store, run, wanted, untested=untested):
            watch = Stopwatch(self.device)
            network = self._milestone(run, 0)
            state = imported_state(self.spec, network.weights, network.normalization, self.device)
            announce(self._ledger.commit(state, None, watch, wanted, untested))
        else:
            announce(EpochDone(epoch=0, kept=True, scans_per_second=0.0, validation={}))

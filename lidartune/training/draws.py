"""Which scans an epoch draws, in which order and how they are changed, and the batches that they come in."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from lidartune.runs.spec import RunSpec
from lidartune.scans import ScanFile
from lidartune.training.augment import augmented
from lidartune.training.begin import Scans
from lidartune.training.joint import places
from lidartune.training.loader import Alteration, Drawn, ScanReader
from lidartune.training.raydrop import with_raydrop
from lidartune.training.seeding import derived_seed, scan_order, sequence_order


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The scans of one update. `other` are those of the other domain, of which `first_other` is the number of the
    first in the epoch; `own` and `other` together are as many as the recipe's `batch_size`."""

    own: list[Drawn]
    other: list[Drawn]
    first_other: int = 0


@dataclass(frozen=True, kw_only=True)
class EpochDraws:
    """The scans of an epoch in order. Update u takes `own[own_ends[u]:own_ends[u + 1]]`, and so from `other`."""

    own: list[ScanFile]
    other: list[ScanFile]
    own_ends: np.ndarray
    other_ends: np.ndarray

    def names(self, update: int) -> str:
        """The scans of an update, for a message."""
        own, other = self.own_ends, self.other_ends
        drawn = [*self.own[own[update] : own[update + 1]], *self.other[other[update] : other[update + 1]]]
        return ", ".join(f"{scan.sequence}/{scan.name}" for scan in drawn)


def epoch_draws(spec: RunSpec, own: Sequence[ScanFile], other: Sequence[ScanFile], epoch: int) -> EpochDraws:
    """The scans that an epoch draws, of both domains where the run is a joint one."""
    recipe, joint = spec.recipe, spec.joint
    theirs = np.zeros(recipe.updates_per_epoch, dtype=np.int64)
    if joint is not None:
        assert other, "the plan names the other domain's scans of a joint run"
        theirs = places(joint.share, recipe.updates_per_epoch, recipe.batch_size)
    ends = np.append(0, theirs.cumsum())
    order = scan_order(len(other), int(ends[-1]), spec.seed, epoch, "other order") if ends[-1] else ends[:0]
    return EpochDraws(
        own=[own[i] for i in epoch_order(spec, own, epoch)],
        other=[other[i] for i in order],
        own_ends=np.arange(len(ends)) * recipe.batch_size - ends,
        other_ends=ends,
    )


def epoch_order(spec: RunSpec, scans: Sequence[ScanFile], epoch: int) -> np.ndarray:
    """Indices of its own scans that an epoch draws, in order, as the recipe's `sampling` says."""
    recipe = spec.recipe
    draws = recipe.updates_per_epoch * recipe.batch_size
    if spec.joint is not None:
        draws -= int(places(spec.joint.share, recipe.updates_per_epoch, recipe.batch_size).sum())
    if recipe.sampling == "sequences":
        return sequence_order([scan.sequence for scan in scans], draws, spec.seed, epoch)
    return scan_order(len(scans), draws, spec.seed, epoch)


def epoch_alteration(spec: RunSpec, epoch: int, first: int = 0, purpose: str = "augmentation") -> Alteration | None:
    """The recipe's augmentation, each draw by a seed of its own: neither threads nor other draws change it.

    Args:
        first: the draw of the epoch that the stream begins with.
        purpose: what the seeds are derived for.
    """
    augmentation = spec.recipe.augmentation
    if augmentation.off:
        return None
    return lambda draw, points, truth: augmented(
        points, truth, augmentation, derived_seed(spec.seed, purpose, epoch, first + draw)
    )


def epoch_batches(
    spec: RunSpec,
    draws: EpochDraws,
    epoch: int,
    begin: int,
    own: Scans,
    other: Scans | None,
    raydrop: float | np.ndarray | None = None,
) -> Generator[Batch, None, None]:
    """The epoch's batches from update `begin` on, the next scans under way meanwhile.

    The other domain's scans come without labels where the run is to have none: no label file of theirs is opened.

    Args:
        own, other: who reads the scans of `draws`.
        raydrop: with what probability a filled pixel of the run's own scans is lost, one for all or `(H, W)`.
    """
    own_ends, other_ends = draws.own_ends, draws.other_ends
    first = int(own_ends[begin])
    ours = _stream(spec, draws.own[first:], own.reader, epoch_alteration(spec, epoch, first), True)
    theirs = _nothing()
    if spec.joint is not None:
        assert other is not None
        alter = epoch_alteration(spec, epoch, int(other_ends[begin]), "other augmentation")
        drawn = draws.other[other_ends[begin] :]
        theirs = _stream(spec, drawn, other.reader, alter, spec.joint.labels == "real")
    shown = ours if raydrop is None else with_raydrop(ours, raydrop, spec.seed, epoch, first)
    with closing(ours), closing(theirs):
        for update in range(begin, spec.recipe.updates_per_epoch):
            yield Batch(
                own=[next(shown) for _ in range(own_ends[update + 1] - own_ends[update])],
                other=[next(theirs) for _ in range(other_ends[update + 1] - other_ends[update])],
                first_other=int(other_ends[update]),
            )


def _stream(
    spec: RunSpec, scans: Sequence[ScanFile], reader: ScanReader, alter: Alteration | None, labelled: bool
) -> Generator[Drawn, None, None]:
    if spec.joint is not None and spec.joint.mixing != "none":
        yield from reader.mixing_stream(scans, spec.canvas, alter, labelled=labelled)
    elif labelled:
        yield from reader.training_stream(scans, spec.canvas, alter)
    else:
        yield from reader.unlabelled_stream(scans, spec.canvas, alter)


def _nothing() -> Generator[Drawn, None, None]:
    yield from ()

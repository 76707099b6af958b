"""What is still to be done of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lidartune.runs.spec import RunSpec
from lidartune.transfer.plan import Work
from lidartune.tuning.schedule import epochs_to_train


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is still to be done of a run: so many `epochs` to train, the ones to be `kept`, and how many of those are to
    be scored on the test scans. `begins`: nothing of the run is there.
    """

    spec: RunSpec
    epochs: int
    kept: tuple[int, ...]
    tested: int
    begins: bool = True


RunCost = Callable[[Left], float]
"""What is left of a run in epochs, seconds or bytes."""


def left_of(run: str, work: Work, in_store: Callable[[str, int], bool]) -> Left | None:
    """What is left of a run of a plan; None where all of it is there."""
    missing = tuple(epoch for epoch in sorted(work.epochs) if not in_store(run, epoch))
    if not missing:
        return None
    return Left(
        spec=work.spec,
        epochs=epochs_to_train(work.epochs, partial(in_store, run)),
        kept=missing,
        tested=len(work.tested.intersection(missing)),
        begins=len(missing) == len(work.epochs),
    )


def epochs(left: Left) -> float:
    """The cost of a run in epochs."""
    return left.epochs
